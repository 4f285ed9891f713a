"""The daemon: starts the service, waits for signals and `feedsvc reload`, reloads, mends the store, stops."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feedsvc.app.service import Service
from feedsvc.errors import FeedsvcError, PartEnded, StoreDamaged, StoreLocked
from feedsvc.http import bind
from feedsvc.ops.metrics import Metrics
from feedsvc.runtime.clock import Clock, read_clock
from feedsvc.runtime.control import Control, Reply, Request
from feedsvc.runtime.heap import keep_heap_small
from feedsvc.runtime.supervisor import Supervisor
from feedsvc.store.mend import last_written, mend

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from feedsvc.app.config import Config
    from feedsvc.runtime.systemd import ServiceManager

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_REFILL_SECONDS = 60.0  # for a store made anew to fill before it is served, if nothing else is served
_SIGNAL_SECONDS = 1.0  # at most, between a signal and its handler
_PAUSE_SECONDS = 1.0  # before a store that is locked, or cannot be mended, is tried again
_APART_SECONDS = 600.0  # between two mends: a bad disk must not be filled with copies


@dataclass(frozen=True, slots=True)
class _Breakage:
    """The store cannot be used any more, for its damage; None if its files are gone."""

    damage: str | None


def run_daemon(load: Callable[[], Config], manager: ServiceManager, control: str) -> None:
    """Run until SIGTERM or SIGINT; at SIGHUP or `feedsvc reload` `load` the configuration again.

    `feedsvc reload` finds the daemon by the name `control`; see `feedsvc.runtime.control`.

    Raises:
        FeedsvcError: It cannot start, or cannot go on: after a reload, or because a part of it ended.
    """
    keep_heap_small()
    _Daemon(load, manager, control).run()


class _Daemon:
    def __init__(self, load: Callable[[], Config], manager: ServiceManager, control: str) -> None:
        self._load = load
        self._manager = manager
        self._control = control
        self._orders: queue.SimpleQueue[int | Request | PartEnded | _Breakage] = queue.SimpleQueue()
        self._ending = False
        self._metrics = Metrics()  # counters do not go back when the configuration is loaded again
        self._broken = False  # the store is, and it was said
        self._mended_at = -_APART_SECONDS
        self._supervisor = Supervisor(manager, lambda reason: self._orders.put(PartEnded(reason)))

    def run(self) -> None:
        for expected in _SIGNALS:
            signal.signal(expected, self._receive)
        threading.excepthook = _log_end
        self._supervisor.start()
        config = self._load()
        self._clock = Clock(read_clock, _count_seconds, known=last_written(config.store.url))
        control = Control(self._control, self._orders.put)
        listener = self._manager.listener
        try:
            if listener is None:
                listener = bind(config.server.listen)
            elif note := self._unused_address(config, listener):
                logger.warning(note)
            service = self._begin(config, listener)
            if service is not None:
                self._serve(service, listener)
        finally:
            control.close()
            if self._manager.listener is not None:
                self._manager.listener.close()
            for expected in _SIGNALS:  # a second signal must not spoil the exit code
                signal.signal(expected, signal.SIG_IGN)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self._ending = True
            self._supervisor.ending()
        self._orders.put(number)  # may be called in the middle of a get

    def _next_order(self) -> int | Request | PartEnded | _Breakage:
        """Wait for an order, in steps: the handler of a signal that came just before a step runs after it."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._orders.get(timeout=_SIGNAL_SECONDS)

    def _interrupted(self) -> bool:
        return not self._orders.empty()

    def _is_ending(self) -> bool:
        return self._ending

    def _break(self, damage: str | None) -> None:
        if not self._broken:  # once; any thread may find it
            self._broken = True
            self._orders.put(_Breakage(damage))

    def _serve(self, service: Service, listener: socket.socket) -> None:
        # Modules and the like stay: to look through them for garbage held up requests for 100 ms.
        gc.collect()
        gc.freeze()
        if not self._ending:
            self._supervisor.serving(service)
        while (order := self._next_order()) == signal.SIGHUP or isinstance(order, Request | _Breakage):
            if self._ending:  # the signal is next
                continue
            if isinstance(order, _Breakage):
                service = self._mend(service, listener, order.damage)
                continue
            self._supervisor.reloading()
            service, listener, reply = self._reload(service, listener)
            self._supervisor.serving(service)
            if isinstance(order, Request):
                order.answer(reply)
        reason = str(order) if isinstance(order, PartEnded) else signal.Signals(order).name
        logger.info("stopping", extra={"signal": reason})
        self._supervisor.stopping()
        service.stop_work()
        listener.close()  # first: new clients are refused at once, and wait for nobody
        service.stop_serving()
        if isinstance(order, PartEnded):
            raise order

    def _begin(self, config: Config, listener: socket.socket) -> Service | None:
        """Return the first service; None if the daemon is ended while the store is locked."""
        refill = _REFILL_SECONDS if mend(config.store.url, self._clock()) else 0.0
        waiting = False
        while not self._ending:
            try:
                self._supervisor.starting("opening the store")
                return self._start(self._make(config, listener), refill)
            except StoreLocked as error:
                if not waiting:
                    logger.warning("waiting for the store", extra={"reason": str(error)})
                waiting = True
                self._supervisor.starting("waiting for the store, which is locked")
                time.sleep(_PAUSE_SECONDS)
            except StoreDamaged as error:  # that `mend` did not find
                if refill:
                    raise
                mend(config.store.url, self._clock(), damage=str(error))
                refill = _REFILL_SECONDS
        return None

    def _mend(self, service: Service, listener: socket.socket, damage: str | None) -> Service:
        """Return a service on a sound store; the old one serves meanwhile, and is returned if the daemon is ended."""
        logger.error("store cannot be used any more", extra={"reason": damage or "its files are gone"})
        self._supervisor.reloading()  # parts that are stopped meanwhile have not failed
        service.stop_work()
        said = ""
        while not self._ending:
            try:
                if service.release_store():
                    damage = None
                    mend(service.config.store.url, self._clock(), thorough=True)
                if damage is not None:
                    if time.monotonic() < self._mended_at + _APART_SECONDS:
                        time.sleep(_PAUSE_SECONDS)
                        continue
                    mend(service.config.store.url, self._clock(), damage=damage)
                    self._mended_at, damage = time.monotonic(), None
                fresh = self._start(self._make(service.config, listener), math.inf)
            except FeedsvcError as error:
                if str(error) != said:
                    said = str(error)
                    logger.error("store cannot be mended yet", extra={"reason": said})  # noqa: TRY400 - it says it all
                time.sleep(_PAUSE_SECONDS)
            else:
                service.stop_serving()
                self._broken = False
                self._supervisor.serving(fresh)
                return fresh
        return service

    def _make(self, config: Config, listener: socket.socket) -> Service:
        return Service(config, listener, self._metrics, clock=self._clock, broken=self._break)

    def _start(self, service: Service, refill_seconds: float = 0.0) -> Service:
        try:
            service.start(self._interrupted, self._is_ending, self._supervisor.starting, refill_seconds=refill_seconds)
        except FeedsvcError:
            service.stop_work()
            service.stop_serving()
            raise
        return service

    def _reload(self, service: Service, listener: socket.socket) -> tuple[Service, socket.socket, Reply]:
        """Return a service under the new configuration, or under the old one if the new one is wrong."""
        old = service.config
        fresh: socket.socket | None = None
        try:
            config = self._load()
            if config.server.listen != old.server.listen and self._manager.listener is None:
                fresh = bind(config.server.listen)
            successor = self._make(config, fresh or listener)
        except FeedsvcError as error:
            service.report("config", f"the changed configuration was refused: {error}")
            if fresh is not None:
                fresh.close()
            return service, listener, Reply(done=False, message=str(error))
        service.stop_work()
        try:
            self._start(successor)
        except FeedsvcError as error:
            if fresh is not None:
                fresh.close()
            logger.exception("the new configuration cannot start, back to the old one")
            reply = Reply(done=False, message=str(error))
            try:
                restored = self._start(self._make(old, listener))
            except FeedsvcError as fault:
                logger.error("nor can the old one", extra={"reason": str(fault)})  # noqa: TRY400 - the reason says it all
                self._break(None)  # the published pages are served until it can
                return service, listener, reply
            service.stop_serving()
            restored.report("config", f"the changed configuration cannot start: {error}")
            return restored, listener, reply
        service.stop_serving()
        if fresh is not None:
            listener.close()
        message = "the new configuration is live"
        if note := self._unused_address(config, listener):
            logger.warning(note)
            message += f"; {note}"
        return successor, fresh or listener, Reply(done=True, message=message)

    def _unused_address(self, config: Config, listener: socket.socket) -> str | None:
        """Return a warning if systemd listens on another address than the configuration names."""
        if self._manager.listener is None:
            return None
        host, port = listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if address == config.server.listen:
            return None
        return (
            f"[server] listen = {config.server.listen!r} is not used: systemd listens on {address}"
            " (ListenStream= in feedsvc.socket)"
        )


def _count_seconds() -> float:
    """Return the seconds since the machine was started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _log_end(args: threading.ExceptHookArgs) -> None:
    """Log that a thread ended by an exception."""
    if args.exc_value is None or args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else "unknown"
    info = (args.exc_type, args.exc_value, args.exc_traceback)
    logger.critical("thread ended", extra={"name_of_thread": name, "reason": repr(args.exc_value)}, exc_info=info)
