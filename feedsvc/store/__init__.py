"""The memory of feedsvc: dumps, entries, removals, and the names of entries. SQLite by default.

A method that uses the store raises StoreError if that cannot be read or written.

One process may write while others read. SQLite runs in WAL mode, so that readers never wait for
the writer, and with `synchronous = FULL`: a time that was once served as `updated` must survive a
power loss, or readers would see the entry change again. Commits are made a batch at a time, so this
costs one flush to disk a batch.
"""

from feedsvc.store.archives import Archive, ArchivePage
from feedsvc.store.database import MIGRATIONS
from feedsvc.store.feeds import FeedReader, FeedRecord
from feedsvc.store.reader import Reader
from feedsvc.store.rows import Article, DumpFile
from feedsvc.store.rulesets import RawDump, SavedRules
from feedsvc.store.store import Store
from feedsvc.store.writer import Writer

__all__ = [
    "MIGRATIONS",
    "Archive",
    "ArchivePage",
    "Article",
    "DumpFile",
    "FeedReader",
    "FeedRecord",
    "RawDump",
    "Reader",
    "SavedRules",
    "Store",
    "Writer",
]
