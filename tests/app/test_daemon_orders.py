"""Orders of the daemon: a signal is one, at whatever moment it comes."""

from __future__ import annotations

import signal
import threading

import pytest

from feedsvc.app import daemon as module
from feedsvc.errors import PartEnded
from feedsvc.runtime.systemd import ServiceManager


@pytest.mark.slow
def test_a_signal_that_does_not_interrupt_the_wait_is_an_order() -> None:
    """Another thread takes the signal, so this one waits on, as it does for one that comes just before the wait."""
    daemon = module._Daemon(lambda: pytest.fail("not loaded here"), ServiceManager(), "")  # noqa: SLF001
    before = signal.signal(signal.SIGHUP, daemon._receive)  # noqa: SLF001
    late = threading.Timer(20, daemon._orders.put, [PartEnded("no handler ran")])  # noqa: SLF001
    takes = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGHUP))
    waiting = threading.Timer(0.2, takes.start)
    try:
        waiting.start()
        late.start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
        assert daemon._next_order() == signal.SIGHUP  # noqa: SLF001
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        signal.signal(signal.SIGHUP, before)
        late.cancel()
        waiting.join()
        takes.join()
