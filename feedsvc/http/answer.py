"""A response as ASGI takes it, with the fields that every response carries. Made once, then sent many times."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Message, Receive, Scope, Send

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Articles are sanitised already; should that ever fail, the browser still runs no script and posts no form elsewhere.
_HTML = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src http: https:; media-src http: https:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}
_ONE_PIECE = 65536  # bytes of a body that is sent with its head: one write is faster than two
_WITHOUT_CONTENT = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)  # RFC 9110, section 6.4.1


class Answer:
    """A response; itself an ASGI application, so that an endpoint can return it.

    Its sendings are added to the number in `counted`; that is None before the first.
    """

    __slots__ = ("__weakref__", "_end", "_start", "_wire", "_wired", "counted", "fields", "status")

    def __init__(
        self, method: str, status: int, fields: Mapping[str, str], content: tuple[str, bytes] | None = None
    ) -> None:
        """Make the messages; HEAD gets the fields without the content.

        `content` is a media type and the bytes as they are sent.
        """
        self.status = status
        self.counted: list[int] | None = None
        self.fields = {**fields, **_ALWAYS}
        body = b""
        if content is not None:
            media_type, body = content
            self.fields |= {"Content-Type": media_type, "Content-Length": str(len(body))}
            if media_type.startswith("text/html"):
                self.fields |= _HTML
        elif status not in _WITHOUT_CONTENT:
            self.fields["Content-Length"] = "0"
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.fields.items()]
        self._start: Message = {"type": "http.response.start", "status": int(status), "headers": lines}
        self._wired: Sequence[tuple[bytes, bytes]] | None = None
        self._wire: tuple[bytes, ...] = ()
        self._end: Message = {"type": "http.response.body", "body": b"" if method == "HEAD" else body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        await send(self._start)
        await send(self._end)

    def as_http(self, more: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """Write it as HTTP/1.1 after the field lines `more`, Date among them; a small one is a single piece.

        The bytes are kept for as long as `more` is the same object.
        """
        if self._wired is not more:
            head, body = self._write_head(more), self._end["body"]
            self._wire = (head + body,) if len(body) <= _ONE_PIECE else (head, body)
            self._wired = more
        return self._wire

    def _write_head(self, more: Sequence[tuple[bytes, bytes]]) -> bytes:
        lines = b"".join(b"%s: %s\r\n" % line for line in (*more, *self._start["headers"]))
        status = HTTPStatus(self.status)
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        return head + lines + b"\r\n"
