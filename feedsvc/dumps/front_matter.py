"""The YAML head of a dump, between two lines `---`.

Only scalars, lists and tables are read, as text: no tag, no anchor, no alias has any effect. Lines that are no YAML
only because their text is not quoted (`title: foo: bar`, `title: "a "b" c"`) are read as they were meant.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import yaml

from feedsvc.dumps.characters import allowed, plain, plain_title
from feedsvc.dumps.title_line import is_absolute, parse_link
from feedsvc.errors import BrokenDump

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LOG = logging.getLogger(__name__)

FENCE = "---"
_LARGEST = 64 * 1024  # characters
_DEEPEST = 16
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
# Keys of the article's address, the scraper's own name for it first.
_LINKS = ("from", "link", "url", "canonical")
_LISTS = frozenset({"tags", "categories"})
_LINE = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9_-]{0,40}):[ ](?P<value>.*)")
_BLOCK_SCALAR = re.compile(r"[|>][+-]?[0-9]?[+-]?\s*(?:#.*)?")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
# YAML breaks lines at these too, editors do not; and it takes no tabs for indentation.
_TO_SPACE = str.maketrans(dict.fromkeys("\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029", " "))


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The head's statements about all articles of the file; `date` and `link` are as they were written.

    Attributes:
        line: The line of the opening `---`, from 1.
        title: Plain text; may be empty.
        link: The article's absolute address.
        source: The first tag.
        categories: Tags and categories, each once.
        language: A language tag (RFC 5646) by its form.
    """

    line: int
    title: str = ""
    date: str | None = None
    date_line: int = 1
    link: str | None = None
    author: str | None = None
    source: str | None = None
    categories: tuple[str, ...] = ()
    language: str | None = None


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that no dump needs."""


# libyaml reads these otherwise than PyYAML does (tags, block scalars, ? in lists), or they are refused (anchors).
_SPECIAL = re.compile(r"[&*!|>]|[\[{].*\?", re.DOTALL)
# libyaml's, ten times as fast, if PyYAML was built with it.
_FastLoader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(yaml.SafeLoader):
    """Composes nodes only: nothing is constructed, so no value can have a type that surprises."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse nodes that make small files large in memory."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):
            raise _RefusedError(problem="anchors and aliases are not read", problem_mark=event.start_mark)
        if self.depth == _DEEPEST:
            raise _RefusedError(problem="nested too deeply", problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def parse_front_matter(lines: Sequence[str], start: int, path: str) -> tuple[FrontMatter, int]:
    """Read the head from the line of its opening `---`; return it and the line after its closing `---`, both from 0.

    Prose between the two lines says nothing.

    Raises:
        BrokenDump: The head has no end within 64 KiB, is no YAML that can be read as it was meant, or holds anchors.
    """
    end = _closing_fence(lines, start, path)
    text = "\n".join(allowed(line.translate(_TO_SPACE)) for line in lines[start + 1 : end])
    node, text = _compose(text, start, path)
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    # The last of several equal keys wins.
    nodes = {key.value.lower(): value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
    return _read(nodes, text, start), end + 1


def _closing_fence(lines: Sequence[str], start: int, path: str) -> int:
    size = 0
    for index in range(start + 1, len(lines)):
        line = lines[index]
        if line.rstrip() == FENCE:
            return index
        size += len(line) + 1
        if size > _LARGEST:
            raise BrokenDump(path, "the front matter is larger than 64 KiB", start + 1)
    raise BrokenDump(path, "the front matter has no closing `---`", start + 1)


def _compose(text: str, start: int, path: str) -> tuple[yaml.Node | None, str]:
    """Give the nodes, and the text that their marks are about."""
    try:
        return _nodes(text), text
    except yaml.MarkedYAMLError as error:
        line = start + 2 + _lines_before(text, error)
        if not isinstance(error, _RefusedError):
            mended = "\n".join(_mended(text.split("\n")))
            try:
                node = _nodes(mended)
            except yaml.MarkedYAMLError:
                pass  # the first error is the one to report
            else:
                _LOG.info("front matter read as it was meant", extra={"path": path, "line": line})
                return node, mended
        raise BrokenDump(path, f"the front matter is no YAML that can be read: {error.problem}", line) from error


def _nodes(text: str) -> yaml.Node | None:
    if not _SPECIAL.search(text):
        try:
            node = _compose_fast(text)
        except (yaml.YAMLError, ValueError):
            pass  # PyYAML's own loader, the one that is there everywhere, says the fault and its place
        else:
            if _is_shallow(node, _DEEPEST):
                return node
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except (ValueError, OverflowError) as error:
        # An escape such as "\UFFFFFFFF" names no character; PyYAML lets chr() say so.
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=loader.get_mark()) from error
    finally:
        loader.dispose()


def _compose_fast(text: str) -> yaml.Node | None:
    loader = _FastLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _is_shallow(node: yaml.Node | None, levels: int) -> bool:
    if not isinstance(node, yaml.CollectionNode):
        return levels > 0
    inside = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    return levels > 1 and all(_is_shallow(each, levels - 1) for each in inside)


def _lines_before(text: str, error: yaml.MarkedYAMLError) -> int:
    return text.count("\n", 0, error.problem_mark.index) if error.problem_mark else 0


def _mended(lines: Sequence[str]) -> Iterator[str]:
    """Quote the values that are no YAML on their own, if nothing but that line can be meant."""
    for line, following in zip(lines, (*lines[1:], ""), strict=True):
        match = _LINE.fullmatch(line)
        stands_alone = not following.strip() or _LINE.match(f"{following} ") or following.startswith("#")
        if match and stands_alone and not _BLOCK_SCALAR.fullmatch(match["value"]) and not _is_yaml(line):
            yield f"{match['key']}: {_quoted(match['key'].lower(), match['value'].strip())}"
        else:
            yield line


def _is_yaml(line: str) -> bool:
    try:
        _nodes(line)
    except _RefusedError:
        return True  # to be refused, not mended
    except yaml.MarkedYAMLError:
        return False
    return True


def _quoted(key: str, value: str) -> str:
    if key in _LISTS and value.startswith("[") and value.endswith("]"):
        return f"[{', '.join(_quoted('', item.strip()) for item in value[1:-1].split(','))}]"
    if value[:1] == value[-1:] == '"':
        value = value[1:-1].replace('\\"', '"')
    elif value[:1] == value[-1:] == "'":
        value = value[1:-1]
    return "'" + value.replace("'", "''") + "'"


def _read(nodes: Mapping[str, yaml.Node], text: str, start: int) -> FrontMatter:
    def words(key: str) -> tuple[str, ...]:
        found = tuple(_words(nodes[key])) if key in nodes else ()
        if key in _LISTS and isinstance(nodes.get(key), yaml.ScalarNode):
            return tuple(filter(None, map(str.strip, ",".join(found).split(","))))
        return found

    def phrase(*keys: str) -> str | None:
        return next((found for key in keys if (found := ", ".join(words(key)))), None)

    title = nodes.get("title")
    tags = _unique(words("tags"))
    date = nodes.get("date")
    links = (parse_link(word) for key in _LINKS for word in words(key))
    language = (phrase("lang", "language") or "").replace("_", "-")
    return FrontMatter(
        line=start + 1,
        title=plain_title(_raw(title, text)) if title else "",
        date=phrase("date"),
        date_line=start + 2 + text.count("\n", 0, date.start_mark.index) if date else start + 1,
        link=next(filter(is_absolute, links), None),
        author=phrase("author"),
        source=tags[0] if tags else None,
        categories=_unique((*tags, *words("categories"))),
        language=language if _LANGUAGE.fullmatch(language) else None,
    )


def _raw(node: yaml.Node, text: str) -> str:
    """Give a title's text; `[Video]` is one although YAML takes it for a list."""
    if isinstance(node, yaml.ScalarNode):
        return "" if _is_null(node) else str(node.value)
    return text[node.start_mark.index : node.end_mark.index]


def _words(node: yaml.Node) -> Iterator[str]:
    """Give the texts in a value: the items of a list, the name in a table or else all of it, nothing of null."""
    if isinstance(node, yaml.ScalarNode):
        text = "" if _is_null(node) else plain(node.value)
        if text:
            yield text
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _words(item)
    else:
        pairs = [(" ".join(_words(key)), value) for key, value in node.value]
        named = [value for key, value in pairs if key.lower() == "name"]
        if named:
            yield from _words(named[-1])
        else:
            yield from (f"{key}: {', '.join(_words(value))}" for key, value in pairs)


def _is_null(node: yaml.ScalarNode) -> bool:
    return not node.style and node.value in _NULL  # to libyaml, a plain scalar's style is empty, not None


def _unique(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
