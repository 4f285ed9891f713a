from __future__ import annotations

import subprocess
import sys

import pytest

from feedsvc.http.room import MOST_CONNECTIONS, Held, choose_to_end


@pytest.mark.parametrize(
    ("held", "number", "ended"),
    [
        ("", 3, ""),
        ("a1", 0, ""),
        ("a1 a2 a3", 2, "a1 a2"),
        ("a3 a1 a2", 1, "a1"),
        ("a1 b2 c3", 2, "a1 b2"),
        ("a1 b2 b3", 1, "b2"),  # b has more, though a waits longer
        ("a1 b2 b3", 2, "b2 a1"),  # then both have as many
        ("a1 b5 b6 b7 c2 c3", 3, "b5 c2 b6"),
        ("a1 a2", 9, "a1 a2"),
    ],
)
def test_who_makes_room(held: str, number: int, ended: str) -> None:
    found = choose_to_end([Held(name[0], float(name[1]), name) for name in held.split()], number)
    assert " ".join(str(one.connection) for one in found) == ended


COUNT = """
import resource, sys
from feedsvc.http.room import count_room
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(count_room(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("soft", "hard", "room", "raised"),
    [
        (100, 100, 16, 100),
        (100, 1000, 744, 1000),
        (1000, 1000, 744, 1000),
        (256, 8192, MOST_CONNECTIONS, 8192),
    ],
)
def test_room_is_what_files_leave(soft: int, hard: int, room: int, raised: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(soft), str(hard)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(room), str(raised), str(hard)]
