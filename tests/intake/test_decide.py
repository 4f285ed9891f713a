"""What an article means for what is stored: every row of the table, and what must hold in any order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from articles import CLEANER, NOW, PUBLISHED, make_article
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.intake.decide import Decision, Verdict, article_digest, decide_entry, identities, mint_entry
from feedsvc.model import Known, Place

if TYPE_CHECKING:
    from feedsvc.model import CleanEntry

HERE, THERE = Place(1, 0), Place(2, 0)
HOUR = timedelta(hours=1)

# RFC 4151, section 2.1, with an authority that is a DNS name.
TAG = re.compile(
    r"tag:[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r",\d{4}(-\d{2}(-\d{2})?)?"
    r":[A-Za-z0-9._~!$&'()*+,;=:@/?-]*"
)


def known_of(article: CleanEntry, owner: Place | None = HERE, **changes: Any) -> Known:  # noqa: ANN401 - any field
    known = Known(entry=mint_entry(article, cleaner="old"), owner=owner, said=article.published)
    return replace(known, **changes)


def decide(article: CleanEntry, known: Known | None, place: Place = HERE, now: datetime = NOW) -> Decision:
    return decide_entry(article, known, place, cleaner=CLEANER, now=now)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An article against what is known of article 0 from HERE.

    Attributes:
        moved: `updated` is to be now; else it is to stay.
        fresh: The content is to be that of the article; else what is stored.
    """

    name: str
    changes: dict[str, Any]
    known: dict[str, Any] | None
    place: Place
    verdict: Verdict
    owns: bool
    moved: bool = False
    fresh: bool = True


EARLIER, LATER = {"published": PUBLISHED - HOUR}, {"published": PUBLISHED + HOUR}
OTHER_TEXT = {"text": "other", "content": "<p>other</p>"}
OTHER_MARKUP = {"content": "<div><p>正文 0</p></div>"}

