"""The rules that the store was cleaned with, and the dumps that other rules may change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from feedsvc.store.schema import dumps, entries, removals, rulesets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

_BATCH = 500  # rows read at a time


@dataclass(frozen=True, slots=True)
class SavedRules:
    """A set of rules as it was saved.

    Attributes:
        digest: What entries name as their `cleaner`.
        version: The feedsvc that used them.
        rules: As JSON values.
    """

    digest: str
    version: str
    rules: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RawDump:
    """The data that decide if a rule may change an entry.

    Attributes:
        number: The entry's.
        published: In seconds since 1970.
        raw: The bytes of its dump, compressed (zlib).
    """

    number: int
    published: int
    link: str | None
    source: str | None
    raw: bytes


def save_live_rules(connection: sa.Connection, saved: SavedRules, now: datetime) -> None:
    """Save the live rules; forget rules that no entry was cleaned with any more."""
    used = sa.select(entries.c.cleaner).distinct()
    connection.execute(
        rulesets.delete().where(sa.or_(rulesets.c.digest == saved.digest, rulesets.c.digest.not_in(used)))
    )
    # Whatever the clock says, the last rules that were saved are the live ones.
    last = connection.execute(sa.select(sa.func.max(rulesets.c.live, type_=rulesets.c.live.type))).scalar()
    now = now if last is None else max(now, last + timedelta(seconds=1))
    connection.execute(
        rulesets.insert().values(
            digest=saved.digest, version=saved.version, rules=json.dumps(saved.rules, ensure_ascii=False), live=now
        )
    )


def load_live_rules(connection: sa.Connection) -> SavedRules | None:
    """The rules that were saved last, or None."""
    row = connection.execute(sa.select(rulesets).order_by(rulesets.c.live.desc()).limit(1)).one_or_none()
    return None if row is None else SavedRules(row.digest, row.version, json.loads(row.rules))


def load_raw_dumps(
    connection: sa.Connection,
    live: sa.ColumnElement[bool],
    *,
    hosts: Collection[str] | None,
    sources: Collection[str],
    source: str | None,
) -> Iterator[RawDump]:
    """The dumps that live entries come from, where they are still kept.

    Args:
        connection: What to read by.
        live: True for live entries.
        hosts: Only entries whose link names one of these, perhaps elsewhere than as its host, or that have one of
            `sources`; None for all.
        sources: See `hosts`.
        source: Only entries with this source; None for all.
    """
    query = (
        sa.select(
            entries.c.number,
            sa.type_coerce(entries.c.published, sa.BigInteger).label("published"),
            entries.c.link,
            entries.c.source,
            sa.type_coerce(dumps.c.raw, sa.LargeBinary).label("raw"),
        )
        .join(dumps, dumps.c.id == entries.c.dump)
        .where(live, dumps.c.raw.is_not(None))
    )
    if hosts is not None:
        reached = [entries.c.link.contains(host, autoescape=True) for host in sorted(hosts)]
        query = query.where(sa.or_(entries.c.source.in_(sorted(sources)), *reached))
    if source is not None:
        query = query.where(entries.c.source == source)
    for row in connection.execution_options(yield_per=_BATCH).execute(query):
        yield RawDump(*row)


def load_removed(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    """The removals of entries: number to rule and text of each."""
    query = (
        sa.select(removals.c.entry, removals.c.rule, removals.c.text)
        .where(removals.c.entry.in_(numbers))
        .order_by(removals.c.entry, removals.c.position)
    )
    found: dict[int, list[tuple[str, str]]] = {}
    for number, rule, text in connection.execute(query):
        found.setdefault(number, []).append((rule, text))
    return found
