"""The targets of fuzz/ on their corpus, on what hypothesis makes of their pieces, and under atheris for a moment."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.harness import lack
from fuzz.targets import CORPUS, TARGETS, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXECUTIONS = int(os.environ.get("FEEDSVC_FUZZ_EXECUTIONS", "300"))  # of each target
INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus_breaks_nothing(path: Path) -> None:
    load(path.parent.name).check(path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_any_pieces_break_nothing(name: str) -> None:
    target = load(name)
    pieces = st.lists(st.sampled_from(target.PIECES) | st.binary(max_size=4), max_size=30).map(b"".join)
    settings(suppress_health_check=[HealthCheck.too_slow])(given(pieces)(target.check))()


@pytest.mark.slow
def test_a_short_run_under_atheris_breaks_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        lack("atheris is not installed: pip install 'feedsvc[fuzz]'")
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--jobs", "2", "--executions", str(EXECUTIONS), "--findings", tmp_path],
        cwd=Path(__file__).parent,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    total = re.search(r"^([0-9,]+) executions in all$", done.stdout, re.MULTILINE)
    assert total
    assert int(total[1].replace(",", "")) >= EXECUTIONS * len(TARGETS)
