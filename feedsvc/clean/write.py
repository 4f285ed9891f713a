"""From the parsed tree to the entry's HTML, text and pictures: one walk that repairs as it goes.

It writes only what `feedsvc.clean.elements` allows, in the form in which the sanitiser leaves it. The start tag of an
element waits until there is something in it, so there are no empty wrappers; a line break waits until something follows
on another line of the same block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bs4 import Tag
from bs4.element import PreformattedString

from feedsvc.clean.elements import ALLOWED, ANYWHERE, BLOCKS, BOOLEANS, CELLS, DROPPED
from feedsvc.clean.markup import escape, plain_attributes, start_tag
from feedsvc.clean.repair import is_placeholder_size, picture_sources
from feedsvc.clean.text import is_blank, one_line
from feedsvc.clean.videos import player_video, video_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4.element import PageElement

    from feedsvc.clean.ledger import Stripped
    from feedsvc.clean.repair import Addresses

_PICTURE: Final = (ALLOWED["img"] | ANYWHERE) - {"src", "srcset"}
_LONGEST_LABEL: Final = 200
_DEEPEST: Final = 100
"""Elements that are nested deeper than this are unwrapped: every feed reader's parser gives up at some depth."""


@dataclass(frozen=True, slots=True)
class Written:
    """An article as it is written.

    Attributes:
        html: Not yet sanitised.
        text: Plain text, blocks and `<br>` on lines of their own.
        images: The addresses of its pictures and the posters of its videos, in order, each once.
        is_rewritten: Whether it holds text or addresses that no rule has seen yet.
    """

    html: str
    text: str
    images: tuple[str, ...]
    is_rewritten: bool = False


def write(root: Tag, stripped: Stripped, addresses: Addresses) -> Written:
    """Write an article: the content of `root` without its stripped parts."""
    writer = _Writer(addresses)
    stack: list[tuple[Iterator[PageElement], Tag, bool]] = [(iter(root.contents), root, False)]
    while stack:
        children, parent, parent_is_open = stack[-1]
        for child in children:
            if isinstance(child, Tag):
                if writer.passes_by(child, stripped):
                    continue
                opened = id(child) not in stripped.unwrapped and writer.start(child)
                if not opened and child.name in BLOCKS:
                    writer.gap()
                stack.append((iter(child.contents), child, opened))
                break
            if id(child) not in stripped.gone and not isinstance(child, PreformattedString):
                writer.text(str(child))
        else:
            stack.pop()
            if parent_is_open:
                writer.end()
            elif parent.name in BLOCKS:
                writer.gap()
    return writer.written()


@dataclass(slots=True)
class _Before:
    """The state before a table began, in case it stays empty."""

    pieces: int
    shown: int
    on_line: bool
    breaks: int
    space: str
    lines: int
    words: list[str]


@dataclass(slots=True)
class _Element:
    name: str
    start: str
    is_block: bool
    at: int = -1  # index of the start tag in the pieces once it is written
    before: _Before | None = None


