"""`feedsvc rules`: what changed rules would do."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from feedsvc import __version__
from feedsvc.app.cli.common import WRONG, ConfigOption, complain, err, load, out
from feedsvc.app.cli.show_diff import show_diff
from feedsvc.app.pipeline import load_configured
from feedsvc.clean import Cleaner
from feedsvc.intake.rules_diff import diff_rules
from feedsvc.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from feedsvc.intake.preview import Change
    from feedsvc.intake.rules_diff import Diff

__all__ = ["rules"]

SECONDS = 4.0  # an answer within five

rules = typer.Typer(help="Rules of cleaning: what would a change of them do?", no_args_is_help=True)


@rules.callback()
def about() -> None:
    """Rules of cleaning: what would a change of them do?"""


@rules.command()
def diff(
    more: Annotated[
        list[Path] | None,
        typer.Option("--with", metavar="FOLDER", exists=True, file_okay=False, help="Another folder of packs."),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only entries of this source.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many entries to list.")] = 20,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="How long to take; then estimate.")] = SECONDS,
    everything: Annotated[bool, typer.Option("--all", help="Clean all that may change, however long.")] = False,
    config: ConfigOption = None,
) -> None:
    """Compare the rules as they are in files now with those the store was cleaned with: which entries would change?

    Nothing is stored. Exits with 1 where an entry would lose more than half of its text.
    """
    settings = load(config)
    planned = load_configured(settings, more or ())
    store = Store(settings.store.url)
    try:
        with ExitStack() as stack:
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
    finally:
        store.close()
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found, limit), ensure_ascii=True, indent=2) + "\n")
    else:
        out.print(show_diff(found, limit))
    if found.live_version != __version__:
        complain(
            f"feedsvc: the store was cleaned by feedsvc {found.live_version}, this is {__version__}: "
            "at its start all entries are cleaned again, whatever the rules"
        )
    if any(change.alarms for change in found.changes):
        raise typer.Exit(WRONG)


def _progress(stack: ExitStack) -> Callable[[str, int, int | None], None]:
    """Show progress on a terminal, from the first report on: its thread must not run while processes fork."""
    bars: dict[str, Any] = {}
    progress = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=err)

    def report(what: str, done: int, of: int | None) -> None:
        if not err.is_terminal:
            return
        if not bars:
            stack.enter_context(progress)
        if what not in bars:
            bars[what] = progress.add_task(what, total=of)
        progress.update(bars[what], completed=done, total=of)

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


def _entry_as_json(change: Change) -> dict[str, Any]:
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
