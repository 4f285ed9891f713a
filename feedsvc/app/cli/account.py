"""`feedsvc removed` and `feedsvc restore`: what cleaning took out, and bringing it back."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedsvc.app.cli.common import ConfigOption, complain, load, opened, out
from feedsvc.app.cli.show import printable, show_counts, show_removed
from feedsvc.clean import CAUSES, load_rules
from feedsvc.intake.restore import check_name, find_entry, restore_removal
from feedsvc.runtime.logs import set_up_logs
from feedsvc.store import Store

if TYPE_CHECKING:
    from feedsvc.app.config import Config
    from feedsvc.store.account import Account, RemovedItem
    from feedsvc.store.counters import RuleCount

__all__ = ["removed", "restore"]

RuleOption = Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only by this rule.")]
EntryOption = Annotated[
    str | None, typer.Option("--entry", metavar="ENTRY", help="Only from the entry with this key, id or link.")
]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only from this source.")]


def removed(
    *,
    rule: RuleOption = None,
    entry: EntryOption = None,
    source: SourceOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many to show.")] = 100,
    counts: Annotated[bool, typer.Option("--counts", help="How often each rule matches, and what it takes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the HTML.")] = False,
    config: ConfigOption = None,
) -> None:
    """List what cleaning removed, the newest entries first."""
    if counts and entry is not None:
        raise typer.BadParameter("--counts and --entry do not go together")
    settings = load(config)
    with closing(Store(settings.store.url)) as store, store.accounting() as account:
        if counts:
            _show_counts(_counts(settings, account, rule, source), as_json=as_json)
            return
        subject = None if entry is None else find_entry(account, entry)
        _check(settings, account, rule, source)
        found = account.removed(rule=rule, entry=subject, source=source, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        _write_json([_as_json(item) for item in shown])
    else:
        out.print(show_removed(shown), soft_wrap=True)
    if len(found) > limit:
        complain(f"feedsvc: there are more than {limit}; see more of them with --limit")


def restore(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's key, id or link.")],
    removal: Annotated[int, typer.Argument(metavar="REMOVAL", help="The number that `feedsvc removed` shows.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let it go again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Bring something that cleaning removed back into its entry, for good."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    with opened(load(config)) as (store, ingest):
        item = restore_removal(store, ingest, entry, removal, undo=undo)
    what = f"{item.entry.key} {item.position} {item.removal.rule}: {item.removal.text or item.removal.html}"
    out.print("restored" if item.removal.restored else "goes", printable(what)[:200], markup=False, soft_wrap=True)


def _counts(settings: Config, account: Account, rule: str | None, source: str | None) -> list[RuleCount]:
    found = account.counters.counts()
    if rule is not None:
        check_name("rule", rule, {count.rule for count in found} | _rule_names(settings))
    if source is not None:
        check_name("source", source, {count.source for count in found})
    return [count for count in found if rule in (None, count.rule) and source in (None, count.source)]


def _check(settings: Config, account: Account, rule: str | None, source: str | None) -> None:
    # What is loaded now may not have removed anything yet, and what did may be gone from the packs.
    if rule is not None and rule not in (names := _rule_names(settings)):
        check_name("rule", rule, names | account.rules())
    if source is not None:
        check_name("source", source, account.sources())


def _rule_names(settings: Config) -> set[str]:
    folders = [Path(folder) for folder in settings.clean.rules]
    rules = load_rules(site_rules=settings.clean.site_rules, folders=folders)
    return {rule.name for rule in rules.rules} | {cause.name for cause in CAUSES}


def _show_counts(counts: list[RuleCount], *, as_json: bool) -> None:
    if not as_json:
        out.print(show_counts(counts), width=None if out.is_terminal else 160)  # a pipe takes long lines
        return
    _write_json([
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


def _write_json(rows: list[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(rows, ensure_ascii=True, indent=2) + "\n")
