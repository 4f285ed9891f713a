"""Cleans dumps: parse, strip by rules, repair and write, sanitise."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from bs4 import ParserRejectedMarkup, Tag

from feedsvc.clean.explain import Explanation, mark_removals
from feedsvc.clean.learning.learned import census_source
from feedsvc.clean.learning.sightings import Sight, sight_title, title_block
from feedsvc.clean.metadata import pick_author, pick_title, tidy_categories, tidy_phrase
from feedsvc.clean.outline import make_outline
from feedsvc.clean.repair import Addresses
from feedsvc.clean.rules.matcher import Matcher, Matchers
from feedsvc.clean.sanitise import is_settled, sanitise
from feedsvc.clean.strip import strip, strip_except
from feedsvc.clean.text import one_line, prepare, scrub, summarise
from feedsvc.clean.titles import suffix_of
from feedsvc.clean.tree import make_tree
from feedsvc.clean.videos import find_video, video_entry
from feedsvc.clean.write import Written, write
from feedsvc.errors import CleaningError
from feedsvc.links import tidy_link
from feedsvc.model import Alternate, CleanEntry

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from bs4 import BeautifulSoup

    from feedsvc.clean.explain import Pieces
    from feedsvc.clean.learning.learned import Learned, LearnedBlock
    from feedsvc.clean.ledger import Stripped
    from feedsvc.clean.rules.rule import RuleSet
    from feedsvc.model import Dump, Removal, Sighting

_logger = logging.getLogger(__name__)

_MOST_ROUNDS: Final = 5
_PATIENT_ROUNDS: Final = 2
"""For links in links: each round sorts out eight levels of blocks; after so many rounds the outer links go."""

_MOST_REFERENCES: Final = 200_000
"""The sanitiser takes time by the square of their number: 1.4 s for so many, ten minutes for 8 MB of nothing else."""

_NO_RULES: Final = Matcher(())
_IMAGE: Final = re.compile(r"<image(?=[\s/>])", re.IGNORECASE)
_ENDS_PAGE: Final = re.compile(r"</(?:html|body)(?:[\s/][^>]*)?>", re.IGNORECASE)
_ENDS_SVG: Final = ("blockquote", "div", "figure", "h1", "h2", "h3", "img", "li", "p", "table", "ul")


@dataclass(slots=True)
class _Found:
    """By-products of cleaning an article, each once."""

    removals: list[Removal] = field(default_factory=list)
    rights: dict[str, None] = field(default_factory=dict)
    alternates: dict[Alternate, None] = field(default_factory=dict)
    authors: dict[str, None] = field(default_factory=dict)
    stood_back: bool = False
    sightings: tuple[Sighting, ...] | None = None  # of the first round: it sees the dump's own markup

    def add(self, stripped: Stripped, addresses: Addresses) -> None:
        self.removals += stripped.removals
        self.rights |= dict.fromkeys(stripped.rights)
        self.authors |= dict.fromkeys(stripped.authors)
        self.stood_back |= stripped.stood_back
        if self.sightings is None:
            self.sightings = stripped.sightings
        for raw, language in stripped.alternates:
            href = addresses.web(raw)
            if href is not None:
                self.alternates[Alternate(href, language)] = None


class Cleaner:
    """Cleans dumps by a set of rules.

    Attributes:
        digest: SHA-256 in hexadecimal over the rules, the version of feedsvc, and whether it learns. Two cleaners with
            the same digest clean a dump to the same bytes, as long as nothing else is learned.
        rules: The rules it cleans by.
        learned: The learned blocks; None for a cleaner that neither takes nor sights any.
    """

    def __init__(self, rules: RuleSet, *, learned: Learned | None = None) -> None:
        """Compile the rules for each host and source once they are needed."""
        self.digest = rules.digest
        if learned is not None:
            self.digest = hashlib.sha256(f"{rules.digest} learns".encode()).hexdigest()
        self.rules = rules.rules
        self.learned = learned
        self._matchers = Matchers(rules)

    def clean(self, dump: Dump, published: datetime, restored: Collection[str] = ()) -> CleanEntry:
        """Clean one dump.

        Cleaning the result again changes nothing, unless a keep rule depends on a class or id: those are gone by then.

        Args:
            dump: The dump; its `published` is not looked at.
            published: The article's date, aware. A line at the head that repeats it goes.
            restored: The digests of removals (`Removal.digest`) that were restored.

        Raises:
            CleaningError: The dump is nested too deeply for this Python, the parser rejects it, or it has so many
                ampersands that cleaning would not end.
        """
        return self._clean(dump, published, restored, None)

    def explain(self, dump: Dump, published: datetime) -> Explanation:
        """Clean one dump, and say where each removal was.

        Broken markup is cleaned several times. The explanation shows the first time, with the dump's own markup;
        removals of later times, from the markup of the parsers, have no place in it.

        Raises:
            CleaningError: As for `clean`.
        """
        marked: list[tuple[Pieces, Pieces]] = []
        entry = self._clean(dump, published, (), marked)
        text, html = marked[0]
        placed = {piece for piece in text if isinstance(piece, int)}
        elsewhere = tuple(number for number in range(len(entry.removals)) if number not in placed)
        return Explanation(entry, text, html, elsewhere)

    def _clean(
        self, dump: Dump, published: datetime, restored: Collection[str], marked: list[tuple[Pieces, Pieces]] | None
    ) -> CleanEntry:
        try:
            return self._entry(dump, published, restored, marked)
        except RecursionError as error:
            raise CleaningError(dump.path, "the article is nested too deeply", dump.line) from error
        except ParserRejectedMarkup as error:
            raise CleaningError(dump.path, f"the parser rejects the article: {error}", dump.line) from error

    def _entry(
        self, dump: Dump, published: datetime, restored: Collection[str], marked: list[tuple[Pieces, Pieces]] | None
    ) -> CleanEntry:
        link = None if dump.link is None else tidy_link(dump.link)
        source = tidy_phrase(dump.source)
        given_title = one_line(scrub(dump.title))
        known = None if self.learned is None else self.learned.of(census_source(source, link))
        suffixes = [suffix for suffix in suffix_of(given_title) if title_block(suffix) in known] if known else ()
        title = pick_title(given_title, source=source, author=dump.author, link=link, known=suffixes)
        written, found = self._article(dump, link, published, known=known, restored=restored, marked=marked)
        if not written.html and link is not None and (video := find_video(link)):
            written, more = self._article(replace(dump, html=video_entry(video, title)), link, published)
            found.removals += more.removals
        return CleanEntry(
            title=title,
            given_title=given_title,
            link=link,
            published=published,
            content=written.html,
            text=written.text,
            summary=summarise(written.text),
            author=pick_author(dump.author, source=source, byline=", ".join(found.authors)),
            source=source,
            categories=tidy_categories(dump.categories, source=source),
            language=dump.language,
            rights="\n".join(found.rights) or None,
            images=written.images,
            removals=tuple(found.removals),
            alternates=tuple(found.alternates),
            stood_back=found.stood_back,
            sightings=() if known is None else (found.sightings or ()) + sight_title(given_title),
        )

    def _article(
        self,
        dump: Dump,
        link: str | None,
        published: datetime,
        *,
        known: Mapping[str, LearnedBlock] | None = None,
        restored: Collection[str] = (),
        marked: list[tuple[Pieces, Pieces]] | None = None,
    ) -> tuple[Written, _Found]:
        """Clean until nothing changes any more: once, unless the markup is broken.

        If the sanitiser's parser or our own would move elements, the result is cleaned again: a reader's parser then
        finds nothing to move.
        """
        matcher: Matcher = self._matchers.get(link, dump.source)
        found = _Found()
        html = prepare(dump.html)
        date: datetime | None = published
        for number in range(_MOST_ROUNDS):
            soup, root = _parse(html)
            if number >= _PATIENT_ROUNDS:
                _unwrap_around(soup, ("a",), "a")
            addresses = Addresses(link)
            outline = make_outline(soup, root, matcher, addresses)
            sight = None if known is None else Sight(known, addresses)
            if restored:
                stripped = strip_except(outline, matcher, date, sight, restored)
            else:
                stripped = strip(outline, matcher, date, sight)
            found.add(stripped, addresses)
            written = write(root, stripped, addresses)
            if marked == []:  # an explanation is wanted, and this is the first round
                marked.append(mark_removals(soup, root, stripped, addresses))
            if written.html.count("&") > _MOST_REFERENCES:
                raise CleaningError(dump.path, f"the article has more than {_MOST_REFERENCES} ampersands", dump.line)
            before, html = html, sanitise(written.html)
            # Rules that stood back in this round may work in the next: less is left that they match.
            settled = html == written.html and is_settled(html)
            if settled and (html == before or not (stripped.stood_back or written.is_rewritten)):
                break
            if stripped.kept:  # by now kept elements may have lost the class or id of their keep rule
                matcher, date, known = _NO_RULES, None, None
        if found.stood_back:
            _logger.warning("rules would have taken too much of the article and stood back", extra={"path": dump.path})
        return Written(html, written.text, written.images), found


def _parse(html: str) -> tuple[BeautifulSoup, Tag]:
    lowered = html.lower()
    has_svg = "<svg" in lowered
    if "<image" in lowered and not has_svg:
        # In HTML an <image> is an <img> (WHATWG HTML, section 13.2.6.4.7); the parser would nest the rest in it.
        html = _IMAGE.sub("<img", html)
    if "</html" in lowered or "</body" in lowered:
        # Content after these tags belongs to the body (WHATWG HTML, section 13.2.6.4.19); the parser would lose it.
        html = _ENDS_PAGE.sub("", html)
    soup = make_tree(html)
    if has_svg:
        # HTML ends an <svg> that nobody closed (WHATWG HTML, section 13.2.6.5); the parser would lose the rest in it.
        _unwrap_around(soup, _ENDS_SVG, "svg")
    body = soup.body
    assert isinstance(body, Tag)  # noqa: S101 - it was written out
    return soup, body


def _unwrap_around(soup: BeautifulSoup, names: Collection[str], around: str) -> None:
    """Turn each element named `around` into a span if it holds any element of the other names."""
    seen: set[int] = set()
    for tag in soup(names):
        parent = tag.parent
        while parent is not None and id(parent) not in seen:
            seen.add(id(parent))
            if parent.name == around:
                parent.name = "span"
            parent = parent.parent
