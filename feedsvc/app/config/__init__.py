"""The configuration: a TOML file, with an environment variable to override each key.

The variable is `FEEDSVC_`, the section and the key in capitals (`FEEDSVC_SERVER_LISTEN`). Its value is
TOML, or else a plain string.
"""

from feedsvc.app.config.load import load_config
from feedsvc.app.config.sections import Config, Section
from feedsvc.app.config.values import parse_duration

__all__ = ["Config", "Section", "load_config", "parse_duration"]
