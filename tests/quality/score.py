"""How much boilerplate is left in what cleaning gives, and how much article is missing from it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from quality.labels import SHARE, parse, read_truth, squeeze, text_blocks, value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from quality.labels import Label

UNSAFE = (
    "script, style, form, input, button, select, textarea, object, embed, link, meta, base, svg, math, frame, "
    "frameset, applet"
)
UNSAFE_ADDRESS = re.compile(r"\s*(?:javascript|vbscript|data:text)", re.IGNORECASE)
SOURCE = re.compile(r"^tags: \[ ?(.*?) ?\]\s*$", re.MULTILINE)
SUFFIXES = (".md", ".txt", ".html")
SHORT = 12  # characters; a block that is shorter must stand alone to count as left

RATES = {
    "leak": ("leaked", "boiler"),
    "loss": ("lost", "article"),
    "img": ("lost_images", "images"),
    "link": ("lost_links", "links"),
    "rights": ("lost_rights", "rights"),
}
COUNTS = ("share", "unsafe", "errors")


@dataclass
class Score:
    """Figures, and examples of each fault: path and what was found."""

    figures: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def rate(self, name: str) -> float:
        """A figure as the table shows it: percent, or a number."""
        if name in COUNTS:
            return self.figures[name]
        part, whole = RATES[name]
        return 100 * self.figures[part] / self.figures[whole] if self.figures[whole] else 0.0


def score_dump(raw: str, row: Mapping[str, Any] | None, label: Label, path: str, score: Score) -> None:
    """Add the figures of one dump.

    Args:
        raw: The dump.
        row: What `feedsvc clean --jsonl` says of it.
        label: Its source's.
        path: Its name in examples.
        score: What is added to.
    """
    truth, figures = read_truth(raw, label), score.figures
    figures["dumps"] += 1
    figures["article"] += len(truth.article)
    content = row["content"] if row else None
    if not row or not content:
        figures["errors"] += bool(truth.article)  # a dump without any may well be refused
        figures["lost"] += len(truth.article)
        return
    body = parse(content)
    blocks = [text for text, _ in text_blocks(body) if text]
    joined, story = "".join(blocks), "\n".join(truth.article)
    shown = " ".join(unquote(value(tag, "src")).lower() for tag in body.select("img, source, video"))
    anchors = {squeeze(link.get_text()) for link in body.select("a[href]")}
    stated = squeeze(row.get("rights") or "")
    addresses = [value(tag, key) for tag in body.select("[href], [src]") for key in ("href", "src")]
    faults = {
        "leak": [text for text in truth.boiler if is_left(text, blocks, joined, story)]
        + [text for text in truth.rights if text in joined],
        "loss": [text for text in truth.article if text not in joined],
        "img": [name for name in truth.images if name not in shown],
        "link": [text for text in truth.links if text in joined and text not in anchors],
        "rights": [] if any(text in stated or (stated and stated in text) for text in truth.rights) else truth.rights,
        "share": [address for address in addresses if SHARE.search(address)],
        "unsafe": [tag.name for tag in body.select(UNSAFE)]
        + [tag.name for tag in body.find_all() if any(key.startswith("on") for key in tag.attrs)]
        + [address for address in addresses if UNSAFE_ADDRESS.match(address)],
    }
    figures["boiler"] += len(truth.boiler) + len(truth.rights)
    figures["images"] += len(truth.images)
    figures["links"] += len(truth.links)
    figures["rights"] += bool(truth.rights)
    figures["lost_rights"] += bool(faults["rights"])
    for name, found in faults.items():
        score.faults[name] += [(path, text) for text in found]
        if name != "rights":
            figures[RATES[name][0] if name in RATES else name] += len(found)


def is_left(text: str, blocks: Collection[str], joined: str, story: str) -> bool:
    """Whether a piece of boilerplate is still there, and not only where the article says the same."""
    return text in blocks if len(text) < SHORT else text in joined and text not in story


def score_corpus(corpus: Path, labels: Mapping[str, Label], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Score]:
    """Score a folder of dumps: source to score, "ALL" last.

    Args:
        corpus: The folder.
        labels: Source to label; dumps of other sources are left out.
        rows: Path in the folder to what came of it.
    """
    scores: dict[str, Score] = {}
    for file in sorted(path for path in corpus.rglob("*") if path.suffix in SUFFIXES and path.is_file()):
        path = file.relative_to(corpus).as_posix()
        raw = file.read_text("utf-8", errors="replace")
        named = SOURCE.search(raw[:4000])
        source = named[1] if named else path.split("/")[0]
        if source in labels:
            score_dump(raw, rows.get(path), labels[source], path, scores.setdefault(source, Score()))
    total = Score()
    for score in scores.values():
        total.figures.update(score.figures)
    return {**scores, "ALL": total}
