"""How the command line shows what changed rules would do."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from feedsvc.app.cli.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from feedsvc.intake.preview import Change
    from feedsvc.intake.rules_diff import Diff

__all__ = ["show_diff"]

_SAMPLES = 10
_SAMPLE_LENGTH = 100  # characters


def show_diff(found: Diff, limit: int) -> RenderableType:
    """What `feedsvc rules diff` found.

    Args:
        found: What would change.
        limit: How many entries to list.
    """
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


def _entries(changes: list[Change], number: int) -> Table:
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
    """Show each text once, with the rule that it is about."""
    distinct = dict.fromkeys((rule, _short(printable(text), _SAMPLE_LENGTH)) for rule, text in pairs if text)
    if not distinct:
        return []
    table = Table("rule", title, title=None)
    for rule, text in islice(distinct, _SAMPLES):
        table.add_row(rule, Text(text))
    return ["", table]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
