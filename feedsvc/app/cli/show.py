"""Renders results for people on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from feedsvc.app.check import Level
from feedsvc.clean.drift import count_removals
from feedsvc.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from feedsvc.app.check import Check
    from feedsvc.clean import Explanation
    from feedsvc.model import Removal
    from feedsvc.store.counters import RuleCount
    from feedsvc.store.removals import RemovedItem

_COMMANDS = dict.fromkeys([*range(ord("\n")), *range(ord("\v"), ord(" ")), *range(0x7F, 0xA0)])
_MARKS = {Level.FINE: "[green]ok[/]", Level.WARNING: "[yellow]warning[/]", Level.ERROR: "[red]error[/]"}


def show_explanation(explanation: Explanation, *, coloured: bool) -> Text:
    """Show an article with its removals in place, then the number and size of the removals of each rule.

    Args:
        explanation: From the cleaner.
        coloured: Removals are red and struck; else they stand between marks, as `[-share-links: text-]`.
    """
    article = explanation.entry
    shown = Text(_plain(article.title), style="bold")
    shown.append(f"\n{article.published:%Y-%m-%d %H:%M:%S} UTC\n", style="not bold")
    for label, value in (("link", article.link), ("author", article.author), ("rights", article.rights)):
        if value:
            shown.append(f"{label}: {_plain(value)}\n", style="not bold")
    shown.append("\n")
    for piece in explanation.text:
        if isinstance(piece, str):
            shown.append(_plain(piece), style="not bold")
        else:
            shown.append_text(_mark(article.removals[piece], coloured=coloured))
    if explanation.elsewhere:
        shown.append("\n\nwhen broken markup was cleaned once more:", style="not bold")
        for number in explanation.elsewhere:
            shown.append("\n").append_text(_mark(article.removals[number], coloured=coloured))
    shown.append(f"\n\nremoved: {len(article.removals)}", style="bold")
    for share in count_removals(article.removals):
        characters = f"{share.characters} characters"
        shown.append(f"\n{share.rule}: {share.reason}: {share.number} removed, {characters}", style="not bold")
    return shown


def show_removed(items: Sequence[RemovedItem]) -> Text:
    """Show a line for each entry, then a line for each of its removals."""
    shown = Text()
    before = None
    for item in items:
        if item.entry != before:
            source = f" ({printable(item.entry.source)})" if item.entry.source else ""
            shown.append(item.entry.key, style="bold").append(f" {printable(item.entry.title)}{source}\n")
            before = item.entry
        shown.append(f"  {item.position} ").append(item.removal.rule, style="bold")
        if item.removal.restored:
            shown.append(" (restored)", style="green")
        shown.append(f": {_excerpt(item.removal, 400)}\n")
    shown.append("nothing\n" if not items else "")
    shown.right_crop(1)
    return shown


def show_counts(counts: Iterable[RuleCount]) -> Table:
    """Show how often each rule matches and how much it takes: of late (20 dumps), and on the whole (200)."""
    table = Table.grid(padding=(0, 2))
    table.add_row("source", "rule", "matched", "of late (on the whole)", "takes of late (on the whole)", "alarm")
    for count in counts:
        now = count.standing
        table.add_row(
            Text(printable(count.source), overflow="fold"),
            Text(count.rule, overflow="fold"),
            f"{now.matched} of {now.dumps}",
            f"{now.match_fast:.1%} ({now.match_slow:.1%})",
            f"{now.share_fast:.1%} ({now.share_slow:.1%})",
            count.alarm or "",
        )
    return table


def _mark(removal: Removal, *, coloured: bool) -> Text:
    text = _plain(removal.text) or _excerpt(removal, 120)
    if not coloured:
        return Text(f"[-{removal.rule}: {text}-]", style="not bold")
    return Text.assemble((text, "not bold red strike"), (f" ({removal.rule})", "not bold dim red"))


def show_checks(checks: Iterable[Check]) -> RenderableType:
    """Show the results of `feedsvc check`."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        table.add_row(_MARKS[check.level], escape(printable(check.about)), escape(printable(check.message)))
    return table


def show_status(status: Mapping[str, Any]) -> RenderableType:
    """Show the result of `collect_status`, with "ready" and "parts"."""
    table = Table.grid(padding=(0, 2))
    table.add_row("ready", "[green]yes[/]" if status["ready"] else "[red]no[/]")
    working = [name for name, state in status["parts"].items() if state == "ok"]
    if working:
        table.add_row("working", escape(printable(", ".join(working))))
    for name, state in status["parts"].items():
        if state != "ok":
            table.add_row("[red]not working[/]", escape(printable(f"{name}: {state}")))
    table.add_row("entries", str(status["entries"]))
    for name, number in status["feeds"].items():
        table.add_row("feed", f"{escape(name)}: {number} entries")
    for outcome, number in status["dumps"].items():
        table.add_row("dumps", f"{outcome}: {number}")
    for problem in status["problems"]:
        line = f":{problem['line']}" if problem.get("line") else ""
        text = f"{printable(problem['about'])}{line}: {printable(problem['message'])}"
        table.add_row("[red]problem[/]", escape(text))
    return table


def _plain(text: str) -> str:
    """Return the text without codes that steer a terminal."""
    return text.translate(_COMMANDS)


def _excerpt(removal: Removal, limit: int) -> str:
    """Return the text of a removal, or else its HTML, on one line."""
    text = " ".join(_plain(removal.text or removal.html).split())
    return text if len(text) <= limit else f"{text[:limit]}…"
