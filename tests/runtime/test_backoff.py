from __future__ import annotations

import pytest

from feedsvc.runtime.backoff import backoff


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5.0), (2, 10.0), (3, 20.0), (7, 300.0), (100_000, 300.0)])
def test_pauses_double_up_to_the_longest(failures: int, seconds: float) -> None:
    assert backoff(failures, first=5.0, longest=300.0) == seconds
