"""Bytes of a dump to text: UTF-8, UTF-16, GB18030, Big5; charset-normalizer guesses the rest."""

from __future__ import annotations

import codecs
import re
from types import MappingProxyType
from typing import Final

from charset_normalizer import from_bytes

from feedsvc.errors import NotADump

_SAMPLE = 64 * 1024  # bytes to judge by
_ASCII = bytes(range(0x80))
_WHOLE_FOR_A_BROKEN = 8  # another encoding read as this one breaks far more often
_DECLARED_WITHIN = 8 * 1024
_DECLARED = re.compile(rb"<meta[^<>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9_-]{1,30})", re.IGNORECASE)
# Names that pages declare (WHATWG Encoding, section 4.2) to Python's codec for them.
_CODECS: Final = MappingProxyType(
    {
        "big5": "big5hkscs",
        "big5-hkscs": "big5hkscs",
        "euc-jp": "euc_jp",
        "euc-kr": "cp949",
        "gb18030": "gb18030",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "iso-8859-1": "cp1252",
        "koi8-r": "koi8_r",
        "shift_jis": "cp932",
        "windows-1251": "cp1251",
        "windows-1252": "cp1252",
    }
)
# UTF-32's little-endian mark begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF_16_WITHOUT_MARK: Final = (
    (re.compile(rb"(?:[\t\n\r -~]\0){4}"), "utf-16-le"),
    (re.compile(rb"(?:\0[\t\n\r -~]){4}"), "utf-16-be"),
)


def _common(codec: str, leads: range) -> frozenset[str]:
    """List the characters of a double-byte codec's rows."""
    pairs = (bytes((lead, trail)) for lead in leads for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)))
    return frozenset("".join(pair.decode(codec, "ignore") for pair in pairs))


# Punctuation, kana and the frequent ideographs come first in both character sets; the wrong codec reads text as the
# rare ones after them.
_COMMON: Final = _common("gb2312", range(0xA1, 0xD8)) | _common("big5", range(0xA1, 0xC7))
# All hold ASCII, so no guess can hide how the file begins.
_GUESSABLE: Final = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("big5hkscs", "cp932", "cp949", "euc_jp", "gb18030", "koi8_r"),
)
_COMMON_ENOUGH = 0.7
_DECLARED_COUNTS = 0.1


def decode(data: bytes, path: str) -> str:
    """Read the bytes of a dump, with every line end as a line feed and without byte order marks.

    A few broken bytes become U+FFFD and do not change the encoding of the rest.

    Raises:
        NotADump: The file is empty, holds white space only, or is binary.
    """
    text = data.decode(_codec(data, path), "replace").replace("\ufeff", "")
    if not text.strip():
        raise NotADump(path, "empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _codec(data: bytes, path: str) -> str:
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return codec
    if b"\0" in data:
        for beginning, codec in _UTF_16_WITHOUT_MARK:
            if beginning.match(data):
                return codec
        raise NotADump(path, "binary")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        cut_off = error.reason == "unexpected end of data" and not data[: error.start].isascii()
        return "utf-8" if cut_off else _codec_of_bytes(data)
    return "utf-8"


def _codec_of_bytes(data: bytes) -> str:
    """Tell UTF-8 with broken bytes from other encodings."""
    # A long beginning in ASCII says nothing.
    sample = data.lstrip(_ASCII)[:_SAMPLE]
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if broken * _WHOLE_FOR_A_BROKEN <= sum(character > "\x7f" for character in text) - broken:
        return "utf-8"
    match = _DECLARED.search(data, 0, _DECLARED_WITHIN)
    declared = _CODECS.get(match[1].decode("ascii").lower()) if match else None
    scores = {codec: _share_of_common(sample, codec) for codec in ("utf-8", "gb18030", "big5hkscs")}
    if declared in scores:
        scores[declared] += _DECLARED_COUNTS
    elif declared and sample.decode(declared, "replace").count("\ufffd") * _WHOLE_FOR_A_BROKEN <= len(sample):
        return declared
    best = max(scores, key=scores.__getitem__)
    if scores[best] >= _COMMON_ENOUGH:
        return best
    guess = from_bytes(sample, cp_isolation=list(_GUESSABLE)).best()
    return guess.encoding if guess else "utf-8"


def _share_of_common(sample: bytes, codec: str) -> float:
    wide = [character for character in sample.decode(codec, "replace") if character > "\x7f"]
    return sum(character in _COMMON for character in wide) / len(wide) if wide else 0.0
