"""The command line.

Exit codes:
    0  done
    1  done, but something is wrong: a broken dump, an error that `check` found, a daemon that is not ready
    2  the call, the configuration or a rule is wrong
    3  failed: a store, an address or a folder cannot be used
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feedsvc import __version__
from feedsvc.app.check import Level, check_all
from feedsvc.app.cli.accept import accept
from feedsvc.app.cli.clean import clean
from feedsvc.app.cli.common import (
    IMPOSSIBLE,
    MISUSED,
    WRONG,
    ConfigOption,
    Paths,
    complain,
    err,
    find_files,
    find_in,
    load,
    locate,
    opened,
    out,
    write_json,
)
from feedsvc.app.cli.learned import learned
from feedsvc.app.cli.reload import reload
from feedsvc.app.cli.removed import removed
from feedsvc.app.cli.restore import restore
from feedsvc.app.cli.rules import rules
from feedsvc.app.cli.show import show_checks, show_status
from feedsvc.app.daemon import run_daemon
from feedsvc.errors import ConfigError, DaemonUnreachable, FeedsvcError, RuleError, UnknownName, WatchError
from feedsvc.feeds.archives import Archives
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.export import build_site, site_pages
from feedsvc.feeds.guard import Guard
from feedsvc.feeds.resources import MAX_AGE
from feedsvc.http import hash_password
from feedsvc.intake.queue import BATCH
from feedsvc.model import Outcome
from feedsvc.ops.status import Answered, ask_daemon, collect_status
from feedsvc.runtime.clock import read_clock
from feedsvc.runtime.control import control_name
from feedsvc.runtime.logs import set_up_logs
from feedsvc.runtime.systemd import meet
from feedsvc.store import Store
from feedsvc.text import printable
from feedsvc.watch import Change, Listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedsvc.intake.ingest import Ingest
    from feedsvc.intake.write import Report

__all__ = ["app", "main"]

_NICENESS = 10  # of an import: a daemon beside it goes first

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


@app.command()
def run(config: ConfigOption = None) -> None:
    """Watch, clean and serve until SIGTERM or SIGINT; SIGHUP or `feedsvc reload` loads the configuration again."""
    set_up_logs(sys.stderr, journal_stream=os.environ.get("JOURNAL_STREAM"))
    manager = meet(os.environ, os.getpid())
    run_daemon(lambda: load(config), manager, control_name(locate(config)))


app.command()(clean)
app.add_typer(rules, name="rules")
app.command()(removed)
app.command()(restore)
app.command()(learned)
app.command()(accept)
app.command()(reload)


@app.command(name="import")
def import_(paths: Paths, config: ConfigOption = None) -> None:
    """Take many dumps into the store at once."""
    os.nice(_NICENESS)
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = load(config)
    # As the watcher names them: links stay, ".." goes.
    named = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() follows links
    files = [Change(str(path), gone=False) for _, path in find_files(named)]
    with opened(settings) as (_, ingest):
        reports = _take(ingest, files)
    counts = {outcome: sum(report.outcome is outcome for report in reports) for outcome in Outcome}
    known = len(reports) - sum(counts.values())
    out.print(", ".join(f"{outcome}: {count}" for outcome, count in counts.items()) + f", known: {known}")
    refused = [report for report in reports if report.outcome is Outcome.QUARANTINED]
    for report in refused:
        complain(f"{report.path}: {report.reason or ''}")
    if refused:
        raise typer.Exit(WRONG)


@app.command()
def build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, help="The folder that they are written to.")
    ],
    config: ConfigOption = None,
) -> None:
    """Take in new dumps, then write all feeds and pages as static files."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = load(config)
    base_url = settings.base_url
    if base_url is None:
        base_url = f"http://{settings.server.listen}"
        complain(f"feedsvc: base_url is not set, the feed will say {base_url}")
    with opened(settings) as (store, ingest):
        missing = False
        for directory in settings.watch.directories:
            try:
                found, unreadable = find_in(directory, recursive=settings.watch.recursive)
            except WatchError as error:  # entries in the store can be written all the same
                complain(f"feedsvc: {error}")
                missing = True
            else:
                _take(ingest, ingest.compare(Listing(directory, found, frozenset(), unreadable)))
        while ingest.reclean(BATCH):  # by the blocks that the last of them taught
            pass
        guard = Guard(store, _warn)
        guard.look_back()
        archives = Archives(store, max_age=MAX_AGE, admit=guard.admit)
        archives.drop_gone(read_clock())
        assembler = Assembler(store, settings.plan, archives=archives, admit=guard.admit)
        assembler.refresh(read_clock())
        pages = site_pages(
            store, assembler, base_url, read_clock(), archives=archives, guard=guard, private=settings.restrictions
        )
        files = build_site(folder, pages)
        guard.save(read_clock())
        assembler.save()
    out.print(f"{files} files in {printable(str(folder))}", markup=False, soft_wrap=True)
    if missing:
        raise typer.Exit(WRONG)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check configuration, rules, folders, store and address; say how to mend mistakes."""
    checks = list(check_all(load(config)))
    out.print(show_checks(checks))
    if any(check.level is Level.ERROR for check in checks):
        raise typer.Exit(WRONG)


@app.command()
def password(user: Annotated[str, typer.Argument(help="The user name.")]) -> None:
    """Ask for a password, and print the value of [server] auth."""
    if ":" in user:
        raise ConfigError("a user name has no colon (RFC 7617)")
    if sys.stdin.isatty():
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\n")
    typer.echo(f"{user}:{hash_password(secret)}")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the ignored files.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the state of the running daemon; exits with 1 if it is not ready or a part does not work."""
    settings = load(config)
    with closing(Store(settings.store.url)) as store:
        found = collect_status(store, settings.plan, read_clock())
    try:
        answered = ask_daemon(f"http://{settings.server.listen}")
    except DaemonUnreachable as error:
        answered = Answered(ready=False)
        found["problems"].append({"about": settings.server.listen, "message": str(error)})
    found |= {"ready": answered.ready, "parts": dict(answered.parts)}
    if as_json:
        write_json(found)
    else:
        out.print(show_status(found))
    if not answered.well:
        raise typer.Exit(WRONG)


def _warn(_key: str, message: str | None) -> None:
    if message:
        complain(f"feedsvc: {message}")


def _take(ingest: Ingest, files: Sequence[Change]) -> list[Report]:
    reports: list[Report] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
    ) as progress:
        task = progress.add_task("taking dumps in", total=len(files))
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            reports += ingest.take(batch, then=files[start + BATCH : start + 2 * BATCH])
            progress.advance(task, len(batch))
    return reports
