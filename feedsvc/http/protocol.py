"""One connection: uvicorn's HTTP/1.1 on httptools, with the checks and limits that it leaves to others.

    bytes -> llhttp -> the head as a whole is checked here -> dispatch -> an Answer is written at once
                                                                       -> uvicorn runs any other application

A faulty request is answered by an application of its own: it waits its turn behind the requests pipelined before it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from feedsvc.http.answer import Answer
from feedsvc.http.limits import MOST_CONNECTIONS, Held, choose_to_end, client_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MOST_HEAD_BYTES = 16 * 1024  # of a request's target and fields
HEAD_SECONDS = 10.0  # from the first byte, or from connecting, until the head is whole
TAKE_SECONDS = 60.0  # until the client has taken the bytes written
_MOST_PIPELINED = 64  # requests behind one that is being answered; each takes some KiB
_PART_ENDED = 16  # one in so many connections ends if there are too many

_EXPLAINED = {
    HTTPStatus.BAD_REQUEST: "The request is not valid HTTP/1.1.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not come in time.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "The version of HTTP is none of 1.0 and 1.1.",
    HTTPStatus.NOT_IMPLEMENTED: "The transfer coding is not known.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"The fields are larger than {MOST_HEAD_BYTES} bytes.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many requests are being answered.",
}


def _refusal(status: HTTPStatus) -> Answer:
    text = f"{_EXPLAINED[status]}\n".encode()
    fields = {"Cache-Control": "no-store", "Connection": "close"}
    return Answer("GET", status, fields, ("text/plain; charset=utf-8", text))


_REFUSALS = {status: _refusal(status) for status in _EXPLAINED}


class Connection(HttpToolsProtocol):
    """A connection with requests that are checked, and that does not last for ever.

    Attributes:
        limits: Seconds until the head must be whole, and until the client must have taken the bytes written.
        most: Connections of one server that may be open at once.
    """

    limits = (HEAD_SECONDS, TAKE_SECONDS)
    most = MOST_CONNECTIONS

    # Called by uvicorn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self._waiting: float | None = self.loop.time()  # since when a head is awaited; None while there is none
        self._writing: float | None = None  # since when something written waits to be taken
        self._head = 0  # bytes of the head that is awaited, as far as they came
        self._closing = False
        self._answered = False  # the request that is being parsed
        self._answering: RequestResponseCycle | None = None
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nothing more: uvicorn tells the last of pipelined requests, not the one that is being answered."""
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        self._answering = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Parse; count the bytes of a head that does not end."""
        if self._closing:
            return
        self._head += len(data)
        super().data_received(data)
        if self._waiting is not None and self._head > MOST_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature; the parser's words are of no use
        """Say that it is not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a client may offer to upgrade, and is answered as it is (RFC 9110, section 7.8)."""

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise OverflowError  # the parser stops; requests that wait are answered, then it ends
        super().on_message_begin()
        self._waiting = self.loop.time()
        self._head = self._head or 1  # if it came in one piece with the end of another
        self._answered = False

    def on_headers_complete(self) -> None:
        """Check the head, then let uvicorn run the application on it."""
        self._head = 0
        fault = self._check()
        if fault is not None:
            self.url = b"/"  # uvicorn parses it once more
            chosen: ASGIApp = _REFUSALS[fault]
        else:
            chosen = self._dispatch()
        if fault is None and isinstance(chosen, Answer) and self._is_plain():
            self._write(chosen)
            self.server_state.total_requests += 1
            self._answered = True
            self._waiting = self.loop.time()  # for the next
            return
        self._waiting = None
        application = self.app
        self.app = chosen
        try:
            super().on_headers_complete()
        finally:
            self.app = application
        if self._has_content():
            self.cycle.keep_alive = False  # nothing here takes content, nor waits for its end

    def on_body(self, body: bytes) -> None:
        """Drop content that comes after an answer."""
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing is left to do after an answer."""
        if not self._answered:
            super().on_message_complete()

    # Limits

    @property
    def is_new(self) -> bool:
        """True until the first request has come."""
        return not (bool(self.cycle) or self._answered)  # no cycle before the first request

    def end_if_overdue(self, now: float) -> None:
        """End the connection if its time is over at `now`, in seconds of the loop."""
        head, take = self.limits
        if self._waiting is not None and now - self._waiting > head and not self._is_busy():
            if self._head:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            else:
                self.transport.close()
        if not self.transport.get_write_buffer_size():
            self._writing = None
        elif self._writing is None:
            self._writing = now
        elif now - self._writing > take:
            self.transport.abort()

    def _make_room(self) -> bool:
        """End some of the connections that only wait, but not this one; tell if there were any."""
        held = [
            Held(client_of(other.client[0] if other.client else ""), since, other)
            for other in self.connections
            if isinstance(other, Connection) and other is not self and (since := other.waits_since()) is not None
        ]
        chosen = choose_to_end(held, max(1, self.most // _PART_ENDED))
        for one in chosen:
            cast("Connection", one.connection).make_room()
        return bool(chosen)

    def waits_since(self) -> float | None:
        """The loop's time since when only the client keeps this connection; None if something else does."""
        if self._writing is not None:
            return self._writing
        return None if self._is_busy() or self.transport.is_closing() else self._waiting

    def make_room(self) -> None:
        """End without a word: to send one may take a client that reads."""
        self.connections.discard(self)  # at once, so that no further one ends for it
        self._closing = True
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _dispatch(self) -> ASGIApp:
        """Choose the application that answers this request."""
        path, _, query = self.url.partition(b"?")
        text = path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["path"] = unquote(text) if "%" in text else text
        self.scope["raw_path"] = path
        self.scope["query_string"] = query
        dispatch: Callable[[Any], ASGIApp] | None = getattr(self.app, "dispatch", None)
        return dispatch(self.scope) if dispatch else cast("ASGIApp", self.app)

    def _is_plain(self) -> bool:
        """True if an answer to this request needs no wait and ends nothing."""
        return (
            not self._is_busy()
            and not self.flow.write_paused
            and self.parser.should_keep_alive()
            and self.parser.get_http_version() == "1.1"
            and not self._has_content()
        )

    def _check(self) -> HTTPStatus | None:
        """Look for faults that RFC 9112 forbids and llhttp lets pass; rewrite the target to origin form."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MOST_HEAD_BYTES:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if self.parser.get_http_version() not in {"1.0", "1.1"}:  # section 2.3; llhttp takes 0.9 and 2.0
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        hosts = [value for name, value in self.headers if name == b"host"]
        is_valid = self.url.isascii() and b"#" not in self.url
        if not is_valid or len(hosts) > 1 or (not hosts and self.parser.get_http_version() != "1.0"):  # section 3.2
            return HTTPStatus.BAD_REQUEST
        if any(name == b"transfer-encoding" and value.lower() != b"chunked" for name, value in self.headers):
            return HTTPStatus.NOT_IMPLEMENTED  # section 6.1
        if not self.url.startswith(b"/"):
            return self._rewrite()
        if self.url.startswith(b"//"):
            self.url = b"/." + self.url  # else the parser takes the first name for a host
        return None

    def _rewrite(self) -> HTTPStatus | None:
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":  # section 3.2.4
            self.url = b"/*"
            return None
        try:  # absolute form, which overrides the Host field (section 3.2.2)
            target = urlsplit(self.url)
        except ValueError:
            return HTTPStatus.BAD_REQUEST
        if target.scheme.lower() not in {b"http", b"https"} or not target.netloc or b"@" in target.netloc:
            return HTTPStatus.BAD_REQUEST
        self.headers[:] = [(b"host", target.netloc), *(line for line in self.headers if line[0] != b"host")]
        self.url = (target.path or b"/") + (b"?" + target.query if target.query else b"")
        return None

    def _has_content(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )

    def _is_busy(self) -> bool:
        return bool(self.cycle) and not self.cycle.response_complete  # none before the first request

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer bytes that are no request, and end the connection."""
        self._closing = True
        if self._is_busy():
            self.cycle.keep_alive = False  # earlier requests are answered, then it ends
            return
        self._write(_REFUSALS[status])
        self.transport.close()

    def _write(self, answer: Answer) -> None:
        for piece in answer.as_http(self.server_state.default_headers):
            self.transport.write(piece)
