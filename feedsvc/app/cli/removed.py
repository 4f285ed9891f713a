"""`feedsvc removed`: lists removals."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedsvc.app.cli.common import ConfigOption, complain, load, out, write_json
from feedsvc.app.cli.show import show_counts, show_removed
from feedsvc.app.make import load_configured
from feedsvc.clean import CAUSES
from feedsvc.intake.restore import check_name, find_entry
from feedsvc.store import Store

if TYPE_CHECKING:
    from feedsvc.app.config import Config
    from feedsvc.store import Reader
    from feedsvc.store.counters import RuleCount
    from feedsvc.store.removals import RemovedItem


def removed(
    *,
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only by this rule.")] = None,
    entry: Annotated[
        str | None, typer.Option("--entry", metavar="ENTRY", help="Only from the entry with this key, id or link.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only from this source.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many to show.")] = 100,
    counts: Annotated[
        bool, typer.Option("--counts", help="How often each rule matches, and how much it takes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the HTML.")] = False,
    config: ConfigOption = None,
) -> None:
    """List what cleaning removed, the newest entries first."""
    if counts and entry is not None:
        raise typer.BadParameter("--counts and --entry do not go together")
    settings = load(config)
    with closing(Store(settings.store.url)) as store, store.reading() as reader:
        if counts:
            _show_counts(_counts(settings, reader, rule, source), as_json=as_json)
            return
        subject = None if entry is None else find_entry(reader.removals, entry)
        _check(settings, reader, rule, source)
        found = reader.removals.removed(rule=rule, entry=subject, source=source, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        write_json([_as_json(item) for item in shown])
    else:
        out.print(show_removed(shown), soft_wrap=True)
    if len(found) > limit:
        complain(f"feedsvc: there are more than {limit}; see more of them with --limit")


def _counts(settings: Config, reader: Reader, rule: str | None, source: str | None) -> list[RuleCount]:
    found = reader.counters.counts()
    if rule is not None:
        check_name("rule", rule, {count.rule for count in found} | _rule_names(settings))
    if source is not None:
        check_name("source", source, {count.source for count in found})
    return [count for count in found if rule in (None, count.rule) and source in (None, count.source)]


def _check(settings: Config, reader: Reader, rule: str | None, source: str | None) -> None:
    # A rule that is loaded may not have removed anything yet, and one that did may be gone from the packs.
    if rule is not None and rule not in (names := _rule_names(settings)):
        check_name("rule", rule, names | reader.removals.rules())
    if source is not None:
        check_name("source", source, reader.removals.sources())


def _rule_names(settings: Config) -> set[str]:
    return {rule.name for rule in load_configured(settings).rules} | {cause.name for cause in CAUSES}


def _show_counts(counts: list[RuleCount], *, as_json: bool) -> None:
    if not as_json:
        out.print(show_counts(counts), width=None if out.is_terminal else 160)  # a pipe takes long lines
        return
    write_json([
        {
            "rule": count.rule,
            "source": count.source,
            "dumps": count.standing.dumps,
            "matched": count.standing.matched,
            "silent": count.standing.silent,
            "match_fast": round(count.standing.match_fast, 4),
            "match_slow": round(count.standing.match_slow, 4),
            "share_fast": round(count.standing.share_fast, 4),
            "share_slow": round(count.standing.share_slow, 4),
            "alarm": count.alarm,
            "since": count.began.isoformat() if count.began else None,
        }
        for count in counts
    ])  # fmt: skip


def _as_json(item: RemovedItem) -> dict[str, Any]:
    return {
        "entry": item.entry.key,
        "id": item.entry.id,
        "title": item.entry.title,
        "source": item.entry.source,
        "removal": item.position,
        "rule": item.removal.rule,
        "reason": item.removal.reason,
        "text": item.removal.text,
        "html": item.removal.html,
        "restored": item.removal.restored,
    }
