"""What any daemon needs: clocks, threads that beat, timed work, logs, systemd, requests that go out."""
