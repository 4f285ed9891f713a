"""`feedsvc run`: the daemon."""

from __future__ import annotations

import os
import sys

from feedsvc.app.cli.common import ConfigOption, load, locate
from feedsvc.app.daemon import run_daemon
from feedsvc.runtime.control import control_name
from feedsvc.runtime.logs import set_up_logs
from feedsvc.runtime.systemd import meet


def run(config: ConfigOption = None) -> None:
    """Watch, clean and serve until SIGTERM or SIGINT; SIGHUP or `feedsvc reload` loads the configuration again."""
    set_up_logs(sys.stderr, journal_stream=os.environ.get("JOURNAL_STREAM"))
    manager = meet(os.environ, os.getpid())
    run_daemon(lambda: load(config), manager, control_name(locate(config)))
