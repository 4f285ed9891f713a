"""Representations become answers: coding, validators, caching."""

from __future__ import annotations

from dataclasses import dataclass, field
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
_STALE = 10  # times max_age, for stale-while-revalidate (RFC 5861)


@dataclass(frozen=True, slots=True)
class Audience:
    """The receivers of a representation: the Vary field's value, whether caches must not share it, and more fields."""

    vary: str = "Accept-Encoding"
    private: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)


_EVERYBODY = Audience()


def join_fields(lines: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Field values by lower-case name; lines of one name are joined by ", " (RFC 9110, section 5.3)."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def select(
    method: str, representation: Representation, asked: Mapping[str, str], audience: Audience = _EVERYBODY
) -> Answer | None:
    """Choose the answer to a GET or HEAD: 200, 304, or None if a precondition failed.

    `asked` has the request's fields by lower-case name.
    """
    coding = choose_coding(asked.get("accept-encoding"), tuple(representation.codings))
    status = evaluate(method, representation, asked)
    if status is HTTPStatus.PRECONDITION_FAILED:
        return None
    fields = _fields(representation, coding, audience, _cache_control(representation, private=audience.private))
    if status is HTTPStatus.NOT_MODIFIED:
        fields["ETag"] = _validated(asked.get("if-none-match", ""), representation, fields["ETag"])
        return Answer(method, status, fields)
    return Answer(method, status, fields, _encode(representation, coding, fields))


def respond(request: Request, representation: Representation, audience: Audience = _EVERYBODY) -> Answer:
    """Answer a GET or HEAD from a representation: 200 or 304.

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
    """Answer with 226 (RFC 3229, section 10.4.1): the entries newer than the representation that the client holds.

    `base_tag` is that one's entity tag as it was sent. `representation` has only the newer entries, with the validator
    of the whole. No cache keeps it that does not know `im` (section 10.8.1).
    """
    asked = join_fields(request.scope["headers"])
    coding = choose_coding(asked.get("accept-encoding"), tuple(representation.codings))
    caching = f"no-store, im, max-age={representation.max_age}"
    if representation.immutable:
        caching += ", immutable"  # RFC 8246
    # A coding of the whole has the same name, so the client's next one has the tag that this coding would have.
    fields = _fields(representation, coding, audience, caching)
    fields |= {"IM": "feed", "Delta-Base": base_tag}
    return Answer(request.method, IM_USED, fields, _encode(representation, coding, fields))


def respond_uncached(
    request: Request, status: int, media_type: str, body: bytes, fields: Mapping[str, str] | None = None
) -> Answer:
    """Answer with content that holds only now, such as health."""
    return Answer(request.method, status, {"Cache-Control": "no-store", **(fields or {})}, (media_type, body))


def _encode(representation: Representation, coding: str, fields: dict[str, str]) -> tuple[str, bytes]:
    """The media type and the bytes to send; sets the Content-Encoding field that names them."""
    if coding == IDENTITY:
        return representation.media_type, representation.body
    fields["Content-Encoding"] = coding
    return representation.media_type, representation.codings[coding]


def _fields(representation: Representation, coding: str, audience: Audience, caching: str) -> dict[str, str]:
    fields = {
        "ETag": entity_tag(representation, coding),
        "Cache-Control": caching,
        "Vary": audience.vary,
        **audience.fields,
    }
    if representation.last_modified:
        fields["Last-Modified"] = format_datetime(representation.last_modified, usegmt=True)
    return fields


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