class _Writer:
    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._pieces: list[str] = []
        self._open: list[_Element] = []
        self._written = 0  # how many of the open elements, from the outermost, have their start tag written
        self._preformatted = 0
        self._shown = 0
        # The current line, and the breaks and spaces to write if more comes on it or below it.
        self._on_line = False
        self._breaks = 0
        self._space = ""
        self._words: list[str] = []
        self._lines: list[str] = []
        self._images: dict[str, None] = {}
        self._is_rewritten = False

    def written(self) -> Written:
        self._end_line()
        html = "".join(self._pieces).strip()
        return Written(html, "\n".join(self._lines), tuple(self._images), self._is_rewritten)

    def passes_by(self, tag: Tag, stripped: Stripped) -> bool:
        """Deal with an element whose content is not to be written; tell whether it is one."""
        if id(tag) in stripped.gone:
            if tag.name in BLOCKS:
                self.gap()
            return True
        if tag.name == "iframe":  # its content is for browsers without frames
            self._frame(tag)
            return True
        return tag.name in DROPPED

    def start(self, tag: Tag) -> bool:
        """Begin an element, or write it as a whole; tell whether it now is open."""
        name = tag.name
        if name == "br":
            self._breaks += self._on_line
        elif name == "hr":
            self._end_line()
            self._write("<hr>")
        elif name in ("img", "image"):
            self._picture(tag)
        elif name == "embed":
            self._frame(tag)
        elif name in ("audio", "video"):
            self._player(tag)
        elif name not in ("picture", "source", "track") and len(self._open) < _DEEPEST:
            attributes = self._attributes(tag)
            if attributes is not None:
                return self._open_element(name, attributes)
        return False

    def end(self) -> None:
        """End the innermost open element."""
        element = self._open.pop()
        self._preformatted -= element.name == "pre"
        if self._written <= len(self._open):
            if element.is_block:
                self.gap()
            return
        self._written -= 1
        if element.before is not None and element.before.shown == self._shown:
            self._take_back(element.before)
            self.gap()
            return
        self._pieces.append(f"</{element.name}>")
        if element.is_block:
            self._end_line()

    def gap(self) -> None:
        """Let the next text in the same block begin on a new line."""
        if self._on_line:
            self._breaks = max(self._breaks, 1)

    def text(self, text: str) -> None:
        """Write text."""
        if self._preformatted:
            self._preformatted_text(text)
        elif not is_blank(text):
            self._write(escape(text))
            self._words.append(text)
        elif self._on_line:
            self._space += text

    def _preformatted_text(self, text: str) -> None:
        # Parsers drop a line end at the very start (WHATWG HTML, section 13.2.6.4.7).
        starts = self._written < len(self._open) or self._pieces[-1].startswith("<pre")
        if starts and self._open[-1].name == "pre":
            text = text.lstrip("\n")
        if not text:
            return
        self._write(escape(text))
        *ended, last = text.split("\n")
        for line in ended:
            self._words.append(line)
            self._end_text()
        self._words.append(last)

    def _open_element(self, name: str, attributes: dict[str, str]) -> bool:
        if name == "col":
            self._begin()
            self._pieces.append(start_tag(name, attributes))
            return False
        element = _Element(name, start_tag(name, attributes), name in BLOCKS)
        if name == "table":
            element.before = _Before(
                pieces=len(self._pieces),
                shown=self._shown,
                on_line=self._on_line,
                breaks=self._breaks,
                space=self._space,
                lines=len(self._lines),
                words=self._words.copy(),
            )
        self._open.append(element)
        self._preformatted += name == "pre"
        if name in CELLS:
            self._begin()
        return True

    def _take_back(self, before: _Before) -> None:
        del self._pieces[before.pieces :]
        del self._lines[before.lines :]
        self._words = before.words
        self._written = sum(element.at < before.pieces for element in self._open[: self._written])
        self._on_line, self._breaks, self._space = before.on_line, before.breaks, before.space

    def _write(self, html: str) -> None:
        self._begin()
        self._pieces.append(html)
        self._on_line = html != "<hr>"
        self._shown += 1

    def _begin(self) -> None:
        """Write the start tags that are due, after the break or space before them."""
        due = self._open[self._written :]
        if any(element.is_block for element in due):
            self._end_line()
        elif self._breaks:
            self._pieces.append("<br>" * self._breaks)
            self._end_text()
        elif self._space:
            self._pieces.append(escape(_one_space(self._space)))
            self._words.append(self._space)
        self._breaks = 0
        self._space = ""
        for element in due:
            element.at = len(self._pieces)
            self._pieces.append(element.start)
        self._written = len(self._open)

    def _end_line(self) -> None:
        self._end_text()
        self._on_line = False
        self._breaks = 0
        self._space = ""

    def _end_text(self) -> None:
        if not self._words:
            return
        line = one_line("".join(self._words))
        if line:
            self._lines.append(line)
        self._words.clear()

    def _attributes(self, tag: Tag) -> dict[str, str] | None:
        """Return the attributes that an element keeps; None if it is to be unwrapped."""
        name = tag.name
        allowed = ALLOWED.get(name)
        if allowed is None:
            return None
        kept: dict[str, str] = {}
        for key, value in plain_attributes(tag).items() if tag.attrs else ():
            if key in allowed or key in ANYWHERE:
                repaired = self._value(key, value)
                if repaired is not None:
                    kept[key] = repaired
        if (name == "a" and "href" not in kept) or (name == "span" and not kept):
            return None
        return kept

    def _value(self, key: str, value: str) -> str | None:
        if key == "href":
            return self._addresses.absolute(value)
        if key in ("cite", "poster"):
            return self._addresses.web(value)
        return "" if key in BOOLEANS else value

    def _picture(self, tag: Tag) -> None:
        found = self._addresses.picture(tag)
        if found is None:
            return
        raw = plain_attributes(tag)
        kept: dict[str, str] = {}
        for key, value in raw.items():
            if key in found:
                kept[key] = found[key]
            elif key in _PICTURE and not is_placeholder_size(tag, key):
                kept[key] = value
        if "srcset" not in found:
            kept.pop("sizes", None)
        html = start_tag("img", {**kept, **found})
        sources = [self._source(source) for source in picture_sources(tag)]
        self._write(f"<picture>{''.join(sources)}{html}</picture>" if any(sources) else html)
        self._words.append(" ")
        self._images[found["src"]] = None

    def _source(self, tag: Tag) -> str:
        srcset = self._addresses.srcset(plain_attributes(tag))
        kept = {key: value for key, value in plain_attributes(tag).items() if key in ("media", "sizes", "type")}
        return start_tag("source", {"srcset": srcset, **kept}) if srcset else ""

    def _frame(self, tag: Tag) -> None:
        player = self._addresses.player(tag)
        if player is None or player.src is None:
            return
        video = player_video(player.src)
        label = one_line(plain_attributes(tag).get("title", ""))[:_LONGEST_LABEL]
        self._is_rewritten = True
        *pictures, link = video_html(video, label)
        for picture in pictures:
            self.gap()
            self._write(picture)
        if video.thumbnail is not None:
            self._images[video.thumbnail] = None
        self.gap()
        self._write(link)
        self._words.append(label or video.name)
        self.gap()

    def _player(self, tag: Tag) -> None:
        player = self._addresses.player(tag)
        if player is None:
            return
        kept = {} if player.src is None else {"src": player.src}
        kept |= {key: value for key, value in (self._attributes(tag) or {}).items() if key != "src"}
        if poster := kept.get("poster"):
            self._images[poster] = None
        parts = []
        for part, address in player.parts:
            names = ("media", "type") if part.name == "source" else ("kind", "label", "srclang")
            chosen = {key: value for key, value in plain_attributes(part).items() if key in names}
            parts.append(start_tag(part.name, {"src": address, **chosen}))
        # Without controls nobody could start it in a feed reader.
        self._write(f"{start_tag(tag.name, {**kept, 'controls': ''})}{''.join(parts)}</{tag.name}>")
        self._words.append(" ")


def _one_space(space: str) -> str:
    """Fold white space collected around elements that are gone, as the parser does with white space in one place."""
    if space.strip(" \n\t\f\r"):
        return space
    return "\n" if "\n" in space else " "
