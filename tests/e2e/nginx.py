"""A real nginx on a free port, with one of the sample configurations in docs/."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from waiting import wait_for

from e2e.harness import PROJECT, Client, free_port, need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MAIN = """
{user}
daemon off;
pid {home}/nginx.pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {sample}
}}
"""


@contextmanager
def nginx(sample: str, home: Path, changes: Mapping[str, str]) -> Iterator[Client]:
    """Run nginx with a sample; the test is skipped where it is missing.

    `changes` says what stands in place of a text of the sample, each of which must be in it; its `listen` is replaced
    by a free port.
    """
    program = need("nginx")
    port = free_port()
    text = (PROJECT / "docs" / sample).read_text("utf-8")
    for old, new in {"listen 80;": f"listen 127.0.0.1:{port};", **changes}.items():
        assert old in text, f"{sample} does not hold {old!r}"
        text = text.replace(old, new)
    home.mkdir(exist_ok=True)
    # Started by root, its worker would be another user, who cannot read the folders of tests.
    user = "user root;" if os.geteuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(_MAIN.format(user=user, home=home, sample=text), "utf-8")
    log = home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "-c", config, "-e", "stderr", "-p", home], stdout=output, stderr=output)
    client = Client(port)
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text("utf-8")
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except OSError:
                return False
            return True

        wait_for(listens)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(10)
    assert "[emerg]" not in log.read_text("utf-8")
    assert "[warn]" not in log.read_text("utf-8")
