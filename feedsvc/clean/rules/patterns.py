"""Regular expressions of rules: many tried at once."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from feedsvc.clean.rules.literals import literals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.clean.rules.rule import Rule

    _Matches: TypeAlias = Callable[[str], re.Match[str] | None]

_COMMON: Final = "etaoinsrhldcumfpgwybvkxjqz"
"""The letters, the most frequent in Western languages first."""


@lru_cache(4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a rule's regular expression; case is ignored.

    Args:
        pattern: In Python's syntax. Flags for a part are written `(?-i:...)`; flags for the whole are an error, since
            patterns are joined.

    Raises:
        ValueError: The expression is not valid; the message names the character.
    """
    try:
        return re.compile(f"(?:{pattern})", re.IGNORECASE)
    except re.error as error:
        at = "" if error.pos is None else f" at character {max(1, error.pos - len('(?:') + 1)}"
        raise ValueError(f"{error.msg}{at}") from error


class Patterns:
    """The regular expressions of several rules.

    Nearly all texts match none. Expressions about the start of a text are joined into one, and most texts fail it soon.
    Most expressions about a whole text need a literal, and are tried only on texts that hold it: one search finds the
    pairs of characters that may belong to a literal.
    """

    def __init__(self, rules: Iterable[tuple[Rule, tuple[str, ...]]], *, whole: bool) -> None:
        """Sort the expressions of each rule; they must match the whole of a text, or only its start."""
        self._whole = whole
        self._rules: list[Rule] = []
        self._tries: list[tuple[int, _Matches]] = []  # the expressions, each with the number of its rule
        self._by_pair: dict[tuple[str, str], list[tuple[str, int]]] = {}  # literals, each with its expression's number
        self._joined: list[int] = []
        self._alone: list[int] = []
        joinable: list[str] = []
        for rule, patterns in rules:
            for pattern in map(compile_pattern, patterns):
                number = len(self._tries)
                self._tries.append((len(self._rules), self._method(pattern)))
                found = _literals(pattern.pattern) if whole else frozenset()
                for literal in found:
                    self._by_pair.setdefault(_rare_pair(literal), []).append((literal, number))
                if found:
                    continue
                if pattern.groups:  # their numbers would shift in a joined expression
                    self._alone.append(number)
                else:
                    self._joined.append(number)
                    joinable.append(pattern.pattern)
            self._rules.append(rule)
        joined = "|".join(joinable)
        self._matches_joined = self._method(re.compile(joined, re.IGNORECASE))
        first, second = ("".join({re.escape(pair[place]) for pair in self._by_pair}) for place in (0, 1))
        self._pairs = re.compile(f"([{first}])(?=([{second}]))" if self._by_pair else "").findall

    def find(self, text: str) -> list[Rule]:
        """Return the rules that match, in their order."""
        tried = self._alone.copy()
        if self._joined and self._matches_joined(text):
            tried += self._joined
        if self._by_pair:
            folded = _fold_case(text)
            for pair in self._by_pair.keys() & self._pairs(folded):
                tried += [number for literal, number in self._by_pair[pair] if literal in folded]
        if not tried:
            return []
        found = {rule for rule, matches in map(self._tries.__getitem__, set(tried)) if matches(text)}
        return [self._rules[number] for number in sorted(found)]

    def _method(self, pattern: re.Pattern[str]) -> _Matches:
        return pattern.fullmatch if self._whole else pattern.match


@lru_cache(4096)
def _literals(pattern: str) -> frozenset[str]:
    """Return literals, case folded: every match holds one of them. Empty if none are known."""
    clauses = literals(pattern, _fold_character)
    best = max(clauses, key=lambda clause: (min(map(len, clause)), -len(clause)), default=frozenset())
    return best if all(len(literal) > 1 for literal in best) else frozenset()


def _rare_pair(literal: str) -> tuple[str, str]:
    return max(pairwise(literal), key=lambda pair: sum(_COMMON.find(letter) % len(_COMMON) for letter in pair))


def _fold_character(character: str) -> str | None:
    # An expression's space may stand for any white space.
    return None if character.isspace() else _fold_case(character)


def _fold_case(text: str) -> str:
    """Make characters equal that are equal to regular expressions: dotless and dotted i too."""
    return text.replace("ı", "i").replace("İ", "i").casefold()
