"""What the command line shows to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from feedsvc.check import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from feedsvc.check import Finding
    from feedsvc.model import CleanEntry

__all__ = ["printable", "show_explanation", "show_findings", "show_status"]

MARKS = {Level.FINE: "[green]ok[/]", Level.WARNING: "[yellow]warning[/]", Level.ERROR: "[red]error[/]"}


def printable(text: str) -> str:
    """Text that any terminal takes: lone surrogates (bytes of a path) and control characters escaped."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in safe)


def show_explanation(article: CleanEntry) -> RenderableType:
    """What each rule removed from an article, and what is left."""
    table = Table("rule", "reason", "what went", title=f"removed: {len(article.removals)}", title_justify="left")
    for removal in article.removals:
        what = removal.text or removal.html
        table.add_row(escape(removal.rule), escape(removal.reason), Text(_short(what), style="red"))
    head = Text(article.title, style="bold")
    head.append(f"\n{article.published:%Y-%m-%d %H:%M:%S} UTC", style="not bold")
    for label, value in (("link", article.link), ("author", article.author), ("rights", article.rights)):
        if value:
            head.append(f"\n{label}: {value}", style="not bold")
    return Group(head, "", table, "", Panel(Text(article.text, style="green"), title="what is left"))


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


def _short(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
