"""The command line.

Exit codes:
    0  done
    1  done, but something is wrong: a broken dump, an error that `check` found, a daemon that is not ready
    2  the call, the configuration or a rule is wrong
    3  failed: a store, an address or a folder cannot be used
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from feedsvc import __version__
from feedsvc.app.cli.accept import accept
from feedsvc.app.cli.build import build
from feedsvc.app.cli.check import check
from feedsvc.app.cli.clean import clean
from feedsvc.app.cli.common import IMPOSSIBLE, MISUSED, complain, out
from feedsvc.app.cli.import_ import import_
from feedsvc.app.cli.learned import learned
from feedsvc.app.cli.password import password
from feedsvc.app.cli.reload import reload
from feedsvc.app.cli.removed import removed
from feedsvc.app.cli.restore import restore
from feedsvc.app.cli.rules import rules
from feedsvc.app.cli.run import run
from feedsvc.app.cli.status import status
from feedsvc.errors import ConfigError, FeedsvcError, RuleError, UnknownName

__all__ = ["app", "main"]

app = typer.Typer(
    help="Watches a folder of dump files, strips share and promo boilerplate, serves a clean Atom feed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the console script."""
    try:
        app()
    except FeedsvcError as error:
        for line in str(error).splitlines():
            complain(f"feedsvc: {line}")
        sys.exit(MISUSED if isinstance(error, (ConfigError, RuleError, UnknownName)) else IMPOSSIBLE)


def _show_version(value: bool) -> None:
    if value:
        out.print(f"feedsvc {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""


app.command()(run)
app.command()(clean)
app.add_typer(rules, name="rules")
app.command()(removed)
app.command()(restore)
app.command()(learned)
app.command()(accept)
app.command()(reload)
app.command(name="import")(import_)
app.command()(build)
app.command()(check)
app.command()(password)
app.command()(status)