CASES = [
    Case(name="new", changes={}, known=None, place=HERE, verdict=Verdict.ADDED, owns=True),
    Case(name="the same again", changes={}, known={}, place=HERE, verdict=Verdict.UNCHANGED, owns=True),
    Case(name="title", changes={"title": "x"}, known={}, place=HERE, verdict=Verdict.UPDATED, owns=True, moved=True),
    Case(name="text", changes=OTHER_TEXT, known={}, place=HERE, verdict=Verdict.UPDATED, owns=True, moved=True),
    Case(
        name="picture",
        changes={"images": ("https://img.example.org/9.jpg",)},
        known={},
        place=HERE,
        verdict=Verdict.UPDATED,
        owns=True,
        moved=True,
    ),
    Case(name="markup is quiet", changes=OTHER_MARKUP, known={}, place=HERE, verdict=Verdict.UNCHANGED, owns=True),
    Case(
        name="author, rights and categories are quiet",
        changes={"author": "李四", "rights": None, "categories": ()},
        known={},
        place=HERE,
        verdict=Verdict.UNCHANGED,
        owns=True,
    ),
    Case(name="an earlier time", changes=EARLIER, known={}, place=HERE, verdict=Verdict.UNCHANGED, owns=True),
    Case(name="a later time", changes=LATER, known={}, place=HERE, verdict=Verdict.UNCHANGED, owns=True),
    Case(
        name="another dump, the same article",
        changes=OTHER_MARKUP,
        known={},
        place=THERE,
        verdict=Verdict.DUPLICATE,
        owns=False,
        fresh=False,
    ),
    Case(
        name="another dump, the same article later",
        changes=LATER,
        known={},
        place=THERE,
        verdict=Verdict.DUPLICATE,
        owns=True,
    ),
    Case(
        name="another dump, older",
        changes=OTHER_TEXT | EARLIER,
        known={},
        place=THERE,
        verdict=Verdict.DUPLICATE,
        owns=False,
        fresh=False,
    ),
    Case(
        name="another dump, other text at the same time",
        changes=OTHER_TEXT,
        known={},
        place=THERE,
        verdict=Verdict.DUPLICATE,
        owns=False,
        fresh=False,
    ),
    Case(
        name="another dump, later, takes over",
        changes=OTHER_TEXT | LATER,
        known={},
        place=THERE,
        verdict=Verdict.UPDATED,
        owns=True,
        moved=True,
    ),
    Case(
        name="the same file, another position",
        changes={},
        known={},
        place=Place(1, 1),
        verdict=Verdict.DUPLICATE,
        owns=False,
        fresh=False,
    ),
    Case(
        name="owner gone, the same article",
        changes=OTHER_MARKUP,
        known={"owner": None},
        place=THERE,
        verdict=Verdict.UNCHANGED,
        owns=True,
    ),
    Case(
        name="owner gone, other text at the same time",
        changes=OTHER_TEXT,
        known={"owner": None},
        place=THERE,
        verdict=Verdict.UPDATED,
        owns=True,
        moved=True,
    ),
    Case(
        name="owner gone, but older",
        changes=OTHER_TEXT | EARLIER,
        known={"owner": None},
        place=THERE,
        verdict=Verdict.DUPLICATE,
        owns=False,
        fresh=False,
    ),
    Case(
        name="owner forgotten",
        changes=OTHER_TEXT | EARLIER,
        known={"owner": None, "said": None},
        place=THERE,
        verdict=Verdict.UPDATED,
        owns=True,
        moved=True,
    ),
    Case(
        name="retired",
        changes=OTHER_TEXT | EARLIER,
        known={"retired": True},
        place=HERE,
        verdict=Verdict.UNCHANGED,
        owns=False,
        fresh=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_decision(case: Case) -> None:
    stored = known_of(make_article())
    known = None if case.known is None else replace(stored, **case.known)
    article = make_article(**case.changes)

    decision = decide(article, known, case.place)

    assert (decision.verdict, decision.owns) == (case.verdict, case.owns)
    entry = decision.entry
    assert (entry.id, entry.key) == (stored.entry.id, stored.entry.key)
    assert entry.updated == (NOW if case.moved else PUBLISHED)
    retired = known is not None and known.retired
    assert entry.published == (PUBLISHED if retired else min(PUBLISHED, article.published))
    expected: CleanEntry | Any = article if case.fresh else stored.entry
    for name in ("title", "link", "content", "text", "author", "categories", "rights", "images"):
        assert getattr(entry, name) == getattr(expected, name), name
    assert entry.digest == (article_digest(article) if case.fresh else stored.entry.digest)
    assert entry.cleaner == (CLEANER if case.fresh else "old")


def test_new_entry_was_last_updated_when_it_was_published() -> None:
    # `now` would bring a whole archive up as new in readers that sort by `updated`.
    assert decide(make_article(), None).entry.updated == PUBLISHED


def test_updated_is_whole_seconds() -> None:
    now = NOW.replace(microsecond=999_999)
    assert decide(make_article(title="x"), known_of(make_article()), now=now).entry.updated == NOW


@pytest.mark.parametrize("back", [timedelta(0), timedelta(seconds=1), timedelta(days=9_000)])
def test_updated_goes_on_where_the_clock_went_back(back: timedelta) -> None:
    known = known_of(make_article())
    decision = decide(make_article(title="x"), known, now=known.entry.updated - back)
    assert decision.entry.updated == known.entry.updated + timedelta(seconds=1)


TIMES = st.integers(0, 5).map(lambda hours: PUBLISHED + hours * HOUR)
DUMPS = st.lists(st.tuples(TIMES, st.sampled_from(["one", "two", "three"])), min_size=1, max_size=6)
CLOCK = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds


@pytest.mark.slow
@given(dumps=DUMPS, data=st.data())
def test_any_order_of_dumps_ends_in_the_same_identity_and_published(
    dumps: list[tuple[datetime, str]], data: st.DataObject
) -> None:
    articles = [make_article(published=published, text=text) for published, text in dumps]
    order = data.draw(st.permutations(range(len(articles))))
    known: Known | None = None
    for number in order:
        before = known
        decision = decide(articles[number], known, Place(number, 0), now=data.draw(CLOCK))
        owner, said = (Place(number, 0), articles[number].published)
        if not decision.owns:
            assert before is not None
            assert before.owner is not None
            assert before.said is not None
            owner, said = before.owner, before.said
        if before is not None:
            entry, stored = decision.entry, before.entry
            assert (entry.id, entry.key) == (stored.id, stored.key)
            assert entry.updated >= stored.updated
            assert (entry.updated > stored.updated) == (entry.digest != stored.digest)
        known = Known(entry=decision.entry, owner=owner, said=said)
    assert known is not None
    assert known.entry.published == min(article.published for article in articles)
    assert known.entry.key == mint_entry(articles[0], cleaner="").key


@pytest.mark.slow
@given(dumps=DUMPS, now=CLOCK)
def test_reading_everything_again_changes_nothing(dumps: list[tuple[datetime, str]], now: datetime) -> None:
    articles = [make_article(published=published, text=text) for published, text in dumps]
    known: Known | None = None
    seen = []
    for _ in range(3):
        for number, article in enumerate(articles):
            decision = decide(article, known, Place(number, 0), now=now)
            if known is None or decision.owns:
                known = Known(entry=decision.entry, owner=Place(number, 0), said=article.published)
            else:
                known = replace(known, entry=decision.entry)
        assert known is not None
        seen.append(known)
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (None, ("2024-04-03T22:31:42Z 北约 0",)),
        ("http://Example.org//news/7?id=7", ("https://example.org/news/7?id=7", "http://Example.org//news/7?id=7")),
        ("https://example.org/news/7", ("https://example.org/news/7", "https://example.org/news/7")),
        ("magnet:?x", ("magnet:?x",)),
    ],
)
def test_identities(link: str | None, expected: tuple[str, ...]) -> None:
    assert identities(make_article(link=link)) == expected


