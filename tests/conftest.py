"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Time is measured in benchmarks/, not here. In CI the same examples run every time: a change is judged by what it
# changed, and new examples are looked for wherever else the tests run.
settings.register_profile("tests", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tests")
