"""White space, characters that a feed cannot carry, and the plain forms of text that cleaning works with."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SUMMARY_LENGTH: Final = 300  # characters, the ellipsis included

_ZERO_WIDTH: Final = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_WHITE: Final = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_BLANK: Final = _WHITE + _ZERO_WIDTH
_UNSEEN = re.compile(f"[{_ZERO_WIDTH}]")

# XML 1.0 (fifth edition), production 2: every character that is no Char. CR is a Char, but no parser hands it on.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LINE_END = re.compile("\r\n?")
_REFERENCE = re.compile("&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));?")
_LAST_CODE_POINT = 0x10FFFF
_MOST_PASSES: Final = 3

# Debris of editors: zero-width space, word joiner, byte order mark. Scripts of South East Asia, written without spaces,
# end their lines at such a space.
_DEBRIS: Final = "\u200b\u2060\ufeff"
_NO_SPACES: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\u1b00-\u1b7f\ua980-\ua9df"
# Metadata of a word processor. The limits keep an island that nobody closed from swallowing the article.
_ISLAND = re.compile(
    r"<(?P<name>[ox]:(?:documentproperties|excelworkbook|officedocumentsettings)|m:mathpr|w:worddocument)\b[^>]{0,500}>"
    r"(?:[^<]|<(?!/?(?:div|p|table)\b)){0,4000}?</(?P=name)\s*>",
    re.IGNORECASE,
)
_NEEDLESS = re.compile(f"(?<![{_NO_SPACES}])[{_DEBRIS}]+(?![{_NO_SPACES}])")

# Han, kana and full-width forms are written without spaces; Hangul is not.
_CJK = (
    "\u2e80-\u30ff\u31c0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)
_LOOSE_SPACE = re.compile(f"(?<=[{_CJK}]) | (?=[{_CJK}:])")
_CLOSING = "\u3001\u3002！），：；？」』）】》”’…"
_WORD_END = re.compile(f" |(?:(?<=[{_CJK}])|(?=[{_CJK}]))(?![{_CLOSING}])")
_SENTENCE_END = re.compile("[。！？][」』）】》”’]*|[.!?][\"')\u201d\u2019]*(?= )")


def scrub(text: str) -> str:
    """Remove characters that XML 1.0 forbids; lone surrogates become U+FFFD, odd line ends LF."""
    if text.isprintable():
        return text
    return _FORBIDDEN.sub(_allowed, _LINE_END.sub("\n", text))


def prepare(html: str) -> str:
    """Scrub HTML and its character references, so that no parser can read a forbidden character from it.

    Zero-width debris and metadata of word processors go too. CDATA sections are unwrapped: in HTML, they are comments.
    """
    html = scrub(html)
    if "<![CDATA[" in html:
        html = html.replace("<![CDATA[", "").replace("]]>", "")
    if "<xml" in html:
        html = _ISLAND.sub("", html)
    html = without_debris(html)
    passes = 0
    while "&#" in html and passes < _MOST_PASSES:
        before, html = html, without_debris(_REFERENCE.sub(_allowed_reference, html))
        if html == before:
            return html
        passes += 1  # a character that went may have parted another reference
    return _REFERENCE.sub(lambda match: _allowed_reference(match) or "\ufffd", html) if passes else html


def without_debris(text: str) -> str:
    """Remove zero-width characters without meaning in their place; those that join or part letters stay."""
    if text.isascii() or not any(character in text for character in _DEBRIS):
        return text
    return _NEEDLESS.sub("", text)


def one_line(text: str) -> str:
    """Replace every run of white space by one space; none is left at the ends."""
    return " ".join(text.split())


def is_blank(text: str) -> bool:
    """Tell whether text shows nothing: white space and zero-width characters only."""
    return not text.strip(_BLANK)


def matching_form(text: str) -> str:
    """Return the form of a line's text that text rules are matched with.

    White space is folded and zero-width characters are gone; no space is left beside Chinese or Japanese
    characters or full-width punctuation, nor before a colon: "分享 :" is matched as "分享:", "Share :" as "Share:".
    """
    text = one_line(text)
    if text.isascii():
        return text.replace(" :", ":")
    if not text.isprintable():
        text = one_line(_UNSEEN.sub("", text))
    return _LOOSE_SPACE.sub("", text) if " " in text else text


def summarise(text: str) -> str:
    """Return the beginning of a plain text on one line, at most 300 characters.

    A longer text is cut after a sentence, or else after a word, and ends with an ellipsis. Between Chinese or
    Japanese characters every place is the end of a word.
    """
    start = text[: 2 * _SUMMARY_LENGTH].replace("\n", " ")
    if len(start) <= _SUMMARY_LENGTH:
        return start
    room = start[:_SUMMARY_LENGTH]  # one character more than fits beside the ellipsis, for the patterns to look ahead
    cuts = [match.end() for match in _SENTENCE_END.finditer(room)]
    if not cuts or not _SUMMARY_LENGTH // 2 <= cuts[-1] < _SUMMARY_LENGTH:
        ends = (match.start() for match in _WORD_END.finditer(room, _SUMMARY_LENGTH // 2))
        cuts = [end for end in ends if end < _SUMMARY_LENGTH]
    cut = cuts[-1] if cuts and cuts[-1] >= _SUMMARY_LENGTH // 2 else _SUMMARY_LENGTH - 1
    while unicodedata.combining(start[cut]) and cut > 1:
        cut -= 1
    return start[:cut].rstrip() + "…"


def _allowed(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return " " if character in "\x0b\x0c" else ""


def _allowed_reference(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    # Nobody needs more digits, and int() refuses thousands of them.
    code = int(digits, 16 if match[1] else 10) if len(digits.lstrip("0")) < len("10FFFFFF") else _LAST_CODE_POINT + 1
    if code > _LAST_CODE_POINT:
        return "\ufffd"
    character = chr(code)
    if character in _DEBRIS:
        return character
    clean = scrub(character)
    return match[0] if clean == character else clean
