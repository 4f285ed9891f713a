"""The daemon: starts the service, waits for signals, reloads, stops."""

from __future__ import annotations

import gc
import logging
import math
import queue
import signal
import time
from typing import TYPE_CHECKING

from feedsvc.errors import FeedsvcError, StoreLocked
from feedsvc.http import bind
from feedsvc.service import Service, read_clock
from feedsvc.store.mend import mend
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
    listener = bind(config.server.listen)
    service = _begin(config, listener, interrupted, broken)
    if service is None:
        listener.close()
        return
    # What is there now stays, modules above all: to look through it for garbage held up requests for 100 ms.
    gc.collect()
    gc.freeze()
    _tell(notify_socket, "READY=1")
    while (number := received.get()) in {signal.SIGHUP, BROKEN}:
        if number == BROKEN:
            mended = _mend(service, listener, interrupted, broken, damage=damage[0], mended_at=mended_at)
            if mended is None:  # a signal goes first
                received.put(BROKEN)
            else:
                service, mended_at = mended
                damage.clear()
            continue
        _tell(notify_socket, "RELOADING=1")
        service, listener = _reload(load, service, listener, interrupted, broken)
        _tell(notify_socket, "READY=1")
    logger.info("stopping", extra={"signal": signal.Signals(number).name})
    _tell(notify_socket, "STOPPING=1")
    service.stop_work()
    service.stop_serving()
    listener.close()


def _tell(notify_socket: str | None, state: str) -> None:
    try:
        notify(notify_socket, state)
    except OSError as error:  # a stale socket is no reason not to serve
        logger.warning("systemd cannot be told", extra={"socket": notify_socket, "reason": str(error)})


def _begin(
    config: Config, listener: socket.socket, interrupted: Callable[[], bool], broken: Callable[[str | None], None]
) -> Service | None:
    """The first service; None where a signal came while the store was locked."""
    refill = REFILL_SECONDS if mend(config.store.url, read_clock()) else 0.0
    waiting = False
    while not interrupted():
        try:
            return _start(config, listener, interrupted, broken, refill)
        except StoreLocked as error:
            if not waiting:
                logger.warning("waiting for the store", extra={"reason": str(error)})
            waiting = True
            time.sleep(PAUSE_SECONDS)
    return None


def _mend(
    service: Service,
    listener: socket.socket,
    interrupted: Callable[[], bool],
    broken: Callable[[str | None], None],
    *,
    damage: str | None,
    mended_at: float,
) -> tuple[Service, float] | None:
    """A service on a sound store, while the one on the broken store serves what it published; when it was mended.

    None where a signal comes first: the old service is left as it is then.
    """
    logger.error("store cannot be used any more", extra={"reason": damage or "its files are gone"})
    service.stop_work()
    said = ""
    while True:
        try:
            service.release_store()
            if damage is not None:
                while time.monotonic() < mended_at + APART_SECONDS:
                    if interrupted():
                        return None
                    time.sleep(PAUSE_SECONDS)
                mend(service.config.store.url, read_clock(), damage=damage)
                mended_at = time.monotonic()
            fresh = _start(service.config, listener, interrupted, broken, math.inf)
        except FeedsvcError as error:
            if str(error) != said:
                said = str(error)
                logger.error("store cannot be mended yet", extra={"reason": said})  # noqa: TRY400 - it says it all
            if interrupted():
                return None
            time.sleep(PAUSE_SECONDS)
        else:
            service.stop_serving()
            return fresh, mended_at


def _start(
    config: Config,
    listener: socket.socket,
    interrupted: Callable[[], bool],
    broken: Callable[[str | None], None],
    refill_seconds: float = 0.0,
) -> Service:
    service = Service(config, listener, broken=broken)
    try:
        service.start(interrupted, refill_seconds=refill_seconds)
    except FeedsvcError:
        service.stop_work()
        service.stop_serving()
        raise
    return service


def _reload(
    load: Callable[[], Config],
    service: Service,
    listener: socket.socket,
    interrupted: Callable[[], bool],
    broken: Callable[[str | None], None],
) -> tuple[Service, socket.socket]:
    """The service under the configuration as it is now, or the old one if that is wrong."""
    old = service.config
    fresh: socket.socket | None = None
    try:
        config = load()
        if config.server.listen != old.server.listen:
            fresh = bind(config.server.listen)
        successor = Service(config, fresh or listener, broken=broken)
    except FeedsvcError as error:
        service.report("config", f"the changed configuration was refused: {error}")
        if fresh is not None:
            fresh.close()
        return service, listener
    service.stop_work()
    try:
        successor.start(interrupted)  # meanwhile the old one serves what it published
    except FeedsvcError:
        successor.stop_work()
        successor.stop_serving()
        service.stop_serving()
        logger.exception("the new configuration cannot start, back to the old one")
        return _start(old, listener, interrupted, broken), listener
    service.stop_serving()
    if fresh is not None:
        listener.close()
    return successor, fresh or listener
