"""Dump -> CleanEntry: parse, strip by rules, repair and write, sanitise."""

from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING, Final

from bs4 import BeautifulSoup, ParserRejectedMarkup, Tag

from feedsvc.clean.learned import census_source
from feedsvc.clean.matcher import Matcher, Matchers
from feedsvc.clean.outline import make_outline
from feedsvc.clean.repair import Addresses
from feedsvc.clean.sanitise import is_settled, sanitise
from feedsvc.clean.sightings import Sight
from feedsvc.clean.strip import strip
from feedsvc.clean.text import fold, prepare, scrub, summarise
from feedsvc.clean.write import Page, write
from feedsvc.errors import CleaningError
from feedsvc.links import tidy_link
from feedsvc.model import CleanEntry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from feedsvc.clean.learned import Learned, LearnedBlock
    from feedsvc.clean.rules import RuleSet
    from feedsvc.model import Dump, Removal, Sighting

__all__ = ["Cleaner"]

_logger = logging.getLogger(__name__)

_MOST_ROUNDS: Final = 5
_NO_RULES: Final = Matcher(())
_IMAGE: Final = re.compile(r"<image(?=[\s/>])", re.IGNORECASE)
_ENDS_PAGE: Final = re.compile(r"</(?:html|body)(?:[\s/][^>]*)?>", re.IGNORECASE)
_ENDS_SVG: Final = ("blockquote", "div", "figure", "h1", "h2", "h3", "img", "li", "p", "table", "ul")


class Cleaner:
    """Cleans dumps by a set of rules.

    Attributes:
        digest: SHA-256 in hexadecimal over the rules, the version of feedsvc, and whether it learns: what one digest
            has cleaned, the same digest cleans to the same bytes as long as nothing else is learned.
        learned: The learned blocks; None for a cleaner that takes none, and gives nothing to learn from.
    """

    def __init__(self, rules: RuleSet, *, learned: Learned | None = None) -> None:
        """Take the rules that `load_rules` gave, and what is learned."""
        self.digest = rules.digest
        if learned is not None:
            self.digest = hashlib.sha256(f"{rules.digest} learns".encode()).hexdigest()
        self.learned = learned
        self._matchers = Matchers(rules)

    def clean(self, dump: Dump, published: datetime) -> CleanEntry:
        """Clean one dump.

        Cleaning what came out once more changes nothing, as long as no keep rule depends on a class or id: those
        are gone by then.

        Args:
            dump: The dump; its `published` is not looked at.
            published: The article's date, aware. A line at the head that repeats it goes.

        Returns:
            The article, and all that was taken out of it.

        Raises:
            CleaningError: The dump is nested too deeply for this Python, or the parser rejects it.
        """
        try:
            return self._clean(dump, published)
        except RecursionError as error:
            raise CleaningError(dump.path, "the article is nested too deeply", dump.line) from error
        except ParserRejectedMarkup as error:
            raise CleaningError(dump.path, f"the parser rejects the article: {error}", dump.line) from error

    def _clean(self, dump: Dump, published: datetime) -> CleanEntry:
        link = None if dump.link is None else tidy_link(dump.link)
        source = None if dump.source is None else scrub(dump.source)
        known = None if self.learned is None else self.learned.of(census_source(source, link))
        page, removals, rights, sightings = self._article(dump, link, published, known)
        return CleanEntry(
            title=fold(scrub(dump.title)),
            link=link,
            published=published,
            content=page.html,
            text=page.text,
            summary=summarise(page.text),
            author=None if dump.author is None else scrub(dump.author),
            source=source,
            categories=tuple(map(scrub, dump.categories)),
            language=dump.language,
            rights="\n".join(rights) or None,
            images=page.images,
            removals=tuple(removals),
            sightings=sightings,
        )

    def _article(
        self, dump: Dump, link: str | None, published: datetime, known: Mapping[str, LearnedBlock] | None
    ) -> tuple[Page, list[Removal], list[str], tuple[Sighting, ...]]:
        """Clean until nothing changes any more, which is at once for all but broken markup.

        Where the sanitiser's parser or our own would put elements elsewhere than they are written, what they make of
        it is cleaned again: a reader's parser then has no say in what the article is.
        """
        matcher: Matcher = self._matchers.get(link, dump.source)
        removals: list[Removal] = []
        rights: list[str] = []
        html = prepare(dump.html)
        date: datetime | None = published
        stood_back = False
        sightings: tuple[Sighting, ...] | None = None  # of the first round, which sees the dump's own markup
        for _ in range(_MOST_ROUNDS):
            soup, root = _parse(html)
            addresses = Addresses(link)
            outline = make_outline(soup, root, matcher, addresses)
            sight = None if known is None else Sight(known, addresses)
            stripped = strip(outline, matcher, date, sight)
            sightings = stripped.sightings if sightings is None else sightings
            stood_back |= stripped.stood_back
            removals += stripped.removals
            rights += [notice for notice in stripped.rights if notice not in rights]
            page = write(root, stripped, addresses)
            before, html = html, sanitise(page.html)
            # What rules were kept from in this round, they may do in the next, when less is left that they match.
            if html == page.html and is_settled(html) and (not stripped.stood_back or html == before):
                break
            if stripped.kept:  # what a rule kept may have lost by now what the rule knew it by
                matcher, date, known = _NO_RULES, None, None
        if stood_back:
            _logger.warning("rules would have left nothing of the article and stood back", extra={"path": dump.path})
        return Page(html, page.text, page.images), removals, rights, sightings or ()


def _parse(html: str) -> tuple[BeautifulSoup, Tag]:
    lowered = html.lower()
    has_svg = "<svg" in lowered
    if "<image" in lowered and not has_svg:
        # To HTML an <image> is an <img> (WHATWG HTML, section 13.2.6.4.7); the parser would put what follows inside.
        html = _IMAGE.sub("<img", html)
    if "</html" in lowered or "</body" in lowered:
        # What follows belongs to the body all the same (WHATWG HTML, section 13.2.6.4.19); the parser would lose it.
        html = _ENDS_PAGE.sub("", html)
    # With <body> written out, text at the very beginning stays what it is: the parser would put it in a paragraph.
    soup = BeautifulSoup(f"<body>{html}", "lxml", multi_valued_attributes=None, string_containers={})
    if has_svg:
        # HTML ends an <svg> that nobody closed (WHATWG HTML, section 13.2.6.5); the parser would lose the rest in it.
        seen: set[int] = set()
        for tag in soup(_ENDS_SVG):
            parent = tag.parent
            while parent is not None and id(parent) not in seen:
                seen.add(id(parent))
                if parent.name == "svg":
                    parent.name = "span"
                parent = parent.parent
    body = soup.body
    assert isinstance(body, Tag)  # noqa: S101 - it was written out
    return soup, body
