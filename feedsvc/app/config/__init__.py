"""The configuration: one TOML file, every key of which can be overridden by an environment variable.

A key is overridden by `FEEDSVC_` and its name in capitals, sections and keys joined by underscores
(`FEEDSVC_SERVER_LISTEN`); the value is read as TOML where it is TOML, else as a plain string.
"""

from feedsvc.app.config.load import load_config
from feedsvc.app.config.sections import Config, Section
from feedsvc.app.config.values import parse_duration

__all__ = ["Config", "Section", "load_config", "parse_duration"]
