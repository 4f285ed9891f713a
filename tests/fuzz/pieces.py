"""Changes inputs by what their formats are made of: bytes alone rarely become a tag, a field or a table."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["changer"]

_MOST_TIMES = 40  # a piece is repeated
_FEW = 4


def changer(pieces: Sequence[bytes]) -> Callable[[bytes, int, int], bytes]:
    """Make what changes an input, as libFuzzer calls it: data, the largest size, a seed.

    Args:
        pieces: What the format is made of.
    """

    def change(data: bytes, most: int, seed: int) -> bytes:
        dice = random.Random(seed)  # noqa: S311 - no secret
        for _ in range(dice.randint(1, _FEW)):
            data = _change(data, dice, pieces)[:most]
        return data

    return change


def _change(data: bytes, dice: random.Random, pieces: Sequence[bytes]) -> bytes:
    start, end = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
    end = min(end, start + dice.choice((1, 8, 64, len(data))))
    before, middle, after = data[:start], data[start:end], data[end:]
    piece = b"".join(dice.choices(pieces, k=dice.randint(1, _FEW)))
    changed = (
        before + piece + middle + after,
        before + piece + after,
        before + after,
        before + middle + middle + after,
        before + dice.choice(pieces) * dice.randint(2, _MOST_TIMES) + middle + after,
        before + dice.choice(pieces) + middle + dice.choice(pieces) + after,
        before + after + middle,
        before + dice.randbytes(dice.randint(1, _FEW)) + after,
        before + middle.swapcase() + after,
    )
    return dice.choices(changed, (4, 2, 2, 1, 1, 2, 1, 1, 1))[0]
