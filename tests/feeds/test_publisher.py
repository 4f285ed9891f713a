from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from feed_documents import Shelf, make_document

from feedsvc.errors import RenderError, StoreError
from feedsvc.feeds.publisher import Resource
from feedsvc.feeds.represent import represent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from feedsvc.feeds.formats import Renderer
    from feedsvc.feeds.publisher import Publisher
    from feedsvc.model import FeedDocument, Representation

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


def render_list(documents: Mapping[str, FeedDocument], base_url: str) -> bytes:
    return f"{[(name, document.title) for name, document in documents.items()]} at {base_url}".encode()


def text(feed: str | None, render: Any) -> Resource:  # noqa: ANN401 - of one or of all documents
    return Resource("text/plain", feed, render)


EVERYTHING = {"/plain": text("feed", render_plain), "/fixed": text("feed", render_fixed)}


def make_shelf(base_url: str | None = BASE, **options: Any) -> Shelf:  # noqa: ANN401 - as Publisher has them
    return Shelf(EVERYTHING, base_url, **options)


def body(publisher: Publisher, base_url: str = BASE, address: str = "/plain") -> bytes | None:
    found = publisher.representation(address, base_url)
    return found.body if found else None


def test_nothing_before_the_first_publication() -> None:
    publisher = make_shelf().publisher
    assert (publisher.ready, publisher.document, dict(publisher.documents)) == (False, None, {})
    assert publisher.prepared("/plain", BASE) is None
    assert body(publisher) is None


def test_publish_swaps() -> None:
    shelf = make_shelf()
    publisher = shelf.publisher
    for title, moment in (("first", NOW), ("second", LATER)):
        document = make_document(title=title)
        shelf.publish(document, at=moment)
        assert publisher.ready
        assert publisher.addresses == ("/plain", "/fixed")
        assert publisher.document == document
        assert body(publisher) == f"{title} at {BASE}".encode()
        found = publisher.representation("/plain", BASE)
        assert found
        assert (found.last_modified, found.media_type, found.max_age) == (moment, "text/plain", 60)


def test_unknown_address() -> None:
    shelf = make_shelf()
    assert not shelf.publisher.has("/plain")
    shelf.publish(make_document())
    assert (shelf.publisher.has("/plain"), shelf.publisher.has("/nothing")) == (True, False)
    assert shelf.publisher.representation("/nothing", BASE) is None


def test_same_bytes_keep_last_modified() -> None:
    shelf = make_shelf()
    publisher = shelf.publisher
    shelf.publish(make_document(title="first"), at=NOW)
    shelf.publish(make_document(title="second"), at=LATER)
    moments = [found.last_modified for address in publisher.addresses if (found := publisher.prepared(address, BASE))]
    assert moments == [LATER, NOW]


def test_failure_keeps_the_last_good_one() -> None:
    shelf = make_shelf(None, known_bases=(BASE, OTHER))
    publisher = shelf.publisher
    shelf.publish(make_document(title="good"), at=NOW)
    with pytest.raises(RenderError):
        shelf.publish(make_document(title="broken"), at=LATER)
    assert publisher.ready
    assert [body(publisher, base) for base in (BASE, OTHER)] == [f"good at {base}".encode() for base in (BASE, OTHER)]
    shelf.publish(make_document(title="good again"), at=LATER)
    assert body(publisher) == f"good again at {BASE}".encode()


@pytest.mark.parametrize("base_url", [BASE, None])
def test_failure_before_anything_was_asked_for(base_url: str | None) -> None:
    shelf = make_shelf(base_url)
    with pytest.raises(RenderError):
        shelf.publish(make_document(title="broken"))
    assert not shelf.publisher.ready


def test_what_failed_is_tried_again_though_nothing_changed() -> None:
    shelf = make_shelf()
    shelf.publish(make_document(title="good"))
    with pytest.raises(RenderError):
        shelf.publish(make_document(title="broken"))
    shelf.feeds["feed"] = (make_document(title="mended"), LATER)
    shelf.publish()
    assert body(shelf.publisher) == f"mended at {BASE}".encode()


