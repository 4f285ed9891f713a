"""The daemon: starts the service, waits for signals, reloads, stops."""

from __future__ import annotations

import gc
import logging
import queue
import signal
from typing import TYPE_CHECKING

from feedsvc.errors import FeedsvcError
from feedsvc.http import bind
from feedsvc.metrics import Metrics
from feedsvc.service import Service
from feedsvc.systemd import notify

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from feedsvc.config import Config

__all__ = ["run_daemon"]

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
    config = load()
    listener = bind(config.server.listen)
    metrics = Metrics()  # counters do not go back when the configuration is loaded again
    service = _start(config, listener, interrupted, metrics)
    # What is there now stays, modules above all: to look through it for garbage held up requests for 100 ms.
    gc.collect()
    gc.freeze()
    _tell(notify_socket, "READY=1")
    while (number := received.get()) == signal.SIGHUP:
        _tell(notify_socket, "RELOADING=1")
        service, listener = _reload(load, service, listener, interrupted, metrics)
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


def _start(config: Config, listener: socket.socket, interrupted: Callable[[], bool], metrics: Metrics) -> Service:
    service = Service(config, listener, metrics)
    try:
        service.start(interrupted)
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
    metrics: Metrics,
) -> tuple[Service, socket.socket]:
    """The service under the configuration as it is now, or the old one if that is wrong."""
    old = service.config
    fresh: socket.socket | None = None
    try:
        config = load()
        if config.server.listen != old.server.listen:
            fresh = bind(config.server.listen)
        successor = Service(config, fresh or listener, metrics)
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
        return _start(old, listener, interrupted, metrics), listener
    service.stop_serving()
    if fresh is not None:
        listener.close()
    return successor, fresh or listener
