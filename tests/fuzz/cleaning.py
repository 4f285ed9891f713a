"""HTML to an entry's content, by the built-in rules."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bs4.element import PreformattedString, Tag

from feedsvc.clean import Cleaner, cleaner, load_rules
from feedsvc.clean.elements import ALLOWED, ANYWHERE, DROPPED
from feedsvc.clean.sanitise import sanitise
from feedsvc.clean.text import prepare
from feedsvc.errors import CleaningError
from feedsvc.model import Dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from feedsvc.model import CleanEntry

__all__ = ["PIECES", "check", "check_safe"]

PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)
CLEANER = Cleaner(load_rules(site_rules=True))

_TAGS = (
    *("a", "address", "audio", "b", "base", "bdo", "blockquote", "body", "br", "button", "center", "col", "colgroup"),
    *("dd", "desc", "details", "div", "dl", "dt", "embed", "figcaption", "figure", "font", "foreignObject", "form"),
    *("frameset", "h2", "head", "hr", "html", "iframe", "image", "img", "input", "isindex", "keygen", "li", "link"),
    *("listing", "main", "marquee", "math", "menu", "meta", "mglyph", "mi", "mtext", "nobr", "noembed", "noframes"),
    *("noscript", "object", "ol", "optgroup", "option", "p", "param", "picture", "plaintext", "pre", "q", "rb", "rp"),
    *("rt", "rtc", "ruby", "s", "script", "section", "select", "set", "small", "source", "span", "style", "sub"),
    *("summary", "svg", "table", "tbody", "td", "template", "textarea", "tfoot", "th", "thead", "time", "title"),
    *("tr", "track", "tt", "ul", "use", "var", "video", "wbr", "x-y", "xml", "xmp", "annotation-xml", "o:p", "aside"),
)
_ATTRIBUTES = (
    *(' href="/a?utm_source=x&amp;b=1"', ' href="https://x.com/intent/tweet"', ' href="java&#10;script:x()"'),
    *(' src="a.jpg"', ' src="data:image/gif;base64,AA"', ' data-src="//h.example/b.png"', ' width="1"', " width=300"),
    *(' class="addthis_toolbox x"', ' class="share"', " data-root-share", ' srcset="a 1x, javascript:x 2x"'),
    *(' title="a<b&quot;"', ' style="x"', " onclick=x()", ' cite="javascript:x()"', " lang=zh", " xml:lang=zh"),
    *(' src="https://www.youtube.com/embed/dQw4w9-_Xc0"', ' src="https://wsrv.nl/?url=h.example/c.png"', " / "),
    *(
        ' title="Share:"',
        ' datetime="2024-04-03"',
        " colspan=9999999999",
        ' encoding="text/html"',
        " controls",
        " open",
    ),
    *(' xlink:href="javascript:x()"', " {x}y=1", ' title="--><p>"', " title='</style>'", ' href="mailto:a@b.example"'),
    *(' poster="p.jpg"', ' id="related"', " dir=rtl", " start=-5", ' type="text/html;x"', " hidden", ' alt="x"'),
)
_WORDS = (
    *(" ", "\n", "\t", "\r", "\x0c", "\0", "April 3, 2024", "foo", "北约", "分享 :", "Share:", "&nbsp;", "\xa0"),
    *("03/04/2024 - 11:33", "获取更多RSS：", "&#1;&lt;p>", "\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "&#8203;"),
    *("<!--", "-->", "--!>", "<!-->", "<![CDATA[", "]]>", "<?php ", "?>", "<!DOCTYPE html>", "<", ">", "&", "/>", '"'),
    *("'", "&lt", "&#x3c;", "&NotEqualTilde;", "&ltimes", "&#xD800;", "&#0", "&#&#49;", "</", "<a", "</p ", "<p\n"),
    *(
        "© 2024 Example",
        "Read more",
        "相关新闻",
        "延伸阅读：",
        "By Jane Doe",
        "记者：张三",
        "Advertisement",
        "关注我们",
    ),
    *("<p>Text of an article, long enough to be one, by all that rules know of it.</p>", "e\u0301", "\U0001f600"),
)
PIECES = tuple(
    piece.encode()
    for piece in (
        *(f"<{tag}>" for tag in _TAGS),
        *(f"</{tag}>" for tag in _TAGS),
        *(f"<{tag}{attribute}>" for tag in ("a", "img", "div", "p", "svg", "iframe") for attribute in _ATTRIBUTES),
        *_ATTRIBUTES,
        *_WORDS * 4,
    )
)

_XML = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_START = re.compile(r'<([a-z0-9]+)((?: [a-z]+="[^"<>]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z]+)="([^"]*)"')
_ADDRESSES = {"cite", "href", "poster", "src"}


def check(data: bytes) -> None:
    """Any HTML comes out safe, stays as it is when it is cleaned again, and says nothing that it did not say."""
    html = data.decode("utf-8", "surrogateescape")
    entry = clean(html)
    if entry is None:
        return
    check_safe(entry.content)
    kept = (entry.text, entry.summary, entry.title, entry.author or "", entry.rights or "", *entry.categories)
    for text in (*kept, *(removal.text for removal in entry.removals), *(each.html for each in entry.removals)):
        assert _XML.fullmatch(text), text
    again = clean(entry.content)
    assert again is not None
    assert again.content == entry.content, (again.content, entry.content)
    assert (again.text, again.images) == (entry.text, entry.images)
    assert again.removals == ()
    _check_text(html, entry)


def clean(html: str) -> CleanEntry | None:
    """None where it is refused, as what is nested too deeply for this Python."""
    dump = Dump(path="a", title=html[:60] or "t", link="https://h.example/x/y", published=None, html=html)
    try:
        return CLEANER.clean(dump, PUBLISHED)
    except CleaningError as error:
        assert error.reason  # noqa: PT017 - that it is one is not sure
        return None


def check_safe(content: str) -> None:
    """What a browser makes of it is what is written, and that is nothing but text and what may stand in an entry."""
    assert _XML.fullmatch(content)
    assert sanitise(content) == content
    # Every < is of a well-formed tag, so this finds all there are.
    assert "<" not in _START.sub("", re.sub("</[a-z0-9]+>", "", content)), content
    for name, attributes in _START.findall(content):
        assert name in ALLOWED, name
        for key, value in _ATTRIBUTE.findall(attributes):
            assert key in ALLOWED[name] | ANYWHERE, (name, key)
            if key in _ADDRESSES:
                assert urlsplit(value).scheme in {"http", "https", "mailto", "tel"}, value
            if key == "srcset":
                assert all(urlsplit(each.split()[0]).scheme in {"http", "https"} for each in value.split(", ")), value


def _check_text(html: str, entry: CleanEntry) -> None:
    """No letter is lost: what is not in the content is among the removals."""
    soup, _ = cleaner._parse(prepare(html))  # noqa: SLF001 - what the parser itself loses is not cleaning's fault
    said = Counter(filter(str.isalnum, "".join(_texts(soup))))
    kept = Counter("".join((entry.text, *(removal.text for removal in entry.removals))))
    assert not said - kept, (said - kept, entry)


def _texts(tag: Tag) -> Iterator[str]:
    stack: list[object] = [tag]
    while stack:
        node = stack.pop()
        if isinstance(node, Tag):
            if node.name not in DROPPED and node.name != "iframe":
                stack += node.contents
        elif not isinstance(node, PreformattedString):
            yield str(node)