def test_store_that_fails_halfway_is_asked_again() -> None:
    shelf = make_shelf()
    shelf.publish(make_document(title="first"))

    def fail(name: str) -> tuple[FeedDocument, datetime]:
        raise StoreError(name)

    shelf.publisher._load, load = fail, shelf.publisher._load  # noqa: SLF001 - what it was given
    with pytest.raises(StoreError):
        shelf.publish(make_document(title="second"))
    shelf.publisher._load = load  # noqa: SLF001
    shelf.publish()
    assert body(shelf.publisher) == f"second at {BASE}".encode()


def test_renderer_with_a_fault_of_its_own_stops_no_other() -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
        raise ZeroDivisionError

    shelf = Shelf({"/a": text("feed", render), **EVERYTHING}, BASE)
    with pytest.raises(RenderError, match="/a: rendering failed: ZeroDivisionError"):
        shelf.publish(make_document(title="t"))
    assert body(shelf.publisher) == f"t at {BASE}".encode()


def test_configured_base_is_the_only_one() -> None:
    shelf = make_shelf(BASE, known_bases=(OTHER,))
    publisher = shelf.publisher
    shelf.publish(make_document(title="t"))
    for asked in (BASE, OTHER, "http://evil.example"):
        assert body(publisher, asked) == f"t at {BASE}".encode()
        assert publisher.prepared("/plain", asked) is publisher.prepared("/plain", BASE)


def test_new_base_is_rendered_once_and_kept_up_to_date() -> None:
    shelf = make_shelf(None)
    publisher = shelf.publisher
    shelf.publish(make_document(title="first"), at=NOW)
    assert publisher.prepared("/plain", OTHER) is None
    found = publisher.representation("/plain", OTHER)
    assert found
    assert found.body == f"first at {OTHER}".encode()
    assert found.last_modified == NOW
    assert publisher.prepared("/plain", OTHER) is found
    shelf.publish(make_document(title="second"), at=LATER)
    renewed = publisher.prepared("/plain", OTHER)
    assert renewed
    assert renewed.body == f"second at {OTHER}".encode()


def test_least_recently_used_base_goes_and_known_ones_stay() -> None:
    shelf = make_shelf(None, known_bases=(BASE,))
    publisher = shelf.publisher
    shelf.publish(make_document())
    bases = [f"http://host{number}" for number in range(9)]
    for base in bases[:8]:
        assert body(publisher, base)
    assert all(publisher.prepared("/plain", base) for base in bases[:8])
    assert publisher.prepared("/plain", bases[0])  # now the second is the oldest
    assert body(publisher, bases[8])
    assert [base for base in bases if not publisher.prepared("/plain", base)] == [bases[1]]
    assert publisher.prepared("/plain", BASE)


