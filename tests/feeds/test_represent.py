from __future__ import annotations

import gzip
from datetime import UTC, datetime

import brotli
import zstandard

from feedsvc.feeds.represent import represent

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)


def test_represent() -> None:
    large = b"<p>text</p>" * 100
    made = represent(large, "text/html", last_modified=NOW.replace(microsecond=7), max_age=60)
    assert gzip.decompress(made.codings["gzip"]) == made.body == large
    assert brotli.decompress(made.codings["br"]) == large
    assert zstandard.ZstdDecompressor().decompress(made.codings["zstd"]) == large
    sizes = [len(data) for data in made.codings.values()]
    assert sizes == sorted(sizes)
    assert sizes[-1] < len(large)
    assert made.codings["gzip"][4:8] == bytes(4)  # no time of making
    assert made.last_modified == NOW
    assert (made.media_type, made.max_age) == ("text/html", 60)
    assert made == represent(large, "text/html", last_modified=NOW, max_age=60)


def test_no_coding_that_is_larger() -> None:
    assert represent(b"x", "text/plain", last_modified=None, max_age=0).codings == {}


def test_immutable() -> None:
    assert represent(b"a", "x", last_modified=None, max_age=1, immutable=True).immutable
    assert not represent(b"a", "x", last_modified=None, max_age=1).immutable


def test_etag_follows_the_bytes() -> None:
    one, same, other = (
        represent(data, media_type, last_modified=moment, max_age=age).etag
        for data, media_type, moment, age in ((b"a", "x", NOW, 1), (b"a", "y", None, 2), (b"b", "x", NOW, 1))
    )
    assert one == same != other
    assert len(one) >= 32
    assert one.isalnum()
