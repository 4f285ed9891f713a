"""The folders that tests read."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
DATA = TESTS / "data"
ROOT = TESTS.parent
SEEDS = ROOT / "seeds"
