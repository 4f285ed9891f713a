"""What sites put behind the titles of their articles: " | Reuters", " – 法国国际广播电台 - RFI", "_新华网".

A part behind a separator goes where it is the name of the site, or where it is known to recur. A title's own clause
behind a dash is neither.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["TITLE_SHAPE", "strip_site_name", "strip_suffix", "suffix_of"]

TITLE_SHAPE: Final = "title"
"""Where learning has seen a title's suffix; other shapes name elements of an article."""

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef"
_SEPARATOR: Final = re.compile(
    r"\s+[-‐‑–—―·•»~]{1,2}\s+"
    r"|\s*[|｜_＿]{1,2}\s*"
    rf"|(?<=[{_CJK}」』）】》”])\s*[-–—―]{{1,2}}\s*|\s*[-–—―]{{1,2}}\s*(?=[{_CJK}])"
)
_WORD: Final = re.compile(r"[^\W_]")
_MOST_PARTS: Final = 3
_LONGEST: Final = 60  # characters of a suffix

# What stands beside a site's name in its title: squeezed, in lower case.
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
    """Give what may be a title's suffix.

    Args:
        title: On one line.

    Returns:
        Ends of the title that begin with a separator, the shortest first; none leaves less than a word.
    """
    starts = [match.start() for match in _SEPARATOR.finditer(title)][-_MOST_PARTS:]
    return tuple(
        title[start:]
        for start in reversed(starts)
        if len(title) - start <= _LONGEST and _WORD.search(title, 0, start) and _WORD.search(title, start)
    )


def strip_suffix(title: str, known: Collection[str]) -> str:
    """Take known suffixes off a title.

    Args:
        title: On one line.
        known: As `suffix_of` gives them.

    Returns:
        A title that ends in none of them; never empty where the title was not.
    """
    while known and (found := [suffix for suffix in suffix_of(title) if suffix in known]):
        title = title.removesuffix(found[-1]).rstrip()
    return title


def strip_site_name(title: str, names: Collection[str]) -> str:
    """Take off the parts of a title that name the site it is from.

    A part names the site where it is one of its names, alone or among words such as "News" and "中文", in any case
    and spacing; or where it ends as names of media do and a name of Chinese characters is short for it.

    Args:
        title: On one line.
        names: What the site is called: the source, the author, the host's own label.

    Returns:
        A title that does not end so; never empty where the title was not.
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
