"""Scores cleaning against labels that say what of each dump is boilerplate.

    PYTHONPATH=tests python -m quality CORPUS LABELS [--gates] [--show 5]

Cleans the folder in three modes (all on, without site rules, with learning alone) and prints a table a mode:

    leak     boilerplate blocks that are still in the content / boilerplate blocks
    loss     article blocks that are missing from the content / article blocks
    img      article pictures missing / article pictures
    link     article links missing / article links
    rights   dumps whose copyright notice did not become the entry's rights / dumps that have one
    share    addresses for sharing, feed services and tracking that are left
    unsafe   scripts, forms, event handlers and the like that are left
    errors   dumps that hold an article, of which nothing came out

The labels are TOML: for each source, which parts are boilerplate (`strip_css`, and `strip` for whole blocks), which
are notices (`rights`), which count neither way (`neutral`), and which are article whatever else matches (`keep`);
what is below [common] is for all sources. Patterns match whole blocks with all white space taken out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quality.labels import load_labels
from quality.score import COUNTS, RATES, Score, score_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODES: Mapping[str, tuple[tuple[str, ...], Mapping[str, float]]] = {
    "all on": (
        (),
        {"leak": 0.5, "loss": 0.02, "img": 0.1, "link": 0.1, "rights": 0, "share": 0, "unsafe": 0, "errors": 0},
    ),
    "no site rules": (("--no-site-rules",), {"leak": 5, "loss": 0.05}),
    "learning alone": (("--no-rules",), {"leak": 20, "loss": 0.05}),
}
"""Flags of `feedsvc clean`, and the largest figures that pass, in percent or as they are."""

LOSSLESS = frozenset({"Solidot", "CCTV新闻联播"})  # hold nothing but article, much of which recurs


def clean(corpus: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """Clean a folder by the command line: path in it to what came of it."""
    command: list[str | Path] = [Path(sys.executable).with_name("feedsvc"), "clean", "--jsonl", *flags, corpus]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode > 1:
        sys.exit(done.returncode)
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    return {row["path"]: row for row in rows}


def table(scores: Mapping[str, Score]) -> Iterator[str]:
    """Write the figures of each source."""
    yield f"{'':20}{'dumps':>7}" + "".join(f"{name:>9}" for name in (*RATES, *COUNTS))
    for source, score in scores.items():
        rates = "".join(f"{score.rate(name):8.2f}%" if score.figures[RATES[name][1]] else f"{'-':>9}" for name in RATES)
        yield f"{source[:18]:20}{score.figures['dumps']:7}{rates}" + "".join(f"{score.rate(n):9.0f}" for n in COUNTS)


def failures(scores: Mapping[str, Score], gates: Mapping[str, float]) -> Iterator[str]:
    """Say which figures are too large."""
    for name, most in gates.items():
        if scores["ALL"].rate(name) > most:
            yield f"{name} is {scores['ALL'].rate(name):.3f}, at most {most} passes"
    for source in sorted(LOSSLESS & scores.keys()):
        if scores[source].rate("loss"):
            yield f"{source} loses {scores[source].rate('loss'):.3f} %, and has nothing but article"


def main() -> None:
    """Score a folder in each mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--gates", action="store_true", help="fail where a figure is larger than it may be")
    parser.add_argument("--show", type=int, default=0, help="so many examples of each fault of each source")
    wanted = parser.parse_args()
    labels = load_labels(wanted.labels)
    usage: list[str | Path] = [Path(sys.executable).with_name("feedsvc"), "clean", "--help"]
    known = subprocess.run(usage, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}).stdout
    failed = []
    for mode, (flags, gates) in MODES.items():
        if not all(flag in known for flag in flags):
            sys.stdout.write(f"\n{mode}: left out, feedsvc clean has no {' '.join(flags)}\n")
            continue
        scores = score_corpus(wanted.corpus, labels, clean(wanted.corpus, *flags))
        sys.stdout.write(f"\n{mode}\n" + "".join(f"{line}\n" for line in table(scores)))
        for source, score in scores.items():
            for name, found in score.faults.items():
                sys.stdout.writelines(
                    f"  {source} {name}: {text[:100]}  <{path}>\n" for path, text in found[: wanted.show]
                )
        failed += [f"{mode}: {failure}" for failure in failures(scores, gates)]
    if wanted.gates and failed:
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
