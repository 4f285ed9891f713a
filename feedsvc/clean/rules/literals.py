"""Literals that a text must hold for a regular expression to match it.

`literals(r"(?:分享|转发)到.*", ...)` returns the clauses ({"分享", "转发"}, {"到"}): every text that matches holds at
least one literal of each. An expression that is not understood gives no clause, so no match is ever missed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Clauses: TypeAlias = tuple[frozenset[str], ...]

_Atom: TypeAlias = str | Clauses  # a character, "white" for any space, "anything", "nothing", or the clauses of a group

_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|0([0-7]{0,2})")
_CONTROLS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_GROUP = re.compile(r"\?(?:P<\w+>|>|(?P<flags>[aiLmsux]*(?:-[imsx]+)?):)")
_LOOK = re.compile(r"\?<?[=!]")


class _NotUnderstood(Exception):  # noqa: N818 - never leaves this module
    pass


def literals(pattern: str, form: Callable[[str], str | None]) -> Clauses:
    """Read the literals that every match of a regular expression holds.

    Args:
        pattern: A valid expression in Python's syntax.
        form: Returns the form of a character in the texts that are searched; "" if they leave it out, None if they
            may write it in another way, so that no literal may hold it.

    Returns:
        Sets of literals: every such text holds one of each set. Empty if nothing is known.
    """
    try:
        return _Reader(pattern, form).alternatives()
    except _NotUnderstood:
        return ()


class _Reader:
    def __init__(self, pattern: str, form: Callable[[str], str | None]) -> None:
        self._pattern = pattern
        self._at = 0
        self._form = form

    def alternatives(self) -> Clauses:
        """Read up to the end of a group or of the expression."""
        found = [self._sequence()]
        while self._next("|"):
            found.append(self._sequence())
        if len(found) == 1:
            return found[0]
        if not all(found):
            return ()
        return (frozenset().union(*(max(clauses, key=_weight) for clauses in found)),)

    def _sequence(self) -> Clauses:
        clauses: list[frozenset[str]] = []
        run = ""

        def end_run() -> None:
            nonlocal run
            if run:
                clauses.append(frozenset({run}))
            run = ""

        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            atom = self._atom()
            least, exactly = self._count()
            if atom == "nothing":
                continue
            character = self._form(atom) if isinstance(atom, str) and len(atom) == 1 else None
            if character == "" or (atom == "white" and self._form(" ") == ""):
                continue
            if character is not None:
                run += character * least
                if exactly:
                    continue
            end_run()
            if not isinstance(atom, str) and least:
                clauses += atom
        end_run()
        return tuple(clauses)

    def _atom(self) -> _Atom:
        """Read one character, class or group."""
        character = self._take()
        if character == "\\":
            return self._escape()
        if character == "[":
            return self._class()
        if character == "(":
            return self._group()
        if character == ".":
            return "anything"
        return "nothing" if character in "^$" else character

    def _escape(self) -> _Atom:
        if code := _CODE.match(self._pattern, self._at):
            self._at = code.end()
            digits = code[1] or code[2] or code[3]
            return chr(int(digits, 16)) if digits else chr(int(code[4] or "0", 8))
        character = self._take()
        if character in "AZbB":
            return "nothing"
        if character == "s":
            return "white"
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character == "N" or character.isdigit():
            raise _NotUnderstood
        return "anything" if character.isalpha() else character

    def _class(self) -> _Atom:
        start = self._at
        self._next("^")
        self._next("]")
        while self._take() != "]":
            if self._pattern[self._at - 1] == "\\":
                self._at += 1
        inside = self._pattern[start : self._at - 1]
        return inside if len(inside) == 1 else "anything"

    def _group(self) -> _Atom:
        if self._next("?#"):
            self._at = self._pattern.index(")", self._at) + 1
            return "nothing"
        looks = _LOOK.match(self._pattern, self._at)
        opening = looks or _GROUP.match(self._pattern, self._at)
        if opening:
            self._at = opening.end()
            if "x" in (opening.groupdict().get("flags") or ""):
                raise _NotUnderstood
        elif self._next("?"):
            raise _NotUnderstood
        clauses = self.alternatives()
        self._take()
        return "nothing" if looks else clauses

    def _count(self) -> tuple[int, bool]:
        """Return how often the atom before stands at least, and whether it never stands more often."""
        least, exactly = 1, True
        if self._next("?") or self._next("*"):
            least, exactly = 0, False
        elif self._next("+"):
            exactly = False
        elif (count := _COUNT.match(self._pattern, self._at)) and (count[1] or count[2]):
            self._at = count.end()
            least = int(count[1] or 0)
            exactly = not count[2] or count[1] == count[3]
        else:
            return least, exactly
        if not self._next("?"):
            self._next("+")
        return least, exactly

    def _next(self, expected: str) -> bool:
        if self._pattern.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def _take(self) -> str:
        if self._at >= len(self._pattern):
            raise _NotUnderstood
        self._at += 1
        return self._pattern[self._at - 1]


def _weight(clause: frozenset[str]) -> tuple[int, int]:
    """Rank a clause: by the bytes of its shortest literal, then by how few literals it has."""
    return min(len(literal.encode()) for literal in clause), -len(clause)
