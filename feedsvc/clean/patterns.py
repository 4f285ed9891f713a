"""Regular expressions of rules: many tried at once."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from feedsvc.clean.rules import Rule

__all__ = ["Patterns", "compile_pattern"]


@lru_cache(4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a rule's regular expression; case is ignored.

    Args:
        pattern: In Python's syntax. Flags for a part are written `(?-i:...)`; flags for the whole are not taken,
            since patterns are joined.

    Returns:
        The compiled expression.

    Raises:
        ValueError: The expression is not valid; the message says where.
    """
    try:
        return re.compile(f"(?:{pattern})", re.IGNORECASE)
    except re.error as error:
        at = "" if error.pos is None else f" at character {max(1, error.pos - len('(?:') + 1)}"
        raise ValueError(f"{error.msg}{at}") from error


class Patterns:
    """The regular expressions of several rules.

    Nearly all texts match none, so one joined expression is asked first.
    """

    def __init__(self, rules: Iterable[tuple[Rule, tuple[str, ...]]], *, whole: bool) -> None:
        """Join the expressions.

        Args:
            rules: Each rule with its expressions.
            whole: Whether an expression must match the whole text, or only its start.
        """
        self._rules = [(rule, [compile_pattern(each) for each in patterns]) for rule, patterns in rules]
        compiled = [pattern for _, patterns in self._rules for pattern in patterns]
        # Numbers of groups would shift in a joined expression.
        joined = "|".join(pattern.pattern for pattern in compiled if not pattern.groups)
        alone = [pattern for pattern in compiled if pattern.groups]
        first = [re.compile(joined, re.IGNORECASE)] if joined else []
        self._whole = whole
        self._any = [self._method(pattern) for pattern in (*first, *alone)]

    def find(self, text: str) -> list[Rule]:
        """Give the rules that match, in their order."""
        if not any(matches(text) for matches in self._any):
            return []
        return [rule for rule, patterns in self._rules if any(self._method(pattern)(text) for pattern in patterns)]

    def _method(self, pattern: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
        return pattern.fullmatch if self._whole else pattern.match
