"""Titles without their site's name, authors, categories."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedsvc.clean import Cleaner, RuleSet, load_rules
from feedsvc.clean.learning.census import Census
from feedsvc.clean.learning.learned import Learned, LearnedBlock, Sign
from feedsvc.clean.learning.sightings import title_block
from feedsvc.clean.metadata import pick_author, pick_title, site_label, tidy_categories, tidy_phrase
from feedsvc.clean.titles import strip_site_name, strip_suffix, suffix_of
from feedsvc.model import Dump

PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("title", "source", "link", "expected"),
    [
        ("欧股收黑 – 法国国际广播电台 - RFI", "法广", "http://www.rfi.fr//cn/a", "欧股收黑"),
        ("一场会谈 - BBC News 中文", "BBC", "https://www.bbc.com/zhongwen/a", "一场会谈"),
        ("Stocks fall | Reuters", "路透", "https://www.reuters.com/a", "Stocks fall"),
        ("两会开幕_新华网", "新华网", "http://www.news.cn/a", "两会开幕"),
        ("两会开幕-新华网", "新华网", None, "两会开幕"),
        ("两会开幕——人民网", "人民网", None, "两会开幕"),
        ("A storm – The Example Times", "Example Times", None, "A storm"),
        ("A storm | EXAMPLE TIMES | News", "Example Times", None, "A storm"),
        ("A storm - Example News Online", "Example", None, "A storm"),
        ("A storm · example.co.uk", None, "https://www.example.co.uk/a", "A storm"),
        ("A storm » Example", None, "https://blog.example.com/a", "A storm"),
        ("新闻联播｜央视网", "央视网", None, "新闻联播"),
        ("Reuters - Reuters", "Reuters", None, "Reuters"),
        # A title's own.
        ("王毅访欧 - 一次艰难的旅行", "法广", "https://www.rfi.fr/a", "王毅访欧 - 一次艰难的旅行"),
        ("谁来为BBC买单 - BBC记者观察", "BBC", "https://www.bbc.com/a", "谁来为BBC买单 - BBC记者观察"),
        ("法广观察 - 法国广场上的人", "法广", None, "法广观察 - 法国广场上的人"),
        ("一场专访 - 法新社", "法广", None, "一场专访 - 法新社"),
        ("Reuters", "Reuters", None, "Reuters"),
        ("- Reuters", "Reuters", None, "- Reuters"),
        ("Spider-Man", "Man", None, "Spider-Man"),
        ("The art of a non-example", "Example", None, "The art of a non-example"),
        ("World news", "BBC", "https://news.example/a", "World news"),
        ("A storm - News", "BBC", "https://news.bbc.co.uk/a", "A storm - News"),
        ("中国-东盟峰会", "东方", None, "中国-东盟峰会"),
        ("A - B - C", "X", None, "A - B - C"),
        ("", "BBC", None, ""),
    ],
)
def test_title_without_its_site(title: str, source: str | None, link: str | None, expected: str) -> None:
    assert pick_title(title, source=source, author=None, link=link, known=()) == expected


def test_author_behind_a_title() -> None:
    assert pick_title("A talk | Jane Doe", source=None, author="Jane Doe", link=None, known=()) == "A talk"


def test_known_suffix_before_the_sites_name() -> None:
    title = "A talk - 晚间版 | Reuters"
    assert pick_title(title, source="Reuters", author=None, link=None, known={" - 晚间版"}) == "A talk"


@pytest.mark.parametrize(
    ("title", "suffixes"),
    [
        ("A", ()),
        ("A - B", (" - B",)),
        ("A – B - C", (" - C", " – B - C")),
        ("A | B|C_D - E", (" - E", "_D - E", "|C_D - E")),
        ("题_新华网", ("_新华网",)),
        ("题-新华网", ("-新华网",)),
        ("COVID-19", ()),
        ("- A", ()),
        ("A -", ()),
        ("A - !", ()),
        (f"A - {'b' * 70}", ()),
    ],
)
def test_suffixes(title: str, suffixes: tuple[str, ...]) -> None:
    assert suffix_of(title) == suffixes


@pytest.mark.parametrize(
    ("title", "known", "expected"),
    [
        ("A - 晚间版", {" - 晚间版"}, "A"),
        ("A - 晚间版 - 晚间版", {" - 晚间版"}, "A"),
        ("A – B - C", {" – B - C"}, "A"),
        ("A – B - C", {" – B - C", " - C"}, "A"),
        ("A – B - C", {" - C"}, "A – B"),
        ("A – B - C", {" - C", " – B"}, "A"),
        ("A - C", {" – C"}, "A - C"),
        (" - C", {" - C"}, " - C"),
        ("A - C", set(), "A - C"),
    ],
)
def test_known_suffixes_go(title: str, known: set[str], expected: str) -> None:
    assert strip_suffix(title, known) == expected


TITLES = st.text("aB1 中文网-–—|_·»", max_size=30).map(lambda text: " ".join(text.split()))


@given(TITLES, st.lists(TITLES, max_size=3), st.sets(TITLES.map(lambda text: f" - {text}"), max_size=3))
def test_a_title_loses_only_its_end_and_once(title: str, names: list[str], known: set[str]) -> None:
    for stripped in (strip_site_name(title, names), strip_suffix(title, known)):
        assert title.startswith(stripped)
        assert bool(stripped) is bool(title)
        assert any(map(str.isalnum, stripped)) is any(map(str.isalnum, title))
    picked = pick_title(title, source="中文网", author="a", link=None, known=known)
    assert pick_title(picked, source="中文网", author="a", link=None, known=known) == picked


@given(TITLES.filter(lambda title: any(map(str.isalnum, title))), st.sampled_from(["Example", "新华网", "36kr"]))
def test_a_site_name_behind_any_title_goes(title: str, name: str) -> None:
    assert strip_site_name(f"{title} | {name}", [name]) == strip_site_name(title, [name])


def learned_suffixes(*titles: str) -> set[str]:
    """What is learned from these titles of one source."""
    cleaner, census = Cleaner(RuleSet(()), learned=Learned()), Census()
    for number, title in enumerate(titles):
        dump = Dump(path="a", title=title, link=None, published=None, html=f"<p>{number}</p>", source="S")
        census.add(cleaner.clean(dump, PUBLISHED))
    learned = census.learned()
    assert learned.of("T") == {}
    return {block.text for block in learned.of("S").values()}


def test_suffix_is_learned_when_it_is_in_half_of_enough_titles() -> None:
    titles = [f"标题{number} - 晚间版" for number in range(10)] + [f"标题{number}" for number in range(10)]
    assert learned_suffixes(*titles) == {"- 晚间版"}
    assert learned_suffixes(*titles[:19]) == set()  # a cold start
    assert learned_suffixes(*titles, "又一个") == set()


def test_columns_that_recur_now_and_then_are_the_titles_own() -> None:
    titles = [f"标题{number} - {['要闻分析', '法国报纸摘要', '北美来鸿'][number % 3]}" for number in range(60)]
    assert learned_suffixes(*titles) == set()


def test_a_suffix_is_found_among_very_many() -> None:
    titles = [f"标题{number} - 栏{number}" for number in range(500)]
    assert learned_suffixes(*(title + " - 晚间版" * (number % 3 > 0) for number, title in enumerate(titles))) == {
        "- 晚间版"
    }


@pytest.mark.parametrize(
    ("link", "label"),
    [
        ("https://www.bbc.co.uk/a", "bbc"),
        ("https://cn.reuters.com/a", "reuters"),
        ("https://example.org", "example"),
        ("https://www.abc.net.au/", "abc"),
        ("https://t.co/", "t"),
        ("https://co.uk/", "co"),
        ("https://127.0.0.1/", None),
        ("https://[::1]/", None),
        ("https://localhost/", None),
        (None, None),
    ],
)
def test_site_label(link: str | None, label: str | None) -> None:
    assert site_label(link) == label


@pytest.mark.parametrize(
    ("author", "source", "byline", "expected"),
    [
        ("Jane Doe", "BBC", None, "Jane Doe"),
        ("Jane Doe", "BBC", "John", "Jane Doe"),
        ("BBC", "BBC", "John", "John"),
        (" bbc\u3000", "BBC", "John", "John"),
        ("ＢＢＣ", "BBC", "John", "John"),
        ("ＢＢＣ", "BBC", "", "ＢＢＣ"),
        ("ＢＢＣ", "BBC", " \x00", "ＢＢＣ"),
        ("BBC", "BBC", None, "BBC"),
        (None, "BBC", "John\n Doe", "John Doe"),
        (None, None, None, None),
        ("", None, None, None),
        ("a@b.example (Jane Doe)", None, None, "Jane Doe"),
        ('"Jane Doe" <a@b.example>', None, None, "Jane Doe"),
        ("a@b.example", None, None, "a@b.example"),
        ("a@b.example (BBC)", "BBC", "John", "John"),
    ],
)
def test_author(author: str | None, source: str | None, byline: str | None, expected: str | None) -> None:
    assert pick_author(author, source=source, byline=byline) == expected


@pytest.mark.parametrize(
    ("categories", "source", "expected"),
    [
        (("国际", "R&D"), "法广", ("国际", "R&D")),
        (("法广", "国际"), "法广", ("国际",)),
        (("b", "A", "a", " B "), None, ("b", "A")),
        (("", " \x00", "Ｔech", "tech"), "x", ("Ｔech",)),
        ((), None, ()),
    ],
)
def test_categories(categories: tuple[str, ...], source: str | None, expected: tuple[str, ...]) -> None:
    assert tidy_categories(categories, source=source) == expected


def test_phrase() -> None:
    assert tidy_phrase(" a\x00 \n b\ud800") == "a b\ufffd"
    assert tidy_phrase("\x00 ") is None
    assert tidy_phrase(None) is None


def test_cleaner_takes_what_is_learned_and_keeps_the_title_that_was_given() -> None:
    cleaner = Cleaner(load_rules(site_rules=False), learned=Learned())
    dump = Dump(path="a", title="标题  - 晚间版", link=None, published=None, html="<p>a</p>", source="某台 ")
    entry = cleaner.clean(dump, PUBLISHED)
    assert (entry.title, entry.given_title) == ("标题 - 晚间版", "标题 - 晚间版")
    block = LearnedBlock(title_block(" - 晚间版"), Sign.TITLE, None, "- 晚间版")
    cleaner.learned = Learned({"某台": {block.block: block}})
    entry = cleaner.clean(dump, PUBLISHED)
    assert (entry.title, entry.given_title) == ("标题", "标题 - 晚间版")
