"""Tells from words and shape whether a line belongs to an article or to a page.

Patterns for articles are wide: by mistake they keep boilerplate, never remove an article.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ROLE: Final = (
    r"编辑(?!推荐|精选|部)|編輯(?!推薦|精選|部)|责编|責編|译者|譯者|翻译|翻譯|编译|編譯|校对|校對|审校|審校|核稿|作者|记者|記者|撰文|撰稿|摄影|攝影|摄像|"
    r"攝像|供图|供圖|来源|來源|出处|出處|特约|特約|通讯员|通訊員|監修|執筆|筆者|取材|撮影|編集|기자|사진"
)
_SHORT_ROLE: Final = rf"{_ROLE}|文|图|圖|글"
_OF_ARTICLE: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Bylines and credits, and introductions of an author.
        rf"(?:^|[（(【\[／/|｜])\W*(?:{_SHORT_ROLE})\W*(?:[：:／/|｜＝=]|\s|$)",
        rf"(?:{_ROLE})(?:[：:／/|｜]|[\w ]{{1,12}}$)",
        r"记者|記者|专栏作者|專欄作者|撰稿人|特派|社长|社長|기자",
        r"^\W*(?:by|von|par|por|di|door|av|af|от|текст)\b",
        r"\b(?:report(?:ing|ed|er)|writ(?:ing|ten|er)|edit(?:ing|ed|or)|translat(?:ed|ion|or)|contribut(?:ed|or|ing))\b",
        r"\b(?:compiled|correspondent|columnist|journalist|author|r[ée]dacteur|redakteur|journaliste)\b",
        # Disclaimers, corrections, and statements of an article about itself.
        r"本文(?:仅|僅|只|不|由|系|係|为|為|原|刊|作者|来|來|转|轉|首|观|觀|内|內|依|经|經)|不代表",
        r"代表.{0,8}(?:立场|立場|观点|觀點)|\b(?:views?|opinions?) (?:expressed|of|are)\b",
        r"\b(?:first|originally) (?:appeared|published)\b|\bcorrection\b|更正|订正|訂正|编者按|編者按|编者注|編者注",
        # Picture credits.
        r"图片|圖片|照片|资料图|資料圖|图源|圖源|示意图|示意圖|\bimage (?:caption|source|credit|copyright)\b",
        r"\b(?:photographs?|photos?|illustrations?|graphics?|foto)\b",
        r"^\W*(?:picture|image|credit|getty|reuters|afp|ap|epa|路透|法新社|新华社|新華社|美联社|美聯社)\W*$",
        # Ends and parts of articles, tags and categories.
        r"^\W*(?:(?:全文)?完|end|fin|待续|待續|未完|未完待续|上|下|中)\W*$",
        r"^\W*(?:tags?|topics?|keywords?|filed under|categor\w+)\W*:",
        r"^\W*(?:标签|標籤|关键词|關鍵字|分类|分類|栏目|欄目)\W*[：:]",
    )
)
_NOTICE = re.compile(
    r"^\W*(?:©|\(c\)|ⓒ|copyright\b|版权|版權|著作权|著作權|(?:all|alle|tous|todos) (?:rights|rechte|droits))|"
    r"^\W*(?:未经|未經).{0,12}(?:授权|授權|许可|許可|允许|同意)|all rights reserved|版权所有|版權所有|無断転載|무단",
    re.IGNORECASE,
)
_LONGEST_NOTICE: Final = 110  # characters

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FRAMES: Final = frozenset(
    {
        *("article", "body", "box", "col", "column", "container", "content", "copy", "css", "div"),
        *("element", "entry", "grid", "group", "html", "inner", "item", "layout", "main", "module"),
        *("node", "outer", "page", "para", "paragraph", "part", "post", "prose", "row", "section"),
        *("standard", "story", "styles", "styled", "text", "wrap", "wrapper", "component"),
        "clearfix",
    }
)
_OF_WRITING: Final = frozenset(
    {
        *("attribution", "author", "authors", "bio", "by", "byline", "bylines", "caption"),
        *("captions", "categories", "category", "contributor", "credit", "credits", "dateline"),
        *("deck", "dek", "disclaimer", "editor", "editors", "headline", "intro", "keywords"),
        *("kicker", "lead", "lede", "location", "note", "notes", "person", "place", "question"),
        *("quote", "reporter", "source", "standfirst", "subhead", "subheading", "subtitle"),
        *("summary", "tag", "tags", "topic", "topics", "translator", "writer"),
    }
)
_QUOTING: Final = frozenset(
    {
        *("blockquote", "caption", "cite", "code", "dd", "figcaption", "figure"),
        *("pre", "q", "td", "th"),
    }
)
_HEADING: Final = frozenset(
    {
        *("b", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hgroup", "i", "legend", "li", "ol"),
        *("strong", "summary", "u", "ul"),
    }
)
_TITLES: Final = frozenset(["head", "header", "heading", "section", "title", "titles"])
_NEAR: Final = 3  # elements, from the line outwards, that characterise it


@dataclass(frozen=True, slots=True)
class Form:
    """Conclusions from a shape about its lines.

    Attributes:
        kind: "all" for a link, "part" for a line with a link in it, "" for one without.
        named: Whether the page has a name of its own for it, more than "article" or "content".
        quoting: Whether it holds a quote, a caption, code or a cell of a table.
        writing: Whether it is quoting, or is named for a part of an article, such as a byline.
        heading: Whether it could head a part of an article.
    """

    kind: str
    named: bool
    quoting: bool
    writing: bool
    heading: bool


@lru_cache(maxsize=4096)
def read_form(shape: str) -> Form:
    """Read a shape as `feedsvc.clean.learning.sightings` writes it."""
    path, _, kind = shape.partition("@")
    steps = [step.split(".") for step in path.split(">")]
    near = steps[-_NEAR:]
    tags = {step[0] for step in near}
    words = {word.lower() for step in near for name in step[1:] for word in _WORDS.findall(name)}
    own = {word.lower() for step in steps[-2:] for name in step[1:] for word in _WORDS.findall(name)}
    quoting = any(step[0] in _QUOTING for step in steps)
    return Form(
        kind=kind,
        named=bool(own - _FRAMES) or bool({"time", "button", "nav", "footer", "aside", "form"} & tags),
        quoting=quoting,
        writing=quoting or bool(words & _OF_WRITING),
        heading=bool(tags & _HEADING) or bool(own & _TITLES),
    )


def belongs_to_article(text: str) -> bool:
    """Tell whether a line names people, places or purposes of an article, or ends it: it may recur, and stays."""
    return any(pattern.search(text) for pattern in _OF_ARTICLE)


def is_notice(text: str) -> bool:
    """Tell whether a line is a copyright notice and nothing else."""
    return len(text) <= _LONGEST_NOTICE and _NOTICE.search(text) is not None
