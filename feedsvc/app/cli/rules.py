"""`feedsvc rules`: previews a change of rules."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from feedsvc import __version__
from feedsvc.app.cli.common import WRONG, ConfigOption, complain, err, load, out, write_json
from feedsvc.app.make import load_configured
from feedsvc.clean import Cleaner
from feedsvc.intake.rules_diff import diff_rules
from feedsvc.store import Store
from feedsvc.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import RenderableType

    from feedsvc.intake.entry_diff import EntryDiff
    from feedsvc.intake.rules_diff import Diff

_SECONDS = 4.0  # an answer within five
_SAMPLES = 10
_SAMPLE_CHARACTERS = 100

rules = typer.Typer(help="Preview a change of the rules of cleaning.", no_args_is_help=True)


@rules.callback()
def about() -> None:
    """Preview a change of the rules of cleaning."""


@rules.command()
def diff(
    more: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FOLDER", exists=True, file_okay=False, help="Another folder of packs."),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only entries of this source.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many entries to list.")] = 20,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Estimate after so many seconds.")] = _SECONDS,
    everything: Annotated[bool, typer.Option("--all", help="Clean all entries that may change.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show which entries would change if the store were cleaned by the rules as they are in files now.

    Nothing is stored. Exits with 1 if an entry would lose more than half of its text.
    """
    settings = load(config)
    planned = load_configured(settings, more or ())
    with closing(Store(settings.store.url)) as store, ExitStack() as stack:
        found = diff_rules(
            store,
            planned,
            partial(Cleaner, learned=store.load_learned() if settings.clean.learn else None),
            source=source,
            # Counted from the start of the program, which is busy until here.
            seconds=None if everything else max(seconds - time.process_time(), 0.0),
            workers=len(os.sched_getaffinity(0)),
            progress=_progress(stack),
        )
    if as_json:
        write_json(_as_json(found, limit))
    else:
        out.print(_show(found, limit))
    if found.live_version != __version__:
        complain(
            f"feedsvc: the store was cleaned by feedsvc {found.live_version}, this is {__version__}: "
            "at its start all entries are cleaned again, whatever the rules"
        )
    if any(change.alarms for change in found.changes):
        raise typer.Exit(WRONG)


def _progress(stack: ExitStack) -> Callable[[str, int, int | None], None]:
    """Show progress on a terminal, from the first report on: no thread may run while processes fork."""
    bars: dict[str, Any] = {}
    progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err)

    def report(task: str, done: int, of: int | None) -> None:
        if not err.is_terminal:
            return
        if not bars:
            stack.enter_context(progress)
        if task not in bars:
            bars[task] = progress.add_task(task, total=of)
        progress.update(bars[task], completed=done, total=of)

    return report


def _as_json(found: Diff, limit: int) -> dict[str, Any]:
    changed = [change for change in found.changes if change.visible]
    return {
        "rules": {"added": found.rules.added, "removed": found.rules.removed, "changed": found.rules.changed},
        "looked_at": found.looked_at,
        "affected": found.affected,
        "cleaned": found.cleaned,
        "exact": found.is_exact,
        "changed": len(changed),
        "changed_in_all": found.estimate,
        "only_the_account": len(found.changes) - len(changed),
        "uncleanable": found.uncleanable,
        "lost": sum(change.lost for change in changed),
        "regained": sum(change.regained for change in changed),
        "entries": [_entry_as_json(change) for change in found.changes[:limit]],
    }


def _entry_as_json(change: EntryDiff) -> dict[str, Any]:
    return {
        "key": change.key,
        "title": change.title,
        "published": change.published.isoformat(),
        "lost": change.lost,
        "regained": change.regained,
        "share": round(change.share, 4),
        "gone": [{"rule": rule, "text": text} for rule, text in change.gone],
        "back": [{"rule": rule, "text": text} for rule, text in change.back],
        "emptied": change.emptied,
        "stood_back": change.stood_back,
        "alarm": change.alarms,
    }


def _show(found: Diff, limit: int) -> RenderableType:
    rules = found.rules
    if not rules.rules:
        return Text("The rules are the live ones: nothing would change.")
    changed = [change for change in found.changes if change.visible]
    facts = Table.grid(padding=(0, 2))
    for label, names in (("added", rules.added), ("removed", rules.removed), ("changed", rules.changed)):
        if names:
            facts.add_row(f"rules {label}", ", ".join(names))
    facts.add_row("entries looked at", str(found.looked_at))
    facts.add_row("that may change", str(found.affected))
    if not found.is_exact:
        facts.add_row("[yellow]cleaned[/]", f"[yellow]{found.cleaned}: the newest, and others evenly chosen[/]")
    facts.add_row("would change", _count(found, len(changed)))
    facts.add_row("characters lost", str(sum(change.lost for change in changed)))
    facts.add_row("characters regained", str(sum(change.regained for change in changed)))
    if len(found.changes) > len(changed):
        facts.add_row("only the account of removals", str(len(found.changes) - len(changed)))
    if found.uncleanable:
        facts.add_row("cannot be cleaned, stay", str(found.uncleanable))
    parts: list[RenderableType] = [facts]
    if changed and limit:
        parts += ["", _entries(changed[:limit], len(changed))]
    parts += _samples("what would go", ((rule, text) for change in changed for rule, text in change.gone))
    parts += _samples("what would come back", ((rule, text) for change in changed for rule, text in change.back))
    return Group(*parts)


def _count(found: Diff, changed: int) -> str:
    if found.is_exact:
        return str(changed)
    return f"[yellow]about {found.estimate}[/], estimated from {changed} that were found; --all counts all"


def _entries(changes: list[EntryDiff], number: int) -> Table:
    title = f"entries that would change: {len(changes)} of {number}, the largest losses first"
    table = Table("entry", "title", title=title, title_justify="left")
    table.add_column("lost", justify="right")
    table.add_column("share", justify="right")
    table.add_column("regained", justify="right")
    table.add_column("rules")
    table.add_column("")
    for change in changes:
        names = dict.fromkeys(rule for rule, _ in (*change.gone, *change.back))
        mark = "emptied" if change.emptied else "stands back" if change.stood_back else "much" if change.alarms else ""
        table.add_row(
            change.key,
            escape(printable(_short(change.title, 40))),
            str(change.lost),
            f"{change.share:.0%}",
            str(change.regained),
            ", ".join(names),
            f"[red]{mark}[/]",
        )
    return table


def _samples(title: str, pairs: Iterable[tuple[str, str]]) -> list[RenderableType]:
    """Show each text once, with its rule."""
    distinct = dict.fromkeys((rule, _short(printable(text), _SAMPLE_CHARACTERS)) for rule, text in pairs if text)
    if not distinct:
        return []
    table = Table("rule", title, title=None)
    for rule, text in islice(distinct, _SAMPLES):
        table.add_row(rule, Text(text))
    return ["", table]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
