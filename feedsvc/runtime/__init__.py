"""Needs of any daemon: clocks, threads that beat, timed work, logs, systemd, requests that go out."""
