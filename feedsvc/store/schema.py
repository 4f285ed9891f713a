"""The tables. A change here needs a migration beside it."""

# ruff: noqa: ARG002 - SQLAlchemy gives each type the dialect

from __future__ import annotations

import os
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)
from sqlalchemy.types import TypeDecorator

from feedsvc.model import Alternate

if TYPE_CHECKING:
    from sqlalchemy import Dialect


class Instant(TypeDecorator[datetime]):
    """Aware UTC time in whole seconds, kept as seconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Time to number."""
        return None if value is None else int(value.timestamp())

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Number to time."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class FilePath(TypeDecorator[str]):
    """A path as the file system has it: bytes, perhaps not UTF-8."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Path to bytes."""
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Bytes to path."""
        return None if value is None else os.fsdecode(value)


class Readable(TypeDecorator[str]):
    """Text for people; bytes of a path that are no Unicode are escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Make it storable."""
        return None if value is None else value.encode("utf-8", "backslashreplace").decode()


class Compressed(TypeDecorator[bytes]):
    """Bytes kept compressed (zlib): dumps shrink to a third."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Compress."""
        return None if value is None else zlib.compress(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Decompress."""
        return None if value is None else zlib.decompress(value)


LIVE, WITHDRAWN, RETIRED = "live", "withdrawn", "retired"  # an entry's states


class Alternates(TypeDecorator[tuple[Alternate, ...]]):
    """Other versions of an article, kept as pairs of address and language."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: tuple[Alternate, ...] | None, dialect: Dialect) -> list[list[str | None]]:
        """Alternates to lists."""
        return [[alternate.href, alternate.language] for alternate in value or ()]

    def process_result_value(self, value: list[list[str]] | None, dialect: Dialect) -> tuple[Alternate, ...]:
        """Lists to alternates."""
        return tuple(Alternate(href, language) for href, language in value or ())


metadata = MetaData()

# A dump file with any outcome.
dumps = Table(
    "dumps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", FilePath, nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),  # of the raw bytes
    Column("outcome", String(16), nullable=False, index=True),
    Column("reason", Readable),
    Column("line", Integer),
    Column("raw", Compressed),  # null for a file that is no dump, and after retention
    Column("seen", Instant, nullable=False),
    Column("gone", Instant),  # when the file was found deleted
    Index("dumps_by_outcome", "gone", "outcome"),  # counted at each scrape of the metrics
)

