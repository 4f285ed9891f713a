"""The command line.

Exit codes:
    0  done
    1  done, but something that was looked at is wrong: a broken dump, a finding of `check`, a daemon that is not ready
    2  the call, the configuration or a rule is wrong
    3  it could not be done: a store, an address or a folder cannot be used
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feedsvc import __version__
from feedsvc.assemble import assemble_feed
from feedsvc.build import build_site
from feedsvc.check import Level, check_all
from feedsvc.config import Config, load_config
from feedsvc.daemon import run_daemon
from feedsvc.decide import mint_entry
from feedsvc.errors import BrokenDump, ConfigError, DaemonUnreachable, FeedsvcError, NotADump, RuleError, WatchError
from feedsvc.ingest import Cleaned, clean_dump, read_dump
from feedsvc.intake import BATCH
from feedsvc.logs import set_up_logs
from feedsvc.model import Outcome
from feedsvc.service import RENDERERS, feed_settings, make_cleaner, make_ingest, read_clock
from feedsvc.show import printable, show_explanation, show_findings, show_status
from feedsvc.status import ask_ready, collect_status
from feedsvc.store import Store
from feedsvc.watch import Change, Listing
from feedsvc.watch.files import scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feedsvc.clean import Cleaner
    from feedsvc.errors import DumpError
    from feedsvc.ingest import Ingest, Report
    from feedsvc.watch import FileState

__all__ = ["app", "main"]

CONFIG_PLACES = (Path("config.toml"), Path("/etc/feedsvc/config.toml"))
WRONG, MISUSED, IMPOSSIBLE = 1, 2, 3  # exit codes, see above

app = typer.Typer(
    help="Watches a folder of dump files, strips share and promo boilerplate, serves a clean Atom feed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="FEEDSVC_CONFIG",
        help="The configuration; by default config.toml here, then /etc/feedsvc/config.toml.",
    ),
]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Dump files, or folders of them.")]


def main() -> None:
    """Run the command line; the console script."""
    try:
        app()
    except (ConfigError, RuleError) as error:
        _fail(error, MISUSED)
    except FeedsvcError as error:
        _fail(error, IMPOSSIBLE)


def _fail(error: FeedsvcError, code: int) -> None:
    for line in str(error).splitlines():
        err.print(f"feedsvc: {printable(line)}", markup=False, soft_wrap=True)
    sys.exit(code)


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
    """Watch, clean and serve until SIGTERM or SIGINT; SIGHUP loads the configuration again."""
    set_up_logs(sys.stderr)
    run_daemon(lambda: _load(config), os.environ.get("NOTIFY_SOCKET"))


@app.command()
def clean(
    paths: Paths,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object an article.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="What each rule removed, and what is left.")] = False,
    config: ConfigOption = None,
) -> None:
    """Clean dumps and show the result; nothing is stored."""
    if jsonl and explain:
        raise typer.BadParameter("--jsonl and --explain do not go together")
    settings = _load(config)
    cleaner = make_cleaner(settings)
    wrong = False
    for name, path in _find(paths):
        cleaned = _clean(path, settings.watch.max_bytes, cleaner)
        if isinstance(cleaned.fault, NotADump) and path not in paths:
            continue  # lies beside the dumps in a folder
        wrong |= cleaned.fault is not None
        if jsonl:
            for row in _rows(name, cleaned, cleaner.digest):
                sys.stdout.buffer.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
        else:
            _print_cleaned(name, cleaned, explain=explain)
    if wrong:
        raise typer.Exit(WRONG)


@app.command(name="import")
def import_(paths: Paths, config: ConfigOption = None) -> None:
    """Take many dumps into the store at once."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = _load(config)
    # As the watcher names them: links stay, ".." goes.
    named = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() follows links
    files = [Change(str(path), gone=False) for _, path in _find(named)]
    with _opened(settings) as (_, ingest):
        reports = _take(ingest, files)
    counts = {outcome: sum(report.outcome is outcome for report in reports) for outcome in Outcome}
    known = len(reports) - sum(counts.values())
    out.print(", ".join(f"{outcome}: {count}" for outcome, count in counts.items()) + f", known: {known}")
    refused = [report for report in reports if report.outcome is Outcome.QUARANTINED]
    for report in refused:
        err.print(f"{printable(report.path)}: {printable(report.reason or '')}", markup=False, soft_wrap=True)
    if refused:
        raise typer.Exit(WRONG)


