"""A change travels from a dump through the daemon and a hub to a subscriber; hubs in trouble delay no feed."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import feedparser
import pytest
from sites import Site, running
from waiting import wait_for

from e2e.harness import free_port, make_dump
from e2e.hub import Hub, Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from e2e.conftest import Daemons, Promptly
    from e2e.harness import Daemon, Response


def publishing(daemons: Daemons, *hubs: str, allow_private: bool = True) -> Daemon:
    """A daemon that does not run yet."""
    daemon = daemons.prepare()
    daemon.configure({"base_url": daemon.address, "websub": {"hubs": list(hubs), "allow_private": allow_private}})
    return daemon


def problems(daemon: Daemon) -> dict[str, str]:
    return {problem["about"]: problem["message"] for problem in daemon.status()["problems"]}


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    with hub.running():
        yield hub


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    subscriber = Subscriber("a secret between two")
    with subscriber.running():
        yield subscriber


def test_a_new_entry_reaches_a_subscriber(daemons: Daemons, hub: Hub, subscriber: Subscriber) -> None:
    daemon = publishing(daemons, hub.address)
    daemon.drop("first.txt", make_dump("the first article"))
    daemon.start()
    daemon.serve("the first article")

    # Discovery (section 4): the feed names its hub and its own address.
    feed = feedparser.parse(daemon.get("/feed.atom").body).feed
    links = {link.rel: link.href for link in feed.links}
    assert links["hub"] == hub.address
    topic = links["self"]
    assert subscriber.ask(links["hub"], "subscribe", topic) == 202
    wait_for(lambda: hub.subscriptions)
    wait_for(lambda: topic in hub.pings)

    daemon.serve("the second article")
    wait_for(lambda: subscriber.received)
    wait_for(lambda: "the second article" in feedparser.parse(subscriber.received[-1].body).entries[0].title)
    message = subscriber.received[-1]
    assert message.body == daemon.get("/feed.atom").body
    assert message.fields["content-type"] == "application/atom+xml; charset=utf-8"
    assert f'<{topic}>; rel="self"' in message.fields["link"]
    assert not subscriber.rejected

    # Whoever no longer wants it gets no more.
    assert subscriber.ask(hub.address, "unsubscribe", topic) == 202
    wait_for(lambda: not hub.subscriptions)
    number, pings = len(subscriber.received), len(hub.pings)
    daemon.serve("the third article")
    wait_for(lambda: len(hub.pings) > pings)
    assert len(subscriber.received) == number


def test_a_subscription_that_nobody_asked_for_is_neither_made_nor_ended(hub: Hub, subscriber: Subscriber) -> None:
    mine, other = "https://feeds.example.org/feed.atom", "https://feeds.example.org/other.atom"
    subscriber.ask(hub.address, "subscribe", mine)
    wait_for(lambda: hub.subscriptions)
    for mode, topic in (("subscribe", other), ("unsubscribe", mine)):
        number = len(hub.verified)
        subscriber.ask(hub.address, mode, topic, forged=True)
        wait_for(partial(verified_more, hub, number))
        assert [topic for _, topic in hub.subscriptions] == [mine]


def verified_more(hub: Hub, before: int) -> bool:
    return len(hub.verified) > before


def test_what_a_hub_knows_is_not_told_again(daemons: Daemons, hub: Hub) -> None:
    daemon = publishing(daemons, hub.address)
    daemon.drop("first.txt", make_dump("the first article"))
    daemon.start()
    wait_for(lambda: daemon.log.count("hub told") == 3)  # of each format
    daemon.stop()
    daemon.start()  # with nothing new
    daemon.stop()
    daemon.drop("second.txt", make_dump("the second article"))  # while it does not run
    daemon.start()
    wait_for(lambda: daemon.log.count("hub told") == 6)
    assert len(hub.pings) == 6


def test_a_hub_that_was_down_is_told_later(daemons: Daemons) -> None:
    port = free_port()
    daemon = publishing(daemons, f"http://127.0.0.1:{port}/")
    daemon.start()
    daemon.serve("an article")
    about = f"websub:http://127.0.0.1:{port}/"
    daemon.wait_for_log("event=problem", about)
    with running(Site(port=port)) as site:
        wait_for(lambda: site.asked)
        daemon.wait_for_log("problem ended", about)
    assert about not in problems(daemon)


def self_signed(folder: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    file = folder / "hub.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", file, "-out", f"{file}.crt"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{file}.crt", file)
    return context


@contextmanager
def never() -> Iterator[threading.Event]:
    """What is not set until all is over."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


def has(title: str, feed: Response) -> bool:
    return title in feed.titles


def was_told(hub: Site, before: int) -> bool:
    return len(hub.asked) > before


def test_hubs_in_trouble_delay_no_feed(daemons: Daemons, tmp_path: Path, promptly: Promptly) -> None:
    """All at once, beside one that is well: it is told at once, and each of the others is reported for what it is."""
    with ExitStack() as stack:

        def site(status: int = 204, fields: tuple[tuple[str, str], ...] = (), content: bytes = b"") -> Site:
            return stack.enter_context(running(Site(status, fields, content)))

        well, inner, slow = site(), site(), site()
        slow.gate = stack.enter_context(never())
        broken, busy, strict = site(500), site(429, (("Retry-After", "3600"),)), site(404, content=b"no such topic")
        moved = site(307, (("Location", f"http://127.0.0.1:{inner.port}/"),))
        backlog = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))  # takes in, never answers
        insecure = stack.enter_context(running(Site(), self_signed(tmp_path)))
        failing = {
            f"http://127.0.0.1:{free_port()}/": "cannot be told of changes: ",
            f"http://127.0.0.1:{slow.port}/": "no answer within 10 s",
            f"http://127.0.0.1:{backlog.getsockname()[1]}/": "no answer within 10 s",
            f"http://127.0.0.1:{broken.port}/": "is in trouble: status 500",
            f"http://127.0.0.1:{busy.port}/": "status 429",
            f"http://127.0.0.1:{strict.port}/": "status 404 (no such topic)",
            f"http://127.0.0.1:{moved.port}/": f"on to http://127.0.0.1:{inner.port}/",
            f"https://127.0.0.1:{insecure.port}/": "self-signed certificate",
        }
        daemon = publishing(daemons, *failing, f"http://127.0.0.1:{well.port}/")
        daemon.start()
        for number in range(5):
            title = f"article {number}"
            told = len(well.asked)
            daemon.drop(f"{number}.txt", make_dump(title))
            promptly(daemon, partial(has, title))
            wait_for(partial(was_told, well, told))
        for hub in failing:
            daemon.wait_for_log("event=problem", f"websub:{hub}")
        said = problems(daemon)
        for hub, reason in failing.items():
            assert reason in said[f"websub:{hub}"]
        assert f"websub:http://127.0.0.1:{well.port}/" not in said
        assert inner.asked == []
        assert insecure.asked == []
        daemon.stop()  # promptly, whatever is in flight


def test_a_hub_at_a_private_address_is_refused(daemons: Daemons) -> None:
    with running(Site()) as hub:
        daemon = publishing(daemons, f"http://localhost:{hub.port}/", allow_private=False)
        daemon.start()
        daemon.serve("an article")
        about = f"websub:http://localhost:{hub.port}/"
        assert "no public address" in daemon.wait_for_log("event=problem", about)
        assert hub.asked == []