def test_spellings_of_a_link_mint_the_same_key() -> None:
    spellings = ["http://example.org//a?utm_source=x", "https://example.org/a", "https://EXAMPLE.org:443/a/"]
    assert len({mint_entry(make_article(link=link), cleaner="").key for link in spellings}) == 1


@pytest.mark.parametrize(
    ("link", "authority"),
    [
        ("https://example.org/a", "example.org"),
        ("https://www.rfi.fr:8443/cn/a", "www.rfi.fr"),
        ("https://Example.ORG/a", "example.org"),
        ("https://xn--fiq228c.example/a", "xn--fiq228c.example"),
        ("http://127.0.0.1/a", "127.0.0.1"),
        ("http://[2001:db8::1]/a", "feedsvc.invalid"),
        ("http://my_site.example.org/a", "feedsvc.invalid"),
        ("http://example.org./a", "feedsvc.invalid"),
        ("http://-x.example.org/a", "feedsvc.invalid"),
        (None, "feedsvc.invalid"),
    ],
)
def test_id_is_a_tag_uri(link: str | None, authority: str) -> None:
    entry = mint_entry(make_article(link=link), cleaner="")
    assert TAG.fullmatch(entry.id)
    assert entry.id == f"tag:{authority},2024-04-03:{entry.key}"
    assert re.fullmatch("[a-z2-7]{16}", entry.key)


@pytest.mark.slow
@given(
    title=st.text(min_size=1),
    link=st.none() | st.from_regex(r"https?://[a-z0-9_.\-\[\]:]{1,20}/[a-z]{0,4}", fullmatch=True),
    published=st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
)
def test_id_of_anything_is_a_tag_uri(title: str, link: str | None, published: datetime) -> None:
    article = make_article(title=title, published=published)
    if link is not None:
        article = replace(article, link=link if "[" not in link and "]" not in link else "http://[::1]/")
    assert TAG.fullmatch(mint_entry(article, cleaner="").id)


def test_minting_depends_on_the_article_alone() -> None:
    # As it was when it was first released: a store that is rebuilt mints the same.
    assert mint_entry(make_article(), cleaner="a").id == "tag:example.org,2024-04-03:4lelapji6d5uh426"
    assert mint_entry(make_article(), cleaner="a") == replace(mint_entry(make_article(), cleaner="b"), cleaner="a")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"text": "a b\nc"}, {"text": "ab c"}, True),
        ({"text": "a\u3000b"}, {"text": "ab"}, True),
        ({"text": "ab"}, {"text": "aB"}, False),
        ({"title": "a b"}, {"title": "ab"}, False),
        ({"images": ("https://a.example/x.jpg?w=1",)}, {"images": ("http://b.example//x.jpg?w=2",)}, True),
        ({"images": ("https://a.example/?p=1",)}, {"images": ("https://a.example/?p=2",)}, False),
        ({"images": ("https://a.example/x.jpg",)}, {"images": ("https://a.example/y.jpg",)}, False),
        ({"images": ("https://a.example/x.jpg",)}, {"images": ()}, False),
        ({"images": ("https://a.example/x", "https://a.example/y")}, {"images": ("https://a.example/y",)}, False),
        ({"title": "a", "text": "b"}, {"title": "ab", "text": ""}, False),
        ({"text": "x", "images": ()}, {"text": "", "images": ("https://a.example/x",)}, False),
        ({"summary": "a", "author": "b"}, {"summary": "c", "author": None}, True),
        ({"title": "\ud800"}, {"title": "\ud801"}, False),
    ],
)
def test_digest(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (article_digest(make_article(**one)) == article_digest(make_article(**other))) is same


def test_what_is_known_of_titles_changes_no_identity() -> None:
    before = make_article(link=None, title="北约 | Example News")
    after = replace(before, title="北约", given_title="北约 | Example News")
    assert identities(after) == identities(before)
    assert mint_entry(after, cleaner=CLEANER).id == mint_entry(before, cleaner=CLEANER).id
    assert mint_entry(after, cleaner=CLEANER).title == "北约"
