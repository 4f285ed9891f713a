"""A WebSub hub and a subscriber, after the W3C Recommendation of 23 January 2018; the sections are its own.

Small, but whole: subscriptions are verified by a challenge and end with their lease, content is fetched from the
publisher and distributed with the signature that a secret asks for.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LEASE = 864_000  # seconds, where the subscriber asks for none (5.1 proposes 10 days)
SECONDS = 10  # for any request


@dataclass(frozen=True)
class Message:
    """A request as it came, or a response as it went."""

    path: str
    fields: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode()))

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))


@dataclass(frozen=True)
class Subscription:
    """What a subscriber wants (5.1)."""

    callback: str
    topic: str
    secret: str | None
    ends: float


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = {name.lower(): value for name, value in self.headers.items()}
        status, content = self.server.hear(self.command, Message(self.path, fields, body))
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        with contextlib.suppress(ConnectionError):  # the other side has gone
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def hear(self, method: str, message: Message) -> tuple[int, bytes]:
        """Status and content of the response."""
        raise NotImplementedError

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


def _ask(url: str, body: bytes | None = None, fields: Mapping[str, str] | None = None) -> tuple[int, Message]:
    """Ask without a proxy; redirects of a callback are errors (7)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, body, dict(fields or {}))  # noqa: S310 - loopback only
    try:
        with opener.open(request, timeout=SECONDS) as response:
            named = {name.lower(): value for name, value in response.headers.items()}
            return response.status, Message(url, named, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, Message(url, {}, error.read())
    except OSError:  # nobody is there any more
        return 0, Message(url, {}, b"")


class Hub(_Server):
    """Takes subscriptions and pings, fetches topics, distributes them."""

    def __init__(self) -> None:
        super().__init__()
        self.pings: list[str] = []  # topics
        self.verified: list[bool] = []
        self.subscriptions: dict[tuple[str, str], Subscription] = {}
        self._distributed: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def hear(self, method: str, message: Message) -> tuple[int, bytes]:
        form = message.form
        mode = form.get("hub.mode")
        if method != "POST" or mode not in {"subscribe", "unsubscribe", "publish"}:
            return HTTPStatus.BAD_REQUEST, b"hub.mode must be subscribe, unsubscribe or publish"
        topic = form.get("hub.topic") or form.get("hub.url", "")
        if not topic.startswith(("http://", "https://")):
            return HTTPStatus.BAD_REQUEST, b"no topic"
        if mode == "publish":
            self.pings.append(topic)
            threading.Thread(target=self._fetch_and_distribute, args=[topic], daemon=True).start()
            return HTTPStatus.NO_CONTENT, b""
        if not form.get("hub.callback", "").startswith("http://"):
            return HTTPStatus.BAD_REQUEST, b"no callback"
        if len(form.get("hub.secret", "").encode()) >= 200:
            return HTTPStatus.BAD_REQUEST, b"secret too long"
        threading.Thread(target=self._verify, args=[mode, topic, form], daemon=True).start()
        return HTTPStatus.ACCEPTED, b""  # 5.1: verified afterwards

    def _verify(self, mode: str, topic: str, form: Mapping[str, str]) -> None:
        """5.3: the subscriber echoes the challenge if it did ask for this."""
        callback, challenge = form["hub.callback"], secrets.token_hex(16)
        lease = int(form.get("hub.lease_seconds", LEASE))
        asked = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": challenge}
        if mode == "subscribe":
            asked["hub.lease_seconds"] = str(lease)
        joint = "&" if "?" in callback else "?"
        status, answer = _ask(callback + joint + urllib.parse.urlencode(asked))
        meant = status // 100 == 2 and answer.body == challenge.encode()
        with self._lock:
            if meant and mode == "unsubscribe":
                self.subscriptions.pop((callback, topic), None)
            elif meant:
                ends = time.monotonic() + lease
                self.subscriptions[callback, topic] = Subscription(callback, topic, form.get("hub.secret"), ends)
            self.verified.append(meant)

    def _fetch_and_distribute(self, topic: str) -> None:
        """7: the content as it is at the topic, with its type and links, to whom it still concerns."""
        status, found = _ask(topic)
        with self._lock:
            if status != HTTPStatus.OK or self._distributed.get(topic) == found.body:
                return
            self._distributed[topic] = found.body
            concerned = [known for known in self.subscriptions.values() if known.topic == topic]
        for subscription in concerned:
            if subscription.ends < time.monotonic():
                continue
            fields = {
                "Content-Type": found.fields["content-type"],
                "Link": f'<{self.address}>; rel="hub", <{topic}>; rel="self"',
            }
            if subscription.secret:  # 7.1
                digest = hmac.new(subscription.secret.encode(), found.body, hashlib.sha256).hexdigest()
                fields["X-Hub-Signature"] = f"sha256={digest}"
            _ask(subscription.callback, found.body, fields)


@dataclass
class Wanted:
    """A topic that a subscriber asked for."""

    mode: str
    topic: str


class Subscriber(_Server):
    """Subscribes, verifies its intent, and takes what is distributed if it is signed rightly."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.wanted: list[Wanted] = []
        self.received: list[Message] = []
        self.rejected: list[Message] = []

    def ask(self, hub: str, mode: str, topic: str, *, lease: int = 60, forged: bool = False) -> int:
        """5.1: answers the status. What is forged is not meant."""
        if not forged:
            self.wanted.append(Wanted(mode, topic))
        form = {
            "hub.mode": mode,
            "hub.topic": topic,
            "hub.callback": f"{self.address}callback?id=1",
            "hub.secret": self.secret,
            "hub.lease_seconds": str(lease),
        }
        return _ask(hub, urllib.parse.urlencode(form).encode())[0]

    def hear(self, method: str, message: Message) -> tuple[int, bytes]:
        if method == "GET":
            asked = message.query
            if Wanted(asked.get("hub.mode", ""), asked.get("hub.topic", "")) in self.wanted:
                return HTTPStatus.OK, asked["hub.challenge"].encode()
            return HTTPStatus.NOT_FOUND, b""
        digest = hmac.new(self.secret.encode(), message.body, hashlib.sha256).hexdigest()
        right = hmac.compare_digest(message.fields.get("x-hub-signature", ""), f"sha256={digest}")
        (self.received if right else self.rejected).append(message)
        return HTTPStatus.OK, b""  # 7.1: what is signed wrongly is dropped without telling
