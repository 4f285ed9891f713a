"""Names of sites behind the titles of their articles: " | Reuters", " – 法国国际广播电台 - RFI", "_新华网".

A part behind a separator goes if it is the name of the site, or if it is known to recur. A title's own clause behind a
dash is neither.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

TITLE_SHAPE: Final = "title"
"""The shape of a title's suffix in learning; other shapes name elements of an article."""

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef"
_SEPARATOR: Final = re.compile(
    r"\s+[-‐‑–—―·•»~]{1,2}\s+"
    r"|\s*[|｜_＿]{1,2}\s*"
    rf"|(?<=[{_CJK}」』）】》”])\s*[-–—―]{{1,2}}\s*|\s*[-–—―]{{1,2}}\s*(?=[{_CJK}])"
)
_WORD: Final = re.compile(r"[^\W_]")
_MOST_PARTS: Final = 3
_LONGEST: Final = 60  # characters of a suffix

# Words beside a site's name in its title: squeezed, in lower case.
_GENERIC: Final = re.compile(
    r"(?:the|www|com|net|org|co|uk|news|online|official|website|site|home|page|chinese|english|world|international"
    r"|radio|tv|podcast|channel|magazine|daily|edition|asia|digital|actualités|infos?|noticias|nachrichten|français"
    r"|deutsch|español|中文|新闻|新聞|网站|網站|网|網|官方|官网|官網|频道|頻道|在线|在線|线上|客户端|电台|電台|电视台"
    r"|電視台|台|报|報|社|版|简体|簡體|繁体|繁體|国际|國際|ニュース|オンライン|デジタル|日本|電子)*"
)
_MEDIUM: Final = re.compile(
    "(?:电台|電台|广播|廣播|电视|電視|视|視|台|之音|报|報|社|网|網|周刊|週刊|杂志|雜誌|新闻|新聞)$"
)
_SHORTEST_NAME: Final = 2


def suffix_of(title: str) -> tuple[str, ...]:
    """Return possible suffixes of a title, the shortest first: its ends that begin with a separator.

    Before and after the separator stands at least a word.
    """
    starts = [match.start() for match in _SEPARATOR.finditer(title)][-_MOST_PARTS:]
    return tuple(
        title[start:]
        for start in reversed(starts)
        if len(title) - start <= _LONGEST and _WORD.search(title, 0, start) and _WORD.search(title, start)
    )


def strip_suffix(title: str, known: Collection[str]) -> str:
    """Remove known suffixes, as `suffix_of` returns them, from the end of a title; a word is left."""
    while known and (found := [suffix for suffix in suffix_of(title) if suffix in known]):
        title = title.removesuffix(found[-1]).rstrip()
    return title


def strip_site_name(title: str, names: Collection[str]) -> str:
    """Remove the parts at the end of a title that name its site: its source, its author, the host's own label.

    A part names the site if it is one of its names, alone or among words such as "News" and "中文", in any case
    and spacing; or if it ends as names of media do and a name of Chinese characters is short for it.
    """
    keys = [key for key in map(_squeezed, names) if len(key) >= _SHORTEST_NAME]
    while found := [suffix for suffix in suffix_of(title) if _names_site(_squeezed(suffix), keys)]:
        title = title.removesuffix(found[0]).rstrip()
    return title


def _squeezed(text: str) -> str:
    """Fold case and width; keep letters and digits only."""
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


def _names_site(part: str, keys: Collection[str]) -> bool:
    for key in keys:
        before, found, after = part.partition(key)
        if found and _GENERIC.fullmatch(before) and _GENERIC.fullmatch(after):
            return True
        if not key.isascii() and part.startswith(key[0]) and _MEDIUM.search(part) and _is_short_for(key, part):
            return True
    return False


def _is_short_for(short: str, long: str) -> bool:
    rest = iter(long)
    return all(character in rest for character in short)
