"""The watched folders of each test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from watch.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "a", tmp_path / "b", tmp_path / "outside")
    for folder in (place.a, place.b, place.outside):
        folder.mkdir()
    return place


@pytest.fixture
def unprivileged(place: Place) -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    # The way there stays open afterwards: another process that runs tests may be nobody there just now.
    for way in place.a.parents:
        way.chmod(way.stat().st_mode | 0o055)
    try:
        for folder in (place.a, place.b, place.outside):
            os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        yield
    finally:
        os.seteuid(0)
