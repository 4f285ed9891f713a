"""The daemon: starts the service, waits for signals, reloads, stops."""

from __future__ import annotations

import gc
import logging
import math
import queue
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.clock import Clock
from feedsvc.errors import FeedsvcError, StoreDamaged, StoreLocked
from feedsvc.http import bind
from feedsvc.service import Service, read_clock
from feedsvc.store.mend import last_written, mend
from feedsvc.systemd import notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from feedsvc.config import Config

__all__ = ["run_daemon"]

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BROKEN = 0  # among the numbers of signals: the store cannot be used any more
REFILL_SECONDS = 60.0  # that a store made anew may take to fill before it is served, where nothing else is
PAUSE_SECONDS = 1.0  # before a store that is locked, or cannot be mended, is tried again
APART_SECONDS = 600.0  # between two mends: a disk that damages all it holds is not to be filled with copies


@dataclass(frozen=True, slots=True)
class _Run:
    """What all services have in common, one after the other.

    Attributes:
        interrupted: Whether a signal waits.
        clock: The time.
        broken: Told when the store cannot be used any more; see `Service`.
    """

    interrupted: Callable[[], bool]
    clock: Clock
    broken: Callable[[str | None], None]


def run_daemon(load: Callable[[], Config], notify_socket: str | None) -> None:
    """Run until SIGTERM or SIGINT; at SIGHUP load the configuration again.

    Args:
        load: Reads the configuration.
        notify_socket: Where systemd wants to hear of it, or None.

    Raises:
        FeedsvcError: It cannot start, or cannot go on after a reload.
    """
    received: queue.SimpleQueue[int] = queue.SimpleQueue()

    def interrupted() -> bool:
        return not received.empty()

    def receive(number: int, _frame: FrameType | None) -> None:
        received.put(number)  # may be called in the middle of a get

    for expected in SIGNALS:
        signal.signal(expected, receive)
    damage: list[str | None] = []
    mended_at = -APART_SECONDS

    def broken(reason: str | None) -> None:
        if not damage:  # once; any thread may find it
            damage.append(reason)
            received.put(BROKEN)

    config = load()
    clock = Clock(read_clock, _count_seconds, known=last_written(config.store.url))
    run = _Run(interrupted, clock, broken)
    listener = bind(config.server.listen)
    service = _begin(config, listener, run)
    if service is None:
        listener.close()
        return
    # What is there now stays, modules above all: to look through it for garbage held up requests for 100 ms.
    gc.collect()
    gc.freeze()
    _tell(notify_socket, "READY=1")
    while (number := received.get()) in {signal.SIGHUP, BROKEN}:
        if number == BROKEN:
            mended = _mend(service, listener, run, damage=damage, mended_at=mended_at)
            if mended is None:  # a signal goes first
                received.put(BROKEN)
            else:
                service, mended_at = mended
                damage.clear()
            continue
        _tell(notify_socket, "RELOADING=1")
        service, listener = _reload(load, service, listener, run)
        _tell(notify_socket, "READY=1")
    logger.info("stopping", extra={"signal": signal.Signals(number).name})
    _tell(notify_socket, "STOPPING=1")
    service.stop_work()
    service.stop_serving()
    listener.close()


def _count_seconds() -> float:
    """Seconds since the machine was started, those included for which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _tell(notify_socket: str | None, state: str) -> None:
    try:
        notify(notify_socket, state)
    except OSError as error:  # a stale socket is no reason not to serve
        logger.warning("systemd cannot be told", extra={"socket": notify_socket, "reason": str(error)})


def _begin(
    config: Config,
    listener: socket.socket,
    run: _Run,
) -> Service | None:
    """The first service; None where a signal came while the store was locked."""
    refill = REFILL_SECONDS if mend(config.store.url, run.clock()) else 0.0
    waiting = False
    while not run.interrupted():
        try:
            return _start(config, listener, run, refill)
        except StoreLocked as error:
            if not waiting:
                logger.warning("waiting for the store", extra={"reason": str(error)})
            waiting = True
            time.sleep(PAUSE_SECONDS)
        except StoreDamaged as error:  # met where nobody looked for it
            if refill:
                raise
            mend(config.store.url, run.clock(), damage=str(error))
            refill = REFILL_SECONDS
    return None


def _mend(
    service: Service,
    listener: socket.socket,
    run: _Run,
    *,
    damage: list[str | None],
    mended_at: float,
) -> tuple[Service, float] | None:
    """A service on a sound store, while the one on the broken store serves what it published; when it was mended.

    None where a signal comes first: the old service is left as it is then.
    """
    logger.error("store cannot be used any more", extra={"reason": damage[0] or "its files are gone"})
    service.stop_work()
    said = ""
    while True:
        try:
            service.release_store()
            if damage[0] is not None:
                while time.monotonic() < mended_at + APART_SECONDS:
                    if run.interrupted():
                        return None
                    time.sleep(PAUSE_SECONDS)
                mend(service.config.store.url, run.clock(), damage=damage[0])
                mended_at, damage[0] = time.monotonic(), None
            fresh = _start(service.config, listener, run, math.inf)
        except FeedsvcError as error:
            if str(error) != said:
                said = str(error)
                logger.error("store cannot be mended yet", extra={"reason": said})  # noqa: TRY400 - it says it all
            if run.interrupted():
                return None
            time.sleep(PAUSE_SECONDS)
        else:
            service.stop_serving()
            return fresh, mended_at


def _start(
    config: Config,
    listener: socket.socket,
    run: _Run,
    refill_seconds: float = 0.0,
) -> Service:
    service = Service(config, listener, clock=run.clock, broken=run.broken)
    try:
        service.start(run.interrupted, refill_seconds=refill_seconds)
    except FeedsvcError:
        service.stop_work()
        service.stop_serving()
        raise
    return service


def _reload(
    load: Callable[[], Config],
    service: Service,
    listener: socket.socket,
    run: _Run,
) -> tuple[Service, socket.socket]:
    """The service under the configuration as it is now, or the old one if that is wrong."""
    old = service.config
    fresh: socket.socket | None = None
    try:
        config = load()
        if config.server.listen != old.server.listen:
            fresh = bind(config.server.listen)
        successor = Service(config, fresh or listener, clock=run.clock, broken=run.broken)
    except FeedsvcError as error:
        service.report("config", f"the changed configuration was refused: {error}")
        if fresh is not None:
            fresh.close()
        return service, listener
    service.stop_work()
    try:
        successor.start(run.interrupted)  # meanwhile the old one serves what it published
    except FeedsvcError:
        successor.stop_work()
        successor.stop_serving()
        logger.exception("the new configuration cannot start, back to the old one")
        try:
            revived = _start(old, listener, run)
        except FeedsvcError as error:
            logger.error("nor can the old one", extra={"reason": str(error)})  # noqa: TRY400 - the reason says it all
            run.broken(None)  # what was published is served until it can
            return service, listener
        service.stop_serving()
        return revived, listener
    service.stop_serving()
    if fresh is not None:
        listener.close()
    return successor, fresh or listener