entries = Table(
    "entries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("link", Text),
    Column("published", Instant, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("author", Text),
    Column("source", Text),
    Column("categories", JSON, nullable=False),
    Column("language", Text),
    Column("content", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("rights", Text),
    Column("images", JSON, nullable=False),
    Column("alternates", Alternates, nullable=False, server_default="[]"),
    Column("digest", String(64), nullable=False),  # of the article
    Column("cleaner", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),  # live, withdrawn, retired
    Column("dump", ForeignKey("dumps.id")),  # with position: where the content came from
    Column("position", Integer),
    Column("stood_back", Boolean, nullable=False, server_default=false(), index=True),  # rules did, for taking too much
    Column("revision", BigInteger, nullable=False, server_default="0", index=True),  # of the last change feeds can see
    Index("entries_by_published", "state", "published"),
    Index("entries_by_source", "source"),
    Index("entries_by_number", "state", "number", "updated"),
)

# The dumps that hold an entry; one entry may be in many dumps, and one dump may hold many.
articles = Table(
    "articles",
    metadata,
    Column("dump", ForeignKey("dumps.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("entry", ForeignKey("entries.number"), nullable=False, index=True),
    Column("published", Instant, nullable=False),  # as this dump says
)

# The names that find an entry.
aliases = Table(
    "aliases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("entry", ForeignKey("entries.number"), nullable=False, index=True),
)

removals = Table(
    "removals",
    metadata,
    Column("entry", ForeignKey("entries.number"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("rule", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("restored", Boolean, nullable=False, server_default=false()),  # it would have gone, but is kept
)

# Removals that stay in an entry for good, by the digest of their HTML.
restored = Table(
    "restored",
    metadata,
    Column("entry", ForeignKey("entries.number"), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("rule", Text, nullable=False),  # that took it when it was restored
)

# The number of entries added of a source, for the next table; see feedsvc.clean.drift.
drift_sources = Table(
    "drift_sources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("dumps", Integer, nullable=False),
    Column("cleaner", String(64), nullable=False),
    Column("since", Integer, nullable=False),  # how many there were when this cleaner came
)

# One counter a rule that ever matched in a source.
drift = Table(
    "drift",
    metadata,
    Column("source", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("since", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("match_fast", Float, nullable=False),
    Column("match_slow", Float, nullable=False),
    Column("share_fast", Float, nullable=False),
    Column("share_slow", Float, nullable=False),
    Column("alarm", String(16)),
    Column("message", Text),  # as it was when the alarm began
    Column("began", Instant),
)

feeds = Table(
    "feeds",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("born", Instant, nullable=False),
    Column("digest", String(64)),  # of the document last published
    Column("last_modified", Instant),  # when that document first differed from the one before
)

# One row: the last revision. A transaction that changes entries holds it until the end of the transaction.
revisions = Table(
    "revisions",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("archived", BigInteger, nullable=False, server_default="0"),  # the last one that archives have taken over
)

# The name of the feed of a source, for ever.
source_feeds = Table(
    "source_feeds",
    metadata,
    Column("source", Text, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
)

# The versions that WebSub hubs know; see feedsvc.feeds.websub.
announced = Table(
    "announced",
    metadata,
    Column("hub", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("version", Text, nullable=False),
)

# Problems that the daemon reports at present.
problems = Table(
    "problems",
    metadata,
    Column("key", Readable, primary_key=True),
    Column("message", Readable, nullable=False),
    Column("since", Instant, nullable=False),
)

# The history of problems; see feedsvc.ops.incidents.
incidents = Table(
    "incidents",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("key", Readable, nullable=False),
    Column("message", Readable, nullable=False),
    Column("since", Instant, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("ended", Instant),
)

# The rules that the store was cleaned with; the last one that became live is the live one.
rulesets = Table(
    "rulesets",
    metadata,
    Column("digest", String(64), primary_key=True),  # the cleaner of entries
    Column("version", Text, nullable=False),  # of feedsvc
    Column("rules", Text, nullable=False),  # JSON
    Column("live", Instant, nullable=False),  # since when
)

# Blocks that recur in the heads and tails of a source's dumps; see feedsvc.clean.learning.census.
learned_sources = Table(
    "learned_sources",
    metadata,
    Column("source", Text, primary_key=True),  # or a host, for dumps without a source
    Column("dumps", Integer, nullable=False),  # that were counted
    Column("changes", Integer, nullable=False),  # of the learned blocks
)

sighted_blocks = Table(
    "sighted_blocks",
    metadata,
    Column("source", Text, primary_key=True),
    Column("block", String(16), primary_key=True),
    Column("shape", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("edge", Integer, nullable=False),
    Column("closes", Integer, nullable=False),
    Column("leads", Integer, nullable=False),
    Column("links", String(16), nullable=False),
    Column("same", Integer, nullable=False),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

sighted_shapes = Table(
    "sighted_shapes",
    metadata,
    Column("source", Text, primary_key=True),
    Column("shape", Text, primary_key=True),
    Column("seen", Integer, nullable=False),
    Column("fresh", Integer, nullable=False),
    Column("missed", Integer, nullable=False),
    sqlite_with_rowid=False,
)

learned_blocks = Table(
    "learned_blocks",
    metadata,
    Column("source", Text, primary_key=True),
    Column("block", String(16), primary_key=True),
    Column("state", String(16), nullable=False),  # learned, pinned, vetoed
    Column("sign", String(16), nullable=False),
    Column("links", String(16)),
    Column("text", Text, nullable=False),
)

# The archive of a feed; see feedsvc.feeds.formats.archive.
archives = Table(
    "archives",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("feed", String(64), nullable=False, unique=True),
    Column("membership", String(64), nullable=False),  # fingerprint of the feed's filter
    Column("first", Integer, nullable=False),  # page of the chain: earlier ones are of another membership
    Column("closed", Integer, nullable=False),  # the number of the last closed page
)

# Closed pages that were asked for: from then on they keep their bytes.
archive_pages = Table(
    "archive_pages",
    metadata,
    Column("archive", ForeignKey("archives.number"), primary_key=True),
    Column("page", Integer, primary_key=True),
    Column("body", Compressed, nullable=False),  # with a placeholder for the base URL
    Column("modified", Instant, nullable=False),
)

# The pages that hold an entry. One whose article changed after its page got its bytes is in a later page too.
archive_entries = Table(
    "archive_entries",
    metadata,
    Column("entry", ForeignKey("entries.number"), primary_key=True),
    Column("archive", ForeignKey("archives.number"), primary_key=True),
    Column("page", Integer, primary_key=True),  # 0: in none that is closed
    Column("updated", Instant),  # as the page's bytes say; null while it has none
    Index("archive_entries_by_page", "archive", "page"),
    sqlite_with_rowid=False,
)

# Entries as they were published; see feedsvc.feeds.guard.
published = Table(
    "published",
    metadata,
    Column("key", String(32), primary_key=True),  # of the entry
    Column("id", Text, nullable=False),
    Column("updated", Instant, nullable=False),
    Column("digest", String(64), nullable=False),  # of the article
    Column("origin", String(64)),  # digest of the dump that it came from
)

# Entries that cannot be published.
left_out = Table(
    "left_out",
    metadata,
    Column("key", String(32), primary_key=True),  # of the entry
    Column("reason", Readable, nullable=False),
    Column("version", String(64), nullable=False),  # of the entry and of feedsvc: another is tried again
    Column("since", Instant, nullable=False),
)
