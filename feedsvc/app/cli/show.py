"""What the command line shows to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from feedsvc.app.check import Level
from feedsvc.clean.drift import count_removals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from feedsvc.app.check import Finding
    from feedsvc.clean import Explanation
    from feedsvc.model import Removal
    from feedsvc.store.account import RemovedItem
    from feedsvc.store.counters import RuleCount

__all__ = ["printable", "show_counts", "show_explanation", "show_findings", "show_removed", "show_status"]

COMMANDS = dict.fromkeys([*range(ord("\n")), *range(ord("\v"), ord(" ")), *range(0x7F, 0xA0)])
MARKS = {Level.FINE: "[green]ok[/]", Level.WARNING: "[yellow]warning[/]", Level.ERROR: "[red]error[/]"}


def printable(text: str) -> str:
    """Text that any terminal takes: lone surrogates (bytes of a path) and control characters escaped."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in safe)


def show_explanation(explanation: Explanation, *, coloured: bool) -> Text:
    """An article with what went in its place, then each rule with how often and how much it took.

    Args:
        explanation: From the cleaner.
        coloured: Whether what went is red and struck; else it stands between marks, as `[-share-links: text-]`.
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
    """What cleaning removed: a line an entry, then a line a removal."""
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
        shown.append(f": {_what(item.removal, 400)}\n")
    shown.append("nothing\n" if not items else "")
    shown.right_crop(1)
    return shown


def show_counts(counts: Iterable[RuleCount]) -> Table:
    """How often each rule matches and how much it takes: of late (some 20 dumps), and on the whole (some 200)."""
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
    what = _plain(removal.text) or _what(removal, 120)
    if not coloured:
        return Text(f"[-{removal.rule}: {what}-]", style="not bold")
    return Text.assemble((what, "not bold red strike"), (f" ({removal.rule})", "not bold dim red"))


def show_findings(findings: Iterable[Finding]) -> RenderableType:
    """What `feedsvc check` found."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(MARKS[finding.level], escape(printable(finding.about)), escape(printable(finding.message)))
    return table


def show_status(status: Mapping[str, Any]) -> RenderableType:
    """What `feedsvc status` collected."""
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
    """Text that no terminal takes for a command."""
    return text.translate(COMMANDS)


def _what(removal: Removal, limit: int) -> str:
    """The text of a removal, or else its HTML, on one line."""
    text = " ".join(_plain(removal.text or removal.html).split())
    return text if len(text) <= limit else f"{text[:limit]}…"
