"""`feedsvc check`: checks an installation."""

from __future__ import annotations

import typer

from feedsvc.app.check import Level, check_all
from feedsvc.app.cli.common import WRONG, ConfigOption, load, out
from feedsvc.app.cli.show import show_checks


def check(config: ConfigOption = None) -> None:
    """Check configuration, rules, folders, store and address; say how to mend mistakes."""
    checks = list(check_all(load(config)))
    out.print(show_checks(checks))
    if any(check.level is Level.ERROR for check in checks):
        raise typer.Exit(WRONG)
