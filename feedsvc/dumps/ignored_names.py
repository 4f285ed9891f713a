"""Files that are no dumps by their names alone."""

from __future__ import annotations

from pathlib import PurePath
from types import MappingProxyType
from typing import Final

_ENDINGS: Final = MappingProxyType(
    {
        "an editor's backup": "bak orig swo swp swx",
        "a partial download": "crdownload download filepart opdownload part partial tmp",
        "an image": "avif bmp gif heic heif ico jfif jpe jpeg jpg jxl png psd svg tif tiff webp",
        "an archive": "7z br bz2 gz iso jar lz lz4 lzma rar tar tbz2 tgz txz xz zip zst",
        "an office document": "doc docm docx numbers odp ods odt pages ppt pptx rtf xls xlsm xlsx",
        "a PDF or an e-book": "azw3 djvu epub mobi pdf",
        "a sound file": "aac aif aiff amr flac m4a mid mp3 oga ogg opus wav wma",
        "a video": "3gp avi flv m4v mkv mov mp4 mpeg mpg ogv webm wmv",
    }
)
_REASONS: Final = MappingProxyType({f".{end}": reason for reason, ends in _ENDINGS.items() for end in ends.split()})
_ABOUT_A_PROJECT: Final = frozenset(
    {"changelog", "code_of_conduct", "contributing", "copying", "licence", "license", "readme"}
)
_PROSE: Final = frozenset({"", ".markdown", ".md", ".rst", ".txt"})
_LEFT_BY_SYSTEMS: Final = frozenset({"desktop.ini", "thumbs.db"})


def ignored_name(path: str) -> str | None:
    """Say why a file is no dump, by the last part of its path alone: a noun phrase for people.

    None means that the file has to be read.
    """
    name = PurePath(path).name.lower()
    ending = PurePath(name).suffix
    if name.startswith("."):
        reason: str | None = "a hidden file"
    elif name.endswith("~") or (name.startswith("#") and name.endswith("#")):
        reason = "an editor's backup"
    elif name.partition(".")[0] in _ABOUT_A_PROJECT and ending in _PROSE:
        reason = "about a project, not an article"
    elif name in _LEFT_BY_SYSTEMS:
        reason = "left by the operating system"
    else:
        reason = _REASONS.get(ending)
    return reason
