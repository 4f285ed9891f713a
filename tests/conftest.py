"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Time is measured in benchmarks/, not here. In CI the same few examples run every time: a change is judged by what it
# changed, coverage slows them down, and new examples are looked for wherever else the tests run.
IN_CI = "CI" in os.environ
settings.register_profile("tests", deadline=None, derandomize=IN_CI, max_examples=30 if IN_CI else 100)
settings.load_profile("tests")
