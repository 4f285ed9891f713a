from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from feed_documents import make_document

from feedsvc.errors import RenderError
from feedsvc.publish import Publisher

if TYPE_CHECKING:
    from feedsvc.model import FeedDocument

NOW = datetime(2024, 4, 4, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
BASE = "https://feeds.example.org"
OTHER = "http://127.0.0.1:8080"


def render_plain(document: FeedDocument, base_url: str) -> bytes:
    if document.title == "broken":
        raise RenderError("broken")
    return f"{document.title} at {base_url}".encode()


def render_fixed(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
    return b"always the same"


def make_publisher(base_url: str | None = BASE, known_bases: tuple[str, ...] = ()) -> Publisher:
    renderers = {"/plain": ("text/plain", render_plain), "/fixed": ("text/plain", render_fixed)}
    return Publisher(renderers, max_age=60, base_url=base_url, known_bases=known_bases)


def body(publisher: Publisher, base_url: str = BASE, address: str = "/plain") -> bytes | None:
    found = publisher.representation(address, base_url)
    return found.body if found else None


def test_nothing_before_the_first_publication() -> None:
    publisher = make_publisher()
    assert (publisher.ready, publisher.document) == (False, None)
    assert publisher.prepared("/plain", BASE) is None
    assert body(publisher) is None


def test_publish_swaps() -> None:
    publisher = make_publisher()
    assert publisher.addresses == ("/plain", "/fixed")
    for title, moment in (("first", NOW), ("second", LATER)):
        document = make_document(title=title)
        publisher.publish(document, moment)
        assert publisher.ready
        assert publisher.document == document
        assert body(publisher) == f"{title} at {BASE}".encode()
        found = publisher.representation("/plain", BASE)
        assert found
        assert (found.last_modified, found.media_type, found.max_age) == (moment, "text/plain", 60)


def test_unknown_address() -> None:
    publisher = make_publisher()
    publisher.publish(make_document(), NOW)
    assert publisher.representation("/nothing", BASE) is None


def test_same_bytes_keep_last_modified() -> None:
    publisher = make_publisher()
    publisher.publish(make_document(title="first"), NOW)
    publisher.publish(make_document(title="second"), LATER)
    moments = [found.last_modified for address in publisher.addresses if (found := publisher.prepared(address, BASE))]
    assert moments == [LATER, NOW]


def test_failure_keeps_the_last_good_one() -> None:
    publisher = make_publisher(base_url=None, known_bases=(BASE, OTHER))
    good = make_document(title="good")
    publisher.publish(good, NOW)
    with pytest.raises(RenderError):
        publisher.publish(make_document(title="broken"), LATER)
    assert publisher.document == good
    assert [body(publisher, base) for base in (BASE, OTHER)] == [f"good at {base}".encode() for base in (BASE, OTHER)]
    publisher.publish(make_document(title="good again"), LATER)
    assert body(publisher) == f"good again at {BASE}".encode()


@pytest.mark.parametrize("base_url", [BASE, None])
def test_failure_before_anything_was_asked_for(base_url: str | None) -> None:
    publisher = make_publisher(base_url)
    with pytest.raises(RenderError):
        publisher.publish(make_document(title="broken"), NOW)
    assert not publisher.ready


def test_configured_base_is_the_only_one() -> None:
    publisher = make_publisher(BASE, known_bases=(OTHER,))
    publisher.publish(make_document(title="t"), NOW)
    for asked in (BASE, OTHER, "http://evil.example"):
        assert body(publisher, asked) == f"t at {BASE}".encode()
        assert publisher.prepared("/plain", asked) is publisher.prepared("/plain", BASE)


def test_new_base_is_rendered_once_and_kept_up_to_date() -> None:
    publisher = make_publisher(None)
    publisher.publish(make_document(title="first"), NOW)
    assert publisher.prepared("/plain", OTHER) is None
    found = publisher.representation("/plain", OTHER)
    assert found
    assert found.body == f"first at {OTHER}".encode()
    assert found.last_modified == NOW
    assert publisher.prepared("/plain", OTHER) is found
    publisher.publish(make_document(title="second"), LATER)
    renewed = publisher.prepared("/plain", OTHER)
    assert renewed
    assert renewed.body == f"second at {OTHER}".encode()


def test_least_recently_used_base_goes_and_known_ones_stay() -> None:
    publisher = make_publisher(None, known_bases=(BASE,))
    publisher.publish(make_document(), NOW)
    bases = [f"http://host{number}" for number in range(9)]
    for base in bases[:8]:
        assert body(publisher, base)
    assert all(publisher.prepared("/plain", base) for base in bases[:8])
    assert publisher.prepared("/plain", bases[0])  # now the second is the oldest
    assert body(publisher, bases[8])
    assert [base for base in bases if not publisher.prepared("/plain", base)] == [bases[1]]
    assert publisher.prepared("/plain", BASE)


class Gate:
    """A renderer that waits to be let through once it is armed."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def render(self, document: FeedDocument, base_url: str) -> bytes:
        self.entered.set()
        assert self.open.wait(10)
        return render_plain(document, base_url)


def test_readers_see_the_old_state_while_the_new_one_is_rendered() -> None:
    gate = Gate()
    publisher = Publisher({"/plain": ("text/plain", gate.render)}, max_age=60, base_url=None, known_bases=(BASE,))
    publisher.publish(make_document(title="old"), NOW)
    gate.entered.clear()
    gate.open.clear()
    publishing = threading.Thread(target=publisher.publish, args=(make_document(title="new"), LATER))
    publishing.start()
    assert gate.entered.wait(10)
    answers: list[bytes | None] = []
    reader = threading.Thread(target=lambda: answers.append(body(publisher)))
    reader.start()
    reader.join(10)
    assert answers == [f"old at {BASE}".encode()]
    gate.open.set()
    publishing.join(10)
    assert body(publisher) == f"new at {BASE}".encode()


def test_two_readers_of_a_new_base_render_it_once() -> None:
    gate = Gate()
    rendered: list[str] = []

    def render(document: FeedDocument, base_url: str) -> bytes:
        rendered.append(base_url)
        return gate.render(document, base_url)

    publisher = Publisher({"/plain": ("text/plain", render)}, max_age=60, base_url=None, known_bases=(BASE,))
    publisher.publish(make_document(title="t"), NOW)
    gate.entered.clear()
    gate.open.clear()
    readers = [threading.Thread(target=body, args=(publisher, OTHER)) for _ in range(2)]
    readers[0].start()
    assert gate.entered.wait(10)
    readers[1].start()
    gate.open.set()
    for reader in readers:
        reader.join(10)
    assert rendered == [BASE, OTHER]
    assert body(publisher, OTHER) == f"t at {OTHER}".encode()


def test_many_threads_always_read_one_whole_state() -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:
        return f"{document.title} {base_url}".encode()

    publisher = Publisher({"/a": ("x", render), "/b": ("x", render)}, max_age=60, base_url=None)
    document = make_document()
    publisher.publish(replace(document, title="0"), NOW)
    wrong: list[object] = []
    done = threading.Event()

    def read(start: int) -> None:
        number = start
        last = 0
        while not done.is_set():
            number += 1
            base = f"http://host{number % 20}"
            found = publisher.representation("/a", base)
            title, _, seen = found.body.decode().partition(" ") if found else ("-1", "", "")
            if seen != base or int(title) < last:
                wrong.append((base, title, seen))
            last = int(title)

    readers = [threading.Thread(target=read, args=(start,)) for start in range(0, 20, 5)]
    for reader in readers:
        reader.start()
    for number in range(1, 200):
        publisher.publish(replace(document, title=str(number)), NOW)
    done.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert body(publisher, "http://host1", "/b") == b"199 http://host1"
