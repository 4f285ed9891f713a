"""A web server of the tests: keeps what it was asked, and answers as it is told."""

from __future__ import annotations

import contextlib
import http.server
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    Answer = tuple[int, tuple[tuple[str, str], ...], bytes]


class Site(http.server.ThreadingHTTPServer):
    """Keeps what it was asked, and answers as it is told."""

    daemon_threads = True

    def __init__(
        self, status: int = 204, fields: tuple[tuple[str, str], ...] = (), content: bytes = b"", *, port: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer: Answer = status, fields, content
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.heard: Callable[[], None] = lambda: None  # called for each request
        self.choose: Callable[[bytes], Answer] = lambda _body: self.answer
        self.gate: threading.Event | None = None  # what must be set before anything is answered

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.server.heard()
        if self.server.gate:
            self.server.gate.wait(30)
        status, fields, content = self.server.choose(body)
        self.send_response(status)
        for name, value in (*fields, ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client has given up
            self.wfile.write(content)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def running(site: Site, context: ssl.SSLContext | None = None) -> Iterator[Site]:
    if context:
        site.socket = context.wrap_socket(site.socket, server_side=True)
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()
