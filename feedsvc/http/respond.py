"""Representations become responses: coding, validators, and the fields that every response carries."""

from __future__ import annotations

from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from feedsvc.http.conditional import entity_tag, evaluate
from feedsvc.http.negotiate import IDENTITY, choose_coding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from feedsvc.model import Representation

__all__ = ["request_fields", "respond", "respond_uncached"]

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Articles are sanitised already; should that ever fail, the browser still runs no script and posts no form.
_HTML = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src http: https:; media-src http: https:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}


def request_fields(request: Request) -> dict[str, str]:
    """Join the field lines of one name, as RFC 9110, section 5.3 has it.

    Args:
        request: A request.

    Returns:
        Field values by lower-case name.
    """
    fields: dict[str, str] = {}
    for name, value in request.headers.items():
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def respond(request: Request, representation: Representation) -> Response:
    """Answer a GET or HEAD from a Representation.

    Args:
        request: The request, with its preconditions and preferences.
        representation: What the address holds.

    Returns:
        200 with or without a coding, or 304.

    Raises:
        HTTPException: 412, a precondition failed.
    """
    asked = request_fields(request)
    coding = choose_coding(asked.get("accept-encoding"), tuple(representation.codings))
    status = evaluate(request.method, representation, asked)
    if status is HTTPStatus.PRECONDITION_FAILED:
        raise HTTPException(status)
    fields = {
        "ETag": entity_tag(representation, coding),
        "Cache-Control": f"public, max-age={representation.max_age}" if representation.max_age else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if representation.immutable:
        fields["Cache-Control"] += ", immutable"  # RFC 8246
    if representation.last_modified:
        fields["Last-Modified"] = format_datetime(representation.last_modified, usegmt=True)
    if status is HTTPStatus.NOT_MODIFIED:
        fields["ETag"] = _validated(asked.get("if-none-match", ""), representation, fields["ETag"])
        return Response(status_code=status, headers=fields | _ALWAYS)
    body = representation.body
    if coding != IDENTITY:
        fields["Content-Encoding"] = coding
        body = representation.codings[coding]
    return _response(request, status, representation.media_type, body, fields)


def respond_uncached(
    request: Request, status: int, media_type: str, body: bytes, fields: Mapping[str, str] | None = None
) -> Response:
    """Answer with what holds only now: health, errors.

    Args:
        request: The request.
        status: The status code.
        media_type: The Content-Type field's value.
        body: The bytes as they are.
        fields: More response fields.
    """
    return _response(request, status, media_type, body, {"Cache-Control": "no-store", **(fields or {})})


def _response(request: Request, status: int, media_type: str, body: bytes, fields: Mapping[str, str]) -> Response:
    described = {**fields, **_ALWAYS, "Content-Type": media_type, "Content-Length": str(len(body))}
    if media_type.startswith("text/html"):
        described |= _HTML
    return Response(b"" if request.method == "HEAD" else body, status, described)


def _validated(if_none_match: str, representation: Representation, chosen: str) -> str:
    """Name the stored response that a 304 speaks for: caches find it by this tag (RFC 9111, section 4.3.4)."""
    tags = (chosen, entity_tag(representation, IDENTITY), entity_tag(representation, "gzip"))
    return next((tag for tag in tags if tag in if_none_match), chosen)
