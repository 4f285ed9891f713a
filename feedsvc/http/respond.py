"""Representations become answers: coding, validators, caching."""

from __future__ import annotations

from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from feedsvc.http.answer import Answer
from feedsvc.http.conditional import entity_tag, evaluate, named_tags
from feedsvc.http.negotiate import IDENTITY, choose_coding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

    from feedsvc.model import Representation

IM_USED = HTTPStatus.IM_USED
_YEAR = 31_536_000  # seconds
_STALE = 10  # times max_age for which a cache may show the old one while it asks for the new one (RFC 5861)


class Audience:
    """To whom a representation is given, beside what it is.

    Attributes:
        vary: The Vary field's value.
        private: Whether shared caches must not keep it.
        fields: More response fields.
    """

    def __init__(
        self, vary: str = "Accept-Encoding", *, private: bool = False, fields: Mapping[str, str] | None = None
    ) -> None:
        """Everybody, unless said otherwise."""
        self.vary = vary
        self.private = private
        self.fields = dict(fields or {})


_EVERYBODY = Audience()


def join_fields(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Join the field lines of one name, as RFC 9110, section 5.3 has it.

    Args:
        lines: Lower-case names and values.

    Returns:
        Field values by lower-case name.
    """
    fields: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def select(
    method: str, representation: Representation, asked: Mapping[str, str], audience: Audience = _EVERYBODY
) -> Answer | None:
    """Choose the answer to a GET or HEAD.

    Args:
        method: The request's method.
        representation: What the address holds.
        asked: The request's fields by lower-case name.
        audience: To whom it goes.

    Returns:
        200 with or without a coding, or 304; None where a precondition failed.
    """
    coding = choose_coding(asked.get("accept-encoding"), tuple(representation.codings))
    status = evaluate(method, representation, asked)
    if status is HTTPStatus.PRECONDITION_FAILED:
        return None
    fields = {
        "ETag": entity_tag(representation, coding),
        "Cache-Control": _cache_control(representation, private=audience.private),
        "Vary": audience.vary,
        **audience.fields,
    }
    if representation.last_modified:
        fields["Last-Modified"] = format_datetime(representation.last_modified, usegmt=True)
    if status is HTTPStatus.NOT_MODIFIED:
        fields["ETag"] = _validated(asked.get("if-none-match", ""), representation, fields["ETag"])
        return Answer(method, status, fields)
    return Answer(method, status, fields, _encode(representation, coding, fields))


def respond(request: Request, representation: Representation, audience: Audience = _EVERYBODY) -> Answer:
    """Answer a GET or HEAD from a Representation.

    Args:
        request: The request, with its preconditions and preferences.
        representation: What the address holds.
        audience: To whom it goes.

    Returns:
        200 with or without a coding, or 304.

    Raises:
        HTTPException: 412, a precondition failed.
    """
    answer = select(request.method, representation, join_fields(request.scope["headers"]), audience)
    if answer is None:
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED)
    return answer


def respond_delta(
    request: Request, base_tag: str, representation: Representation, audience: Audience = _EVERYBODY
) -> Answer:
    """Answer with the entries that are new or changed since a representation that the client holds.

    Args:
        request: A GET that accepts the instance manipulation "feed".
        base_tag: The entity tag that the client sent of what it holds.
        representation: Only the newer entries, with the validator of the whole.
        audience: To whom it goes.

    Returns:
        226 IM Used (RFC 3229, section 10.4.1). No cache keeps it that does not know what `im` means (10.8.1).
    """
    asked = join_fields(request.scope["headers"])
    coding = choose_coding(asked.get("accept-encoding"), tuple(representation.codings))
    fields = {
        # A coding of the whole has the same name, so what the client has next has the tag that this coding would have.
        "ETag": entity_tag(representation, coding),
        "IM": "feed",
        "Delta-Base": base_tag,
        "Cache-Control": f"no-store, im, max-age={representation.max_age}",
        "Vary": audience.vary,
        **audience.fields,
    }
    if representation.immutable:
        fields["Cache-Control"] += ", immutable"  # RFC 8246
    if representation.last_modified:
        fields["Last-Modified"] = format_datetime(representation.last_modified, usegmt=True)
    return Answer(request.method, IM_USED, fields, _encode(representation, coding, fields))


def respond_uncached(
    request: Request, status: int, media_type: str, body: bytes, fields: Mapping[str, str] | None = None
) -> Answer:
    """Answer with what holds only now: health, errors.

    Args:
        request: The request.
        status: The status code.
        media_type: The Content-Type field's value.
        body: The bytes as they are.
        fields: More response fields.
    """
    return Answer(request.method, status, {"Cache-Control": "no-store", **(fields or {})}, (media_type, body))


def _encode(representation: Representation, coding: str, fields: dict[str, str]) -> tuple[str, bytes]:
    """The media type and the bytes to send, with the Content-Encoding field that names them."""
    if coding == IDENTITY:
        return representation.media_type, representation.body
    fields["Content-Encoding"] = coding
    return representation.media_type, representation.codings[coding]


def _cache_control(representation: Representation, *, private: bool) -> str:
    scope = "private" if private else "public"
    if representation.immutable:
        return f"{scope}, max-age={_YEAR}, immutable"
    if not representation.max_age:
        return "no-cache"
    age = representation.max_age
    return f"{scope}, max-age={age}, stale-while-revalidate={_STALE * age}"


def _validated(if_none_match: str, representation: Representation, chosen: str) -> str:
    """Name the stored response that a 304 speaks for: caches find it by this tag (RFC 9111, section 4.3.4)."""
    sent = set(named_tags(if_none_match))
    tags = (chosen, *(entity_tag(representation, coding) for coding in (IDENTITY, *representation.codings)))
    return next((tag for tag in tags if tag in sent), chosen)
