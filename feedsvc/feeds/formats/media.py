"""The pictures, sounds and videos of an entry, for the elements that name them beside the content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lxml import etree

from feedsvc.feeds.formats.elements import legal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.model import Entry

# By the end of an address's path (the IANA registry of media types).
_TYPES: Final = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "m3u8": "application/vnd.apple.mpegurl",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "ogv": "video/ogg",
    "webm": "video/webm",
}
_STREAM: Final = "application/vnd.apple.mpegurl"  # RFC 8216: sound or pictures
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")  # RFC 6838, section 4.2
_PLAYER: Final = re.compile("<(?:audio|video)[ >]")
_PARSER: Final = etree.HTMLParser(encoding="utf-8", huge_tree=True)


@dataclass(frozen=True, slots=True)
class Medium:
    """One picture, sound or video.

    Attributes:
        address: An absolute http or https address.
        kind: "image", "audio" or "video" (Media RSS, `medium`).
        media_type: By RFC 6838, without parameters; None if neither markup nor address tell.
    """

    address: str
    kind: str
    media_type: str | None


def find_media(entry: Entry) -> tuple[Medium, ...]:
    """Find the pictures (posters of videos too), then the sounds and videos of an entry with sanitised content.

    Each address stands once. Of a sound or video in several encodings it is the first: its page prefers that.
    """
    pictures = ((address, "image", "") for address in entry.images)
    found: dict[str, Medium] = {}
    for written, kind, given in (*pictures, *_players(entry.content)):
        address = legal(written)
        path = _path_of(address)
        if path is not None and address not in found:
            found[address] = Medium(address, kind, _media_type(path, kind, given))
    return tuple(found.values())


def thumbnail(media: tuple[Medium, ...]) -> Medium | None:
    """Choose the picture that stands for an entry: its first."""
    return next((medium for medium in media if medium.kind == "image"), None)


def enclosures(media: tuple[Medium, ...]) -> tuple[Medium, ...]:
    """Choose the sounds and videos of a known type: an enclosure must name its type."""
    return tuple(medium for medium in media if medium.kind != "image" and medium.media_type)


def _players(content: str) -> Iterator[tuple[str, str, str]]:
    """Address, kind and declared type of each sound and video."""
    if not _PLAYER.search(content):  # nearly always, and parsing takes time
        return
    root = etree.fromstring(f"<body>{legal(content)}".encode(), _PARSER)
    for player in root.iter("audio", "video"):
        for element in (player, *player.iter("source")):
            if address := element.get("src"):
                yield address, str(player.tag), element.get("type", "")
                break


def _path_of(address: str) -> str | None:
    """The path of an absolute http or https address; None for any other."""
    if not address.startswith(("https://", "http://")):
        return None
    try:
        return urlsplit(address).path
    except ValueError:  # a bracket in the host, say
        return None


def _media_type(path: str, kind: str, given: str) -> str | None:
    essence = given.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(essence):
        essence = _TYPES.get(path.lower().rpartition(".")[2], "")
    if essence == "audio/ogg" and kind == "video":
        return "video/ogg"
    # A picture's address may end in .mp4 (its poster is cut from it): no type is better than a wrong one.
    return essence if essence == _STREAM or essence.startswith(f"{kind}/") else None
