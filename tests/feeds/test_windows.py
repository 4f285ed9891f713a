"""A window that is kept up to date holds what one that is filled anew would hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedsvc.feeds.catalogue import Effect, Spot, Window

MOST = 3


def spot(number: int, published: int, updated: int = 0) -> Spot:
    return Spot(-published, f"id{number}", number, updated)


def filled(spots: list[Spot], most: int = MOST) -> Window:
    window = Window(most)
    for each in sorted(spots):
        if not window.append(each):
            break
    return window


def numbers(window: Window) -> list[int]:
    return [each.number for each in window.spots]


def test_newest_come_first_and_ids_break_ties() -> None:
    window = filled([spot(1, 10), spot(3, 20), spot(2, 20)])
    assert numbers(window) == [2, 3, 1]
    assert window.is_whole
    assert 3 in window
    assert 4 not in window


def test_new_entry_pushes_the_oldest_out() -> None:
    window = filled([spot(1, 10), spot(2, 20), spot(3, 30)])
    assert window.put(spot(4, 25)) == Effect(seen=True)
    assert numbers(window) == [3, 4, 2]
    assert not window.is_whole


def test_entry_older_than_a_full_window_is_not_seen() -> None:
    window = filled([spot(1, 10), spot(2, 20), spot(3, 30)])
    assert window.put(spot(4, 5)) == Effect(seen=False)
    assert window.put(spot(5, 4)) == Effect(seen=False)
    assert numbers(window) == [3, 2, 1]


def test_entry_that_leaves_makes_room_for_one_that_is_not_known() -> None:
    window = filled([spot(number, number) for number in range(5)])
    assert window.drop(3) == Effect(seen=True, torn=True)
    assert window.drop(99) == Effect(seen=False)
    whole = filled([spot(1, 1), spot(2, 2)])
    assert whole.drop(1) == Effect(seen=True)


def test_entry_that_moves_behind_others_that_are_not_known() -> None:
    window = filled([spot(number, number * 10) for number in range(5)])
    assert window.put(spot(3, 1)) == Effect(seen=True, torn=True)


def test_what_is_too_old_goes() -> None:
    window = filled([spot(number, number * 10) for number in range(5)])
    assert not window.expire(20)
    assert window.expire(21)
    assert numbers(window) == [4, 3]
    assert window.is_whole


@given(st.lists(st.tuples(st.integers(0, 8), st.one_of(st.none(), st.integers(0, 20)))))
def test_window_follows_any_changes(changes: list[tuple[int, int | None]]) -> None:
    """None is an entry that goes."""
    there: dict[int, Spot] = {}
    window = Window(MOST)
    for turn, (number, published) in enumerate(changes):
        before = window.spots
        if published is None:
            there.pop(number, None)
            effect = window.drop(number)
        else:
            there[number] = spot(number, published, updated=turn)
            effect = window.put(there[number])
        if effect.torn:
            window = filled(list(there.values()))
        assert window.spots == tuple(sorted(there.values())[:MOST])
        assert effect.seen or window.spots == before
        assert not window.is_whole or len(there) <= MOST
