"""How well cleaning does on the labelled dumps in quality/corpus; and whether the score tells what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quality.__main__ import clean
from quality.labels import Label, body_of, load_labels, text_blocks
from quality.labels import parse as parse_html
from quality.score import COUNTS, RATES, Score, score_corpus, score_dump

HERE = Path(__file__).parent / "quality"
CORPUS = HERE / "corpus"
LABELS = load_labels(HERE / "labels.toml")
MOST = {"leak": 70.0, "rights": 100.0}  # percent; what is not named here is nothing at all
PATHS = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*.*"))


@pytest.mark.slow
def test_cleaning_is_as_good_as_it_was() -> None:
    scores = score_corpus(CORPUS, LABELS, clean(CORPUS))
    assert scores.keys() == {*LABELS, "ALL"}
    total = scores["ALL"]
    found = {name: total.rate(name) for name in (*RATES, *COUNTS)}
    assert {name: rate for name, rate in found.items() if rate > MOST.get(name, 0)} == {}, total.faults


def test_every_label_is_about_something() -> None:
    raws = [(CORPUS / path).read_text("utf-8") for path in PATHS]
    blocks = {text for raw in raws for text, _ in text_blocks(parse_html(body_of(raw)))}
    for label in LABELS.values():
        for pattern in (*label.strip, *label.rights):
            assert any(pattern.fullmatch(text) for text in blocks), pattern.pattern


def untouched() -> dict[str, dict[str, Any]]:
    rows = {path: body_of((CORPUS / path).read_text("utf-8")) for path in PATHS}
    return {path: {"content": html, "rights": None} for path, html in rows.items()}


def test_dumps_that_nobody_cleaned_lose_nothing_and_leave_everything() -> None:
    total = score_corpus(CORPUS, LABELS, untouched())["ALL"]
    assert total.figures["dumps"] == len(PATHS)
    assert [total.rate(name) for name in ("leak", "loss", "img", "link", "rights", "errors")] == [100, 0, 0, 0, 100, 0]
    assert total.rate("share") > len(PATHS)


def test_nothing_at_all_loses_everything() -> None:
    total = score_corpus(CORPUS, LABELS, {})["ALL"]
    assert total.rate("loss") == 100
    assert total.rate("errors") == len(PATHS)


LABEL = load_labels(HERE / "labels.toml")["Harbour Post"]
RAW = """<!--1-->
[t](https://h.example/a)
------
<p>The whole of the story, with a <a href="https://h.example/b">link of its own</a>.</p>
<p><img src="https://img.example/x/Photo.jpg"></p>
<p>Advertisement</p><div class="sharedaddy"><p>Share this article with others</p></div>
<p>© 2023 Harbour Post. All rights reserved.</p>
"""
STORY = (
    '<p>The whole of the story, with a <a href="https://h.example/b">link of its own</a>.</p>'
    '<p><img src="https://img.example/x/Photo.jpg"></p>'
)
RIGHTS = "© 2023 Harbour Post. All rights reserved."


def faults(content: str, rights: str | None = RIGHTS, label: Label = LABEL) -> set[str]:
    score = Score()
    score_dump(RAW, {"content": content, "rights": rights}, label, "a", score)
    assert {name for name in (*RATES, *COUNTS) if score.rate(name)} == {
        name for name, found in score.faults.items() if found
    }
    return {name for name, found in score.faults.items() if found}


@pytest.mark.parametrize(
    ("content", "rights", "wrong"),
    [
        (STORY, RIGHTS, set()),
        (STORY + "<p>Advertisement</p>", RIGHTS, {"leak"}),
        (STORY + "<p>Share this article with others</p>", RIGHTS, {"leak"}),
        (f"{STORY}<p>{RIGHTS}</p>", RIGHTS, {"leak"}),
        (STORY, None, {"rights"}),
        (STORY.replace("whole", "half"), RIGHTS, {"loss"}),
        (STORY.replace("Photo", "Other"), RIGHTS, {"img"}),
        (STORY.replace("https://img.example", "https://i.example/proxy?u="), RIGHTS, set()),
        (STORY.replace('<a href="https://h.example/b">link of its own</a>', "link of its own"), RIGHTS, {"link"}),
        (STORY.replace("/b", "/b?utm_source=x"), RIGHTS, {"share"}),
        (STORY + '<a href="https://wa.me/?text=x">x</a>', RIGHTS, {"share"}),
        (STORY + "<script>x</script>", RIGHTS, {"unsafe"}),
        (STORY + '<p onclick="x">y</p>', RIGHTS, {"unsafe"}),
        (STORY + '<a href=" javascript:x">y</a>', RIGHTS, {"unsafe"}),
    ],
)
def test_fault_shows_in_its_figure_only(content: str, rights: str | None, wrong: set[str]) -> None:
    assert faults(content, rights) == wrong
