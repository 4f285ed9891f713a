"""A transaction that reads cannot write: its objects have no methods for it, and SQLite refuses it."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from feedsvc.errors import StoreError
from feedsvc.store import Store
from feedsvc.store.schema import problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from feedsvc.store import Reader

WRITES = re.compile(
    "(save|drop|mint|name_sources|abandon|begin|join|leave|close|cut|count$|note|forget|mark_|rule$|retire|refresh|touch"
    "|open|withdraw|attempt|connection)"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        yield store


def parts_of(reader: Reader) -> dict[str, object]:
    return {name: part for name, part in vars(reader).items() if not name.startswith("_")} | {"itself": reader}


def test_a_transaction_that_reads_has_no_writing_methods(store: Store) -> None:
    with store.writing() as writer:
        written = {name: set(dir(part)) for name, part in parts_of(writer).items() if name != "connection"}
    with store.reading() as reader:
        read = {name: set(dir(part)) for name, part in parts_of(reader).items()}
    assert read.keys() == written.keys()
    assert all(read[name] < written[name] for name in read)
    names = {name: {each for each in read[name] if WRITES.match(each)} for name in read}
    assert not any(names.values())
    only = {name: {each for each in written[name] - read[name] if not each.startswith("_")} for name in read}
    assert {each for some in only.values() for each in some if not WRITES.match(each)} == set()


def test_sqlite_refuses_a_write_while_reading_and_takes_the_next_one(store: Store) -> None:
    insert = problems.insert().values(key="k", message="m", since=None)
    with pytest.raises(StoreError, match="readonly"), store.reading() as reader:
        reader._connection.execute(insert)  # noqa: SLF001 - nothing public leads to it
    with store.writing() as writer:
        writer.drop_problem(None)
