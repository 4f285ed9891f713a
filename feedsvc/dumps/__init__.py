"""Dump files: bytes to Dump.

    decode -> front matter, if any -> marker blocks, or else one page -> Dump

The formats:

1. bare: marker, title line, dashes, HTML (`blocks`)
2. the same below front matter (`front_matter`)
3. front matter and HTML without a marker (`parse`)
4. several marker blocks in one file, with front matter or without (`blocks`)
"""

from __future__ import annotations

from feedsvc.dumps.ignored_names import ignored_name
from feedsvc.dumps.parse import parse_dump

__all__ = ["ignored_name", "parse_dump"]