@app.command()
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="Where the files are to be.")],
    config: ConfigOption = None,
) -> None:
    """Write all feeds and pages as static files, after taking in what is new."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = _load(config)
    base_url = settings.base_url
    if base_url is None:
        base_url = f"http://{settings.server.listen}"
        err.print(f"feedsvc: base_url is not set, the feed will say {base_url}", markup=False, soft_wrap=True)
    with _opened(settings) as (store, ingest):
        missing = False
        for directory in settings.watch.directories:
            try:
                found, unreadable = _scan(directory, recursive=settings.watch.recursive)
            except WatchError as error:  # what the store holds can be written all the same
                err.print(f"feedsvc: {printable(str(error))}", markup=False, soft_wrap=True)
                missing = True
            else:
                _take(ingest, ingest.compare(Listing(directory, found, frozenset(), unreadable)))
        document, _ = assemble_feed(store, feed_settings(settings), read_clock())
        files = build_site(folder, store, document, RENDERERS, base_url)
    out.print(f"{files} files in {printable(str(folder))}", markup=False, soft_wrap=True)
    if missing:
        raise typer.Exit(WRONG)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Look at config, rules, folders, store and address: what is wrong, and how to mend it."""
    findings = list(check_all(_load(config)))
    out.print(show_findings(findings))
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(WRONG)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the ignored files.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show what the running daemon is doing."""
    settings = _load(config)
    store = Store(settings.store.url)
    try:
        found = collect_status(store, feed_settings(settings))
    finally:
        store.close()
    try:
        ready = ask_ready(f"http://{settings.server.listen}")
    except DaemonUnreachable as error:
        ready = False
        found["problems"].append({"about": settings.server.listen, "message": str(error)})
    found["ready"] = ready
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=True, indent=2) + "\n")
    else:
        out.print(show_status(found))
    if not ready:
        raise typer.Exit(WRONG)


def _load(config: Path | None) -> Config:
    path = config or next((place for place in CONFIG_PLACES if place.exists()), None)
    return load_config(path, os.environ)


@contextmanager
def _opened(config: Config) -> Iterator[tuple[Store, Ingest]]:
    store = Store(config.store.url)
    try:
        yield store, make_ingest(config, store)
    finally:
        store.close()


def _scan(folder: str, *, recursive: bool = True) -> tuple[dict[str, FileState], frozenset[str]]:
    try:
        return scan(folder, recursive=recursive, interrupted=lambda: False)
    except OSError as error:
        raise WatchError(f"{folder}: cannot be read: {error.strerror}") from error


def _find(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Each file that `paths` name or hold, with its name: relative to the folder that was given."""
    for path in paths:
        if path.is_dir():
            for found in sorted(_scan(str(path))[0]):
                yield Path(found).relative_to(path).as_posix(), Path(found)
        else:
            yield str(path), path


def _clean(path: Path, max_bytes: int, cleaner: Cleaner) -> Cleaned:
    try:
        data, status = read_dump(str(path.resolve()), max_bytes)
    except (NotADump, BrokenDump) as error:
        return Cleaned((), error)
    except OSError as error:
        return Cleaned((), BrokenDump(str(path), f"cannot be read: {error.strerror}", 1))
    return clean_dump(data, str(path), status.st_mtime_ns, cleaner)


def _rows(name: str, cleaned: Cleaned, cleaner: str) -> Iterator[dict[str, Any]]:
    for _, article in cleaned.articles:
        entry = mint_entry(article, cleaner=cleaner)
        yield {
            "path": name,
            "title": entry.title,
            "link": entry.link,
            "id": entry.id,
            "author": entry.author,
            "language": entry.language,
            "published": entry.published.isoformat(),
            "updated": entry.updated.isoformat(),
            "content": entry.content,
            "summary": entry.summary,
            "rights": entry.rights,
            "removed": [{"rule": item.rule, "reason": item.reason, "text": item.text} for item in article.removals],
            "error": None,
        }
    if cleaned.fault is not None:
        yield {"path": name, "content": None, "error": _fault(cleaned.fault)}


def _fault(fault: DumpError) -> str:
    return f"line {fault.line}: {fault.reason}" if fault.line else fault.reason


def _print_cleaned(name: str, cleaned: Cleaned, *, explain: bool) -> None:
    for _, article in cleaned.articles:
        if explain:
            out.print(show_explanation(article))
        else:
            out.print(f"{printable(name)}: {article.title}", markup=False, soft_wrap=True)
            for removal in article.removals:
                out.print(f"    {removal.rule}: {removal.text or removal.html}"[:200], markup=False, soft_wrap=True)
    if cleaned.fault is not None:
        err.print(f"{printable(name)}: {_fault(cleaned.fault)}", markup=False, soft_wrap=True)


def _take(ingest: Ingest, files: Sequence[Change]) -> list[Report]:
    reports: list[Report] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
    ) as progress:
        task = progress.add_task("taking dumps in", total=len(files))
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            reports += ingest.take(batch)
            progress.advance(task, len(batch))
    return reports
