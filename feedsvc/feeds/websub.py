"""WebSub publishing (W3C Recommendation, 23 January 2018): hubs are told that a feed has changed.

    publish -> announce(topic, version) -> waiting, a dict a hub -> ping -> announced, in the store

The Recommendation leaves open how a publisher tells its hub (section 6); a POST of hub.mode=publish with the topic as
hub.url, as in PubSubHubbub, works with hubs. Some read hub.topic instead, so both are sent.

Nothing waits for a hub. All hubs share a thread and its event loop; each has a task, so a slow one delays no other.
A topic waits at most once: a newer version takes the place of an older. The store remembers what each hub
has accepted, so topics that waited at the end of the daemon are sent after its next start.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from feedsvc.errors import RequestError, StoreError
from feedsvc.runtime.backoff import backoff
from feedsvc.runtime.outgoing import HttpResponse, Outgoing, look_up_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from feedsvc.runtime.outgoing import Resolver

logger = logging.getLogger(__name__)

_DEADLINE = 10.0  # seconds for a ping, from the look-up of the hub's name to its answer
_FIRST_PAUSE = 5.0  # seconds before a failed ping is tried again; doubled each time
_LONGEST_PAUSE = 3600.0  # seconds
_LONGEST_RETRY_AFTER = 86_400.0  # seconds for which a hub may ask to be left alone
# Of a client's mistake there is no use in trying again, but for these.
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class Announced(Protocol):
    """The versions that hubs have accepted: the store."""

    def load_announced(self, hub: str) -> dict[str, str]:
        """Topic to the version that the hub knows of."""

    def save_announced(self, hub: str, topic: str, version: str) -> None:
        """A hub knows of a version."""


def pause_after(failures: int, chance: float, asked: float | None = None, *, first: float = _FIRST_PAUSE) -> float:
    """Compute the seconds until the next try.

    Args:
        failures: In a row, from 1.
        chance: From 0 to 1: spreads the tries of many over the second half of the pause.
        asked: Seconds that the hub asked for (Retry-After); never less than these.
        first: Seconds of the first pause.
    """
    pause = backoff(failures, first=first, longest=_LONGEST_PAUSE) * (0.5 + chance / 2)
    return max(pause, min(asked or 0.0, _LONGEST_RETRY_AFTER))


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds from now of a Retry-After field (RFC 9110, section 10.2.3); None if it is malformed."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    with suppress(ValueError):
        date = parsedate_to_datetime(value)
        if date.tzinfo is not None:
            return max((date - now).total_seconds(), 0.0)
    return None


class Pinger:
    """Tells hubs, from a thread of its own."""

    def __init__(
        self,
        hubs: Sequence[str],
        announced: Announced,
        *,
        allow_private: bool,
        report: Callable[[str, str | None], None],
        clock: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
        deadline: float = _DEADLINE,
        first_pause: float = _FIRST_PAUSE,
        resolver: Resolver = look_up_host,
    ) -> None:
        """Make one that does not run yet; announcements wait until it does."""
        self._report = report
        self._clock = clock
        self._pause_after = partial(pause_after, first=first_pause)
        self._chance = chance
        self._connect = partial(Outgoing, allow_private=allow_private, seconds=deadline, resolver=resolver)
        self._loop = asyncio.new_event_loop()
        self._hubs = [_Hub(hub, announced) for hub in dict.fromkeys(hubs)]
        self._thread = threading.Thread(target=self._run, name="websub", daemon=True)
        self._closing = threading.Lock()  # guards the next
        self._stopped = False
        self._main: asyncio.Task[None] | None = None

    def announce(self, versions: Mapping[str, str]) -> None:
        """Have hubs told; returns at once. Called when the new bytes are live.

        Args:
            versions: Topic (a feed's own address) to a fingerprint of the feed. A hub is not told of a version twice.
        """
        with self._closing:
            if not self._stopped:
                for hub in self._hubs:
                    self._loop.call_soon_threadsafe(hub.add, dict(versions))

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Tell no more; waiting topics are announced again at the next start."""
        with self._closing:
            if self._stopped:
                return
            self._stopped = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join()
        self._loop.close()

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve_all())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            return
        except Exception as error:  # feeds are served all the same
            logger.exception("hubs are not told any more")
            self._report("websub", f"hubs are not told any more: {error}; restart feedsvc")

    async def _serve_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for hub in self._hubs:
                tasks.create_task(self._serve(hub))

    async def _serve(self, hub: _Hub) -> None:
        failures = 0
        async with self._connect() as client:
            while True:
                topic, version = await hub.take()
                reason, reply = await _ping(client, hub.address, topic)
                failures = failures + 1 if reason and _is_worth_retrying(reply) else 0
                if failures:
                    self._report(hub.key, f"{reason}; it will be tried again")
                    hub.add({topic: version}, newer=False)
                    asked = retry_after(reply.fields.get("retry-after"), self._clock()) if reply else None
                    await asyncio.sleep(self._pause_after(failures, self._chance(), asked))
                else:
                    hub.settle(topic, version, reason)
                    self._report(hub.key, hub.problem)


class _Hub:
    """The topics that one hub is yet to be told. Used in the event loop only."""

    def __init__(self, address: str, announced: Announced) -> None:
        self.address = address
        self.key = f"websub:{address}"
        self._store = announced
        self._known = announced.load_announced(address)
        self._waiting: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._some = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """The topics that the hub refuses, for people."""
        if not self._refused:
            return None
        more = f" ({len(self._refused) - 1} more like it)" if len(self._refused) > 1 else ""
        return f"{next(iter(self._refused.values()))}{more}; it is told again when the feed changes"

    def add(self, versions: Mapping[str, str], *, newer: bool = True) -> None:
        """Let topics wait, unless the hub knows of them."""
        for topic, version in versions.items():
            if newer and self._known.get(topic) == version:
                self._waiting.pop(topic, None)  # it went back to the version that the hub knows
            elif newer or topic not in self._waiting:
                self._waiting[topic] = version
        if self._waiting:
            self._some.set()

    async def take(self) -> tuple[str, str]:
        """The topic that has waited the longest, once there is one."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        topic = next(iter(self._waiting))
        return topic, self._waiting.pop(topic)

    def settle(self, topic: str, version: str, reason: str | None) -> None:
        """The hub has accepted a topic, or refused it for a reason."""
        if reason:
            self._refused[topic] = reason
            return
        self._refused.pop(topic, None)
        self._known[topic] = version
        logger.info("hub told", extra={"hub": self.address, "topic": topic})
        try:
            self._store.save_announced(self.address, topic, version)
        except StoreError as error:  # it is told once more after the next start
            logger.warning("not kept that the hub was told", extra={"hub": self.address, "reason": str(error)})


async def _ping(client: Outgoing, hub: str, topic: str) -> tuple[str | None, HttpResponse | None]:
    """Return the reason of a failure, or None, and the hub's reply, if any."""
    try:
        reply = await client.post(hub, {"hub.mode": "publish", "hub.url": topic, "hub.topic": topic})
    except RequestError as error:
        return f"{hub} cannot be told of changes: {error}", None
    if HTTPStatus(200) <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return None, reply
    if "location" in reply.fields:
        return f"{hub} sends {topic} on to {reply.fields['location']}; name the hub by its own address", reply
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{hub} is in trouble: status {reply.status}", reply
    said = f" ({' '.join(reply.text.split())})" if reply.text.strip() else ""
    return f"{hub} does not take {topic}: status {reply.status}{said}", reply


def _is_worth_retrying(reply: HttpResponse | None) -> bool:
    return reply is None or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _TRANSIENT
