"""Text folded for search: case, width and accents make no difference. Text for people to see."""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Blocks of scripts that are written without spaces between words, and Hangul: its words take endings.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x30FF),  # radicals, kana
    (0x3100, 0x9FFF),  # bopomofo, ideographs
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B2FF),
    (0x20000, 0x3FFFF),
)
_ACCENTED = 0x0530  # Latin, Greek and Cyrillic lose their accents; a kana's mark is another letter


class _Folds(dict[int, str]):
    """Code point to its folded text, computed at its first use."""

    def __init__(self, *, spaced: bool) -> None:
        super().__init__()
        self._spaced = spaced

    def __missing__(self, code: int) -> str:
        folded = _fold_character(chr(code))
        if self._spaced and folded and any(is_unspaced(character) for character in folded):
            folded = f" {' '.join(folded)} "
        self[code] = folded
        return folded


def _fold_character(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character).casefold()
    if unicodedata.category(character) == "Mn" and ord(character) < 0x0370:  # noqa: PLR2004 - combining accents
        return ""
    if folded and ord(unicodedata.normalize("NFKD", folded)[0]) < _ACCENTED:
        parts = unicodedata.normalize("NFKD", folded)
        folded = "".join(part for part in parts if unicodedata.category(part) != "Mn")
    return folded


def is_unspaced(character: str) -> bool:
    """True if a character is of a script that is written without spaces between words, or of Hangul."""
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)


_folds = _Folds(spaced=False)
_words = _Folds(spaced=True)


def _joined(text: str) -> str:
    """Join half-width kana and the marks behind them."""
    return unicodedata.normalize("NFKC", text) if "ﾞ" in text or "ﾟ" in text else text


def fold(text: str) -> str:
    """Fold each character by NFKC, case and, in European scripts, accents."""
    return _joined(text).translate(_folds)


def fold_words(text: str) -> str:
    """Fold, and set spaces around each character of a script that has none between words."""
    return _joined(text).translate(_words).encode("utf-8", "replace").decode()


def fold_marked(text: str) -> tuple[str, list[int]]:
    """Fold; also give the index in `text` of the character that each folded one comes from."""
    folded: list[str] = []
    origins: list[int] = []
    for position, character in enumerate(text):
        made = _folds[ord(character)]
        folded.append(made)
        origins += [position] * len(made)
    return "".join(folded), origins


def nearest(name: str, known: Iterable[str], *, most: int = 1, similarity: float = 0.6) -> str:
    """At most `most` of the known names, most like an unknown one, joined by "or"; empty if none is like it.

    Names below `similarity`, from 0 to 1, are left out.
    """
    return " or ".join(difflib.get_close_matches(name, known, most, similarity))


def printable(text: str) -> str:
    """Escape controls and lone surrogates (bytes of a path that are no UTF-8) for a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
