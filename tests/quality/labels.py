"""What of a dump is article and what is boilerplate, by labels that people wrote."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

BLOCKS = frozenset(
    {
        *("address", "article", "aside", "audio", "blockquote", "body", "br", "button", "center", "dd", "details"),
        *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hr", "html", "iframe", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table"),
        *("tbody", "td", "tfoot", "th", "thead", "tr", "ul", "video"),
    }
)
SILENT = frozenset({"script", "style", "noscript", "template", "svg", "iframe"})
SHARE = re.compile(
    r"facebook\.com/(?:dialog|share)|(?:twitter|x)\.com/(?:intent|share|home\?status)|whatsapp://|"
    r"(?:web|api)\.whatsapp\.com/send|wa\.me/\?|t\.me/share|pinterest\.[a-z.]+/pin/create|linkedin\.com/share|"
    r"reddit\.com/submit|del\.icio\.us/post|delicious\.com/(?:save|post)|service\.weibo\.com/share|line\.me/R/|"
    r"social-plugins\.line\.me|mailto:\?|feedx\.(?:net|run|xyz|site|co|fun|best)\b|"
    r"[?&](?:utm_[a-z]+|fbclid|gclid|mc_cid|mc_eid)=",
    re.IGNORECASE,
)
SPACE = re.compile(r"[\s\u200b\u200c\u200d\ufeff\u00ad]+")
DASHES = re.compile(r"^-{3,}[ \t]*\r?$", re.MULTILINE)
PICTURE_KEYS = ("data-src", "data-original", "data-lazy-src", "src")
PIXEL = frozenset({"0", "1", "2", "3"})


@dataclass(frozen=True)
class Label:
    """What is what in the dumps of one source."""

    strip_css: list[str]
    strip: list[re.Pattern[str]]
    keep: list[re.Pattern[str]]
    neutral: list[re.Pattern[str]]
    rights: list[re.Pattern[str]]


@dataclass
class Truth:
    """What the labels make of one dump: blocks of text without white space, names of pictures, texts of links."""

    article: list[str] = field(default_factory=list)
    boiler: list[str] = field(default_factory=list)
    rights: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def load_labels(path: Path) -> dict[str, Label]:
    """Read labels: source to label."""
    data = tomllib.loads(path.read_text("utf-8"))
    common = data.get("common", {})

    def joined(own: Mapping[str, list[str]], key: str) -> list[str]:
        return [*common.get(key, []), *own.get(key, [])]

    return {
        name: Label(
            joined(own, "strip_css"),
            *([re.compile(each) for each in joined(own, key)] for key in ("strip", "keep", "neutral", "rights")),
        )
        for name, own in data["source"].items()
    }


def squeeze(text: str) -> str:
    return SPACE.sub("", text)


def parse(html: str) -> Tag:
    soup = BeautifulSoup(f"<body>{html}</body>", "lxml", multi_valued_attributes=None, string_containers={})
    body = soup.body
    assert body is not None
    return body


def value(tag: Tag, key: str) -> str:
    return str(tag.get(key) or "")


def text_blocks(root: Tag, marked: Collection[int] = ()) -> Iterator[tuple[str, bool]]:
    """Give each run of text between edges of blocks, and whether it is in a marked element (by id())."""
    run: list[str] = []
    stack = [(iter(root.contents), root, False)]
    while stack:
        children, parent, inside = stack[-1]
        for child in children:
            if not isinstance(child, Tag):
                if isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                    run.append(child)
                continue
            if child.name in SILENT:
                continue
            within = inside or id(child) in marked
            if child.name in BLOCKS or within != inside:
                yield squeeze("".join(run)), inside
                run.clear()
            stack.append((iter(child.contents), child, within))
            break
        else:
            stack.pop()
            outside = bool(stack) and stack[-1][2]
            if parent.name in BLOCKS or inside != outside:
                yield squeeze("".join(run)), inside
                run.clear()


def body_of(raw: str) -> str:
    dashes = DASHES.search(raw, max(raw.find("<!--"), 0))
    return raw[dashes.end() :] if dashes else raw


def picture_name(address: str) -> str:
    """What of an address survives proxies and variants of size."""
    if "weserv.nl" in address and "url=" in address:
        address = unquote(address.split("url=", 1)[1])
    return unquote(urlsplit(address).path).rstrip("/").rsplit("/", 1)[-1].lower()


def read_truth(raw: str, label: Label) -> Truth:
    """Sort the parts of a dump by its label."""
    truth = Truth()
    body = parse(body_of(raw))
    marked = [tag for css in label.strip_css for tag in body.select(css)]
    for text, inside in text_blocks(body, {id(tag) for tag in marked}):
        if not text:
            continue
        kinds = (
            (label.rights, truth.rights),
            (label.keep, truth.article),
            (label.strip, truth.boiler),
            (label.neutral, truth.other),
        )
        kind = next((there for patterns, there in kinds if any(each.fullmatch(text) for each in patterns)), None)
        if inside and kind is not truth.rights and kind is not truth.article:
            kind = truth.boiler
        (kind if kind is not None else truth.other if len(text) == 1 else truth.article).append(text)
    gone = {id(inner) for tag in marked for inner in (tag, *tag.find_all(["a", "img"]))}
    for image in body.find_all("img"):
        address = next((value(image, key) for key in PICTURE_KEYS if value(image, key).startswith("http")), "")
        small = any(value(image, key).strip("px") in PIXEL for key in ("width", "height"))
        if id(image) not in gone and not small and picture_name(address) and "youtube.com/watch" not in address:
            truth.images.append(picture_name(address))
    story, elsewhere = "\n".join(truth.article), "\n".join([*truth.boiler, *truth.rights, *truth.other])
    for link in body.find_all("a"):
        text, address = squeeze(link.get_text()), value(link, "href")
        counts = id(link) not in gone and address.startswith("http") and not SHARE.search(address)
        if counts and len(text) > 1 and text in story and text not in elsewhere:
            truth.links.append(text)
    return truth