def many(number: int, size: int = 10) -> dict[str, Resource]:
    """The resources of so many feeds beside the feed of everything, and of all."""

    def render(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
        return document.title.encode().ljust(size)

    named = {f"/feeds/{name}": text(f"n{name}", render) for name in range(number)}
    return {**EVERYTHING, "/list": text(None, render_list), **named}


@pytest.mark.slow
def test_only_what_shows_a_changed_feed_is_rendered() -> None:
    rendered: list[str] = []

    def recording(address: str, render: Renderer) -> Renderer:
        def run(document: Any, base_url: str) -> bytes:  # noqa: ANN401 - of one or of all documents
            rendered.append(address)
            return render(document, base_url)

        return run

    resources = {
        address: replace(resource, render=recording(address, resource.render))
        for address, resource in many(1000).items()
    }
    shelf = Shelf(resources, BASE)
    shelf.publish(make_document(), *(make_document(name=f"n{number}") for number in range(1000)))
    assert sorted(rendered) == ["/fixed", "/list", "/plain"]
    for number in range(20):
        assert body(shelf.publisher, address=f"/feeds/{number}")
    assert len(rendered) == 23
    rendered.clear()
    shelf.publish(make_document(name="n7", title="seven"), make_document(name="n700", title="unasked"))
    assert sorted(rendered) == ["/feeds/7", "/list"]
    assert (body(shelf.publisher, address="/feeds/7") or b"").strip() == b"seven"
    assert b"'seven'" in (body(shelf.publisher, address="/list") or b"")
    rendered.clear()
    shelf.publish()
    assert rendered == []


def test_what_was_asked_for_last_is_rendered_first() -> None:
    order: list[str] = []

    def render(document: FeedDocument, base_url: str) -> bytes:  # noqa: ARG001 - a renderer's signature
        order.append(document.name)
        return document.title.encode()

    shelf = Shelf({f"/{name}": text(name, render) for name in ("feed", "a", "b", "c")}, BASE)
    documents = [make_document(name=name) for name in ("feed", "a", "b", "c")]
    shelf.publish(*documents)
    for name in ("c", "a", "b", "a"):
        body(shelf.publisher, address=f"/{name}")
    order.clear()
    shelf.publish(*(replace(document, title="new") for document in documents))
    assert order == ["a", "b", "c", "feed"]


def test_one_feed_is_loaded_once_for_all_that_shows_it() -> None:
    shelf = make_shelf(None, known_bases=(BASE, OTHER))
    shelf.publish(make_document())
    assert shelf.loaded == ["feed"]


def test_feed_that_is_gone_is_forgotten() -> None:
    shelf = Shelf(many(2), BASE)
    shelf.publish(make_document(), make_document(name="n0"), make_document(name="n1"))
    assert body(shelf.publisher, address="/feeds/0")
    shelf.resources = many(0)
    shelf.feeds = {"feed": shelf.feeds["feed"]}
    shelf.publish()
    assert not shelf.publisher.has("/feeds/0")
    assert shelf.publisher.prepared("/feeds/0", BASE) is None


def test_bytes_that_are_kept_are_bounded() -> None:
    shelf = Shelf(many(20, size=1000), BASE, most_bytes=5000)
    shelf.publish(make_document(), *(make_document(name=f"n{number}") for number in range(20)))
    publisher = shelf.publisher
    for number in range(20):
        assert body(publisher, address=f"/feeds/{number}")
        assert publisher.prepared("/feeds/0", BASE)  # asked for all the time, so it stays
    held = [number for number in range(20) if publisher.prepared(f"/feeds/{number}", BASE)]
    assert held[0] == 0
    assert held[1:] == list(range(20 - len(held) + 1, 20))
    assert 2 <= len(held) <= 5
    assert publisher.prepared("/plain", BASE)
    assert body(publisher, address="/feeds/5")  # rendered again


def test_what_is_asked_for_no_more_is_rendered_no_more() -> None:
    shelf = Shelf(many(1), BASE)
    shelf.publish(make_document(), make_document(name="n0"))
    assert body(shelf.publisher, address="/feeds/0")
    held = shelf.publisher._held  # noqa: SLF001 - asking would count
    for number in range(100):
        shelf.publish(make_document(name="n0", title=f"t{number}"), make_document(title=f"t{number}"))
        assert (BASE, "/feeds/0") in held
    shelf.publish(make_document(name="n0", title="last"), make_document(title="last"))
    assert shelf.publisher.prepared("/feeds/0", BASE) is None
    assert shelf.publisher.prepared("/plain", BASE)
    assert (body(shelf.publisher, address="/feeds/0") or b"").strip() == b"last"


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
    shelf = Shelf({"/plain": text("feed", gate.render)}, known_bases=(BASE,))
    shelf.publish(make_document(title="old"))
    gate.entered.clear()
    gate.open.clear()
    publishing = threading.Thread(target=shelf.publish, args=(make_document(title="new"),))
    publishing.start()
    assert gate.entered.wait(10)
    answers: list[bytes | None] = []
    reader = threading.Thread(target=lambda: answers.append(body(shelf.publisher)))
    reader.start()
    reader.join(10)
    assert answers == [f"old at {BASE}".encode()]
    gate.open.set()
    publishing.join(10)
    assert body(shelf.publisher) == f"new at {BASE}".encode()


def test_two_readers_of_a_new_base_render_it_once() -> None:
    gate = Gate()
    rendered: list[str] = []

    def render(document: FeedDocument, base_url: str) -> bytes:
        rendered.append(base_url)
        return gate.render(document, base_url)

    shelf = Shelf({"/plain": text("feed", render)}, known_bases=(BASE,))
    shelf.publish(make_document(title="t"))
    gate.entered.clear()
    gate.open.clear()
    readers = [threading.Thread(target=body, args=(shelf.publisher, OTHER)) for _ in range(2)]
    readers[0].start()
    assert gate.entered.wait(10)
    readers[1].start()
    gate.open.set()
    for reader in readers:
        reader.join(10)
    assert rendered == [BASE, OTHER]
    assert body(shelf.publisher, OTHER) == f"t at {OTHER}".encode()


@pytest.mark.slow
def test_many_threads_never_read_an_older_state_again() -> None:
    def render(document: FeedDocument, base_url: str) -> bytes:
        return f"{document.title} {base_url}".encode()

    shelf = Shelf({"/a": text("feed", render), "/b": text("feed", render)})
    publisher, document = shelf.publisher, make_document()
    shelf.publish(replace(document, title="0"))
    wrong: list[object] = []
    done = threading.Event()

    def read(start: int) -> None:
        number = start
        last: dict[str, int] = {}
        while not done.is_set():
            number += 1
            base = f"http://host{number % 20}"
            found = publisher.representation("/a", base)
            title, _, seen = found.body.decode().partition(" ") if found else ("-1", "", "")
            if seen != base or int(title) < last.get(base, 0):
                wrong.append((base, title, seen))
            last[base] = int(title)

    readers = [threading.Thread(target=read, args=(start,)) for start in range(0, 20, 5)]
    for reader in readers:
        reader.start()
    for number in range(1, 200):
        shelf.publish(replace(document, title=str(number)))
    done.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert body(publisher, "http://host1", "/b") == b"199 http://host1"


def test_archive_pages_are_asked_for_each_time_and_of_feeds_in_atom_only() -> None:
    page = represent(b"page", "application/atom+xml", last_modified=NOW, max_age=1, immutable=True)
    asked = []

    def load_archive(document: FeedDocument, number: int, base_url: str) -> Representation | None:
        asked.append((document.name, number, base_url))
        return page if number == 1 else None

    shown = {"/feed.atom": text("feed", render_plain), "/feeds/asia.json": text("asia", render_plain)}
    shelf = Shelf(shown, load_archive=load_archive)
    publisher = shelf.publisher
    path = "/feeds/feed/archive/1.atom"
    assert not publisher.has(path)
    assert publisher.representation(path, BASE) is None
    shelf.publish(make_document(), make_document(name="asia"))
    assert publisher.has(path)
    assert publisher.prepared(path, BASE) is None
    assert publisher.representation(path, BASE) is page
    assert publisher.representation("/feeds/feed/archive/2.atom", BASE) is None
    assert asked == [("feed", 1, BASE), ("feed", 2, BASE)]
    for other in ("/feeds/asia/archive/1.atom", "/feeds/none/archive/1.atom", "/feeds/feed/archive/0.atom"):
        assert not publisher.has(other)
        assert publisher.representation(other, BASE) is None


def test_what_is_on_demand_is_rendered_when_it_is_first_asked_for_and_kept() -> None:
    renders: list[str] = []

    def render(document: FeedDocument, base_url: str) -> bytes:
        renders.append(document.title)
        return render_plain(document, base_url)

    shelf = Shelf({"/plain": Resource("text/plain", "feed", render, on_demand=True)}, BASE)
    shelf.publish(make_document(title="first"))
    assert (shelf.publisher.ready, renders) == (True, [])
    assert body(shelf.publisher) == f"first at {BASE}".encode()
    shelf.publish(make_document(title="second"))
    assert renders == ["first", "second"]
    assert body(shelf.publisher) == f"second at {BASE}".encode()
