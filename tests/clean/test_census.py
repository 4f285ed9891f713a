"""What is learned from what recurs, and above all what is not."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from feedsvc.clean import Cleaner, RuleSet
from feedsvc.clean.learning.census import BUCKET, OLD, Census, SourceCensus
from feedsvc.clean.learning.forms import belongs_to_article, is_notice, read_form
from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.learning.sightings import fingerprint
from feedsvc.model import CleanEntry, Dump, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

START = datetime(2024, 4, 3, tzinfo=UTC)
RULES = RuleSet(())
DUMPS = 40
CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"


def words(seed: str, length: int = 40) -> str:
    """Text that no other dump has: digits alone would be forgiven."""
    return "".join(random.Random(seed).choices(CHARACTERS, k=length))  # noqa: S311 - it only has to differ


def make_dump(number: int, template: str, source: str | None = "例报") -> Dump:
    """One dump: {prose} becomes two paragraphs, {word} a name, {n} a number, all its own."""
    prose = f"<p>{words(f'{number} a')}。</p><p>{words(f'{number} b')}。</p>"
    html = template.replace("{prose}", prose).replace("{word}", words(f"{number} c", 6)).replace("{n}", str(number))
    link = f"https://example.org/news/{number}"
    return Dump(path=f"/{number}", title=words(f"{number} t", 9), link=link, published=START, html=html, source=source)


def clean_all(dumps: Iterable[Dump], cleaner: Cleaner) -> list[CleanEntry]:
    return [cleaner.clean(dump, START) for dump in dumps]


def learn(dumps: Sequence[Dump]) -> Learned:
    census = Census()
    for article in clean_all(dumps, Cleaner(RULES, learned=Learned())):
        census.add(article)
    return census.learned()


def samples(learned: Learned, source: str = "例报") -> set[str]:
    return {block.text for block in learned.of(source).values()}


GOES = {
    "newsletter among the paragraphs, same links": (
        '{prose}<p>欢迎<a href="https://example.org/letter?from={n}">点击此处</a>订阅每日简报。</p>',
        "订阅每日简报",
    ),
    "newsletter above the article": (
        '<p>（欢迎<a href="/letter">订阅</a>简报，我们将在每个工作日发送最新内容至您的邮箱。）</p>{prose}',
        "工作日",
    ),
    "label of an advertisement, prose next": (
        '<div class="ad-slot"><span class="ad-label">广告</span></div>{prose}',
        "广告",
    ),
    "button": ("<p>{word}</p><button>继续浏览后续</button>{prose}", "继续浏览"),
    "time ago, number by number": ('<time class="css-1a2b3-Stamp">{n} 分钟前</time>{prose}', "分钟前"),
    "heading of a list that is always new": (
        '{prose}<div class="more-title">延伸閱讀</div><div class="more"><a href="/{n}">{word}</a></div>',
        "延伸閱讀",
    ),
    "heading with a name of its own": (
        '{prose}<h3 class="related">相关阅读</h3><ul><li><a href="/{n}">{word}</a></li></ul>',
        "相关阅读",
    ),
    "form": ('{prose}<div class="subscribe"><div class="subscribe-error">请输入正确的信箱</div></div>', "信箱"),
    "feed service in plain elements": (
        '{prose}<div><div>获取更多：</div><div><a href="https://feeds.example.net">https://feeds.example.net</a></div></div>',
        "feeds.example.net",
    ),
    "link to another version, always another": ('{prose}<p><a href="/en/{n}">点击查看英文版</a></p>', "点击查看"),
    "share list": (
        '{prose}<ul class="share"><li><a href="https://s.example.com/share?u={n}">分享到甲</a></li></ul>',
        "分享到甲",
    ),
}


@pytest.mark.parametrize(("template", "gone"), GOES.values(), ids=GOES)
def test_what_goes(template: str, gone: str) -> None:
    dumps = [make_dump(number, template) for number in range(DUMPS)]
    learned = learn(dumps)
    for dump, article in zip(dumps, clean_all(dumps, Cleaner(RULES, learned=learned)), strict=True):
        assert gone not in article.content
        assert gone in "".join(removal.text for removal in article.removals)
        assert words(f"{dump.path[1:]} b") in article.text
        (name, *_) = [removal.rule for removal in article.removals]
        assert name.startswith("learned-")


STAYS = {
    # Section headings
    "headings of all articles": "<h2>背景</h2>{prose}<h2>影响</h2>{prose}<h2>展望</h2>{prose}",
    "headings with a class": '{prose}<h3 class="sub-block">分析</h3>{prose}',
    "headings with a class, the last without prose": '<p>导语</p>{prose}<h3 class="wp-heading">结语</h3>{prose}',
    "headings in strong": "{prose}<p><strong>要点</strong></p>{prose}",
    "headings in a named container": '<div class="section-title">分析</div>{prose}',
    "headings over lists of links that are the article": (
        '<div class="digest-label">国内快讯</div><p><a href="/a{n}">{word}</a></p>'
        '<div class="digest-label">国际快讯</div><p><a href="/b{n}">{word}</a></p>'
    ),
    "list of links that is the article": (
        '<ul><li><a href="/a{n}">{word}</a></li><li><a href="/b{n}">国内联播快讯</a></li>'
        '<li><a href="/c{n}">国际联播快讯</a></li></ul>'
    ),
    "list of links to the same pages that is the article": (
        '<ul><li><a href="/weather">天气预报</a></li><li><a href="/traffic">路况信息</a></li></ul>'
    ),
    # Bylines
    "byline": "<p>By Jane Doe</p>{prose}",
    "byline in capitals in plain elements": "<div><div><i>JANE DOE</i></div></div>{prose}",
    "byline with a class": '<p class="byline">李四</p>{prose}',
    "byline with another class": '<p class="meta-row">记者 李四</p>{prose}',
    "byline that links to its author": '<p>By <a href="/by/jane-doe">Jane Doe</a></p>{prose}',
    "byline of a class that says author": '<div class="post-author"><a href="/p/7">Jane Doe</a></div>{prose}',
    # Credits of editors and translators
    "translator among the paragraphs": "{prose}<p>翻译：某某新闻网</p>",
    "editor with a class": '{prose}<div class="end-mark">（编辑：王五）</div>',
    "editor with an English credit": '{prose}<div class="end-mark">Editing by Jane Doe</div>',
    "editor with a class that says so": '{prose}<span class="editor">王五</span>',
    "about an author, with links": '{prose}<p>Jane Doe是本报驻外记者。欢迎<a href="https://s.example.com/jd">关注她</a>。</p>',
    # Datelines, places
    "dateline among the paragraphs": "<p>（华盛顿）—</p>{prose}",
    "place with a class": '<span class="dateline">北京</span>{prose}',
    # Disclaimers
    "disclaimer": "{prose}<p>本文仅代表作者个人观点。</p>",
    "disclaimer with a class": '{prose}<div class="end-box">以上言论不代表本台立场。</div>',
    "disclaimer with links": '{prose}<p>The views expressed <a href="/v">here</a> are those of the writer.</p>',
    # Picture credits
    "picture credit": "<figure><figcaption>© 某某图社</figcaption></figure>{prose}",
    "picture credit with a class": '{prose}<p class="image-caption">某某图社</p>',
    "picture credit in words": '{prose}<div class="media-box">图片来源：某某图社</div>',
    # The rest
    "names": "{prose}<ul><li>{word}</li><li>张三</li><li>李四</li></ul>",
    "sentence of a template": "{prose}<p>今日中间价为{n}元。</p>",
    "sentence of a template, without a class, above": "<div>今日中间价为{n}元。</div>{prose}",
    "quotes": "{prose}<blockquote class='motto'>学而时习之</blockquote>",
    "sign-off": '{prose}<div class="sign">（完）</div>',
    "sign-off among the paragraphs": "{prose}<p>（甲通社）</p>",
    "cells of a table": "{prose}<table class='scores'><tr><td>主队</td><td>{n}</td></tr></table>",
    "tags": '{prose}<p>标签：<a href="/tag/a">天气</a></p>',
    "same text and another link": '{prose}<p>详见<a href="/report/{n}">报告</a>全文。</p>',
    "links in a shape of many": '{prose}<p><a href="/{n}">{word}</a></p><p><a href="/fixed">专题</a></p>',
    "digits": '<span class="count-box">{n}</span>{prose}',
}


@pytest.mark.parametrize("template", STAYS.values(), ids=STAYS)
def test_what_stays(template: str) -> None:
    dumps = [make_dump(number, template) for number in range(DUMPS)]
    assert samples(learn(dumps)) == set()


def test_copyright_notice_moves_to_rights() -> None:
    dumps = [make_dump(number, "{prose}<p>© 20{n} 例报社</p>") for number in range(10, 10 + DUMPS)]
    for dump, article in zip(dumps, clean_all(dumps, Cleaner(RULES, learned=learn(dumps))), strict=True):
        assert article.rights == f"© 20{dump.path[1:]} 例报社"
        assert "©" not in article.content


def test_sentence_about_copyright_stays() -> None:
    template = "<p>© 是版权的符号。</p>{prose}"
    assert samples(learn([make_dump(number, template) for number in range(DUMPS)])) == set()


# How often


LABEL = '{prose}<div class="promo-box">下载应用</div>'


def mixed(total: int, labelled: int, source: str = "例报") -> list[Dump]:
    """Dumps of which some have a label, spread evenly."""
    every = {round(number * total / labelled) for number in range(labelled)} if labelled else set()
    return [make_dump(number, LABEL if number in every else "{prose}", source) for number in range(total)]


@pytest.mark.parametrize(
    ("total", "labelled", "learns"),
    [(19, 19, False), (20, 20, True), (40, 5, False), (40, 6, True), (300, 8, False), (300, 9, True)],
)
def test_how_often_it_must_recur(total: int, labelled: int, learns: bool) -> None:
    assert samples(learn(mixed(total, labelled))) == ({"下载应用"} if learns else set())


def test_what_also_stands_in_the_middle_stays() -> None:
    middle = "".join(f"<p>{{word}}{mark * 30}</p>" for mark in "甲乙丙丁戊己庚辛壬癸")
    between = middle + '<div class="promo-box">下载应用</div>' + middle
    dumps = [make_dump(number, LABEL if number % 3 else between) for number in range(DUMPS)]
    assert samples(learn(dumps)) == set()


def test_block_of_three_sources_needs_two_sightings_in_a_fourth() -> None:
    many = [dump for source in ("甲", "乙", "丙") for dump in mixed(20, 20, source)]
    assert samples(learn([*many, *mixed(5, 2, "丁")]), "丁") == {"下载应用"}
    assert samples(learn([*many, *mixed(5, 1, "丁")]), "丁") == set()
    assert samples(learn([*many[:40], *mixed(5, 5, "丁")]), "丁") == set()


def test_dumps_without_a_source_are_counted_by_host() -> None:
    learned = learn([make_dump(number, LABEL, source=None) for number in range(DUMPS)])
    assert samples(learned, "example.org") == {"下载应用"}


@pytest.mark.slow
def test_order_does_not_matter() -> None:
    dumps = [dump for name in GOES for dump in mixed(30, 12, name)] + [
        make_dump(number, template, name) for name, (template, _) in GOES.items() for number in range(100, 130)
    ]
    first = learn(dumps)
    for seed in range(5):
        random.Random(seed).shuffle(dumps)  # noqa: S311
        again = learn(dumps)
        assert {name: set(known) for name, known in again.sources.items()} == {
            name: set(known) for name, known in first.sources.items()
        }


# Cleaning with what is learned


def test_known_text_with_other_links_stays() -> None:
    template = GOES["newsletter among the paragraphs, same links"][0]
    learned = learn([make_dump(number, template) for number in range(DUMPS)])
    other = make_dump(99, template.replace("/letter", "/report"))
    assert "订阅每日简报" in Cleaner(RULES, learned=learned).clean(other, START).text


def test_known_text_in_the_middle_stays() -> None:
    learned = learn(mixed(DUMPS, DUMPS))
    prose = "{prose}" * 5
    article = Cleaner(RULES, learned=learned).clean(
        make_dump(1, f'{prose}<div class="promo-box">下载应用</div>{prose}'), START
    )
    assert "下载应用" in article.text


def test_article_of_nothing_but_a_known_block_keeps_it() -> None:
    learned = learn(mixed(DUMPS, DUMPS))
    article = Cleaner(RULES, learned=learned).clean(make_dump(1, '<div class="promo-box">下载应用</div>'), START)
    assert article.text == "下载应用"


@pytest.mark.parametrize("name", GOES)
def test_cleaning_again_changes_nothing(name: str) -> None:
    dumps = [make_dump(number, GOES[name][0]) for number in range(DUMPS)]
    cleaner = Cleaner(RULES, learned=learn(dumps))
    for dump in dumps:
        once = cleaner.clean(dump, START)
        again = Dump(path="/", title="t", link=dump.link, published=START, html=once.content, source=dump.source)
        assert cleaner.clean(again, START).content == once.content


def test_same_block_in_another_shape_goes_too() -> None:
    learned = learn(mixed(DUMPS, DUMPS))
    article = Cleaner(RULES, learned=learned).clean(make_dump(1, "{prose}<p>下载应用！</p>"), START)
    assert "下载应用" not in article.text


def test_a_cleaner_that_does_not_learn_gives_nothing_to_learn_from() -> None:
    dump = make_dump(1, LABEL)
    plain, learning = Cleaner(RULES), Cleaner(RULES, learned=Learned())
    assert plain.clean(dump, START).sightings == ()
    assert learning.clean(dump, START).sightings
    assert plain.digest == RULES.digest != learning.digest


def test_what_is_learned_does_not_change_what_is_seen() -> None:
    dumps = mixed(DUMPS, DUMPS)
    before = clean_all(dumps, Cleaner(RULES, learned=Learned()))
    after = clean_all(dumps, Cleaner(RULES, learned=learn(dumps)))
    assert [article.sightings for article in before] == [article.sightings for article in after]


# The census


def sight(block: str, shape: str = "div.promo", *, edge: bool = True) -> Sighting:
    return Sighting(block=block, shape=shape, links="", text=block, edge=edge, closes=True, leads=False)


@pytest.mark.slow
def test_rows_of_many_dumps_are_few() -> None:
    census = SourceCensus()
    rng = random.Random(7)  # noqa: S311
    largest = 0
    for number in range(20_000):
        lines = [sight(f"{number} {place}", f"p.{rng.randrange(10**6)}") for place in range(12)]
        if census.add([*lines, sight("promo")]):
            census.forget()
        largest = max(largest, len(census.blocks), len(census.shapes))
    assert largest <= 13 * BUCKET
    assert OLD // 2 <= census.dumps < OLD
    assert census.judge({}, {}).keys() == {"promo"}


def test_block_that_begins_late_is_learned_soon() -> None:
    census = SourceCensus()
    for number in range(10_000):
        if census.add([sight("old" if number < 9_900 else "new")]):
            census.forget()
    assert "new" in census.judge({}, {})


def test_what_is_learned_stays_learned_when_it_gets_a_little_rarer() -> None:
    census = SourceCensus()
    for number in range(100):
        census.add([sight("promo")] if number < 6 else [])
    known = census.judge({}, {})
    assert known.keys() == {"promo"}
    for _ in range(110):
        census.add([])
    assert census.judge({}, {}) == {}
    assert census.judge(known, {}) == known
    for _ in range(400):
        census.add([])
    assert census.judge(known, {}) == {}


def test_lines_of_the_middle_make_no_rows() -> None:
    census = SourceCensus()
    census.add([sight("heading", edge=False)])
    assert (census.blocks, census.shapes) == ({}, {})


# Forms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("45分钟前", "１ 分钟前"),
        ("Read  More!", "read more"),
        ("© 2020 AFP", "©2021 AFP"),
        ("（广告）", "广告"),
    ],
)
def test_fingerprint_forgives(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other) != ""


def test_fingerprint_tells_words_apart() -> None:
    assert fingerprint("订阅") != fingerprint("订阅我们")
    assert fingerprint("***") == ""


@pytest.mark.parametrize(
    "text", ["编辑推荐", "订阅《早安》电子报", "Read more", "延伸閱讀", "下载应用", "Sign up for our newsletter"]
)
def test_what_belongs_to_the_page(text: str) -> None:
    assert not belongs_to_article(text)


@pytest.mark.parametrize(
    ("text", "notice"),
    [("© 2020 AFP", True), ("版权所有 例报社", True), ("Copyright 2020 Example", True), ("文章谈到版权法", False)],
)
def test_notice(text: str, notice: bool) -> None:
    assert is_notice(text) is notice


@pytest.mark.parametrize(
    ("shape", "named", "writing", "heading"),
    [
        ("div>p", False, False, False),
        ("div.article-body>p", False, False, False),
        ("div.StandardArticleBody_body>div.trust-badge@part", True, False, False),
        ("div>time", True, False, False),
        ("div>p.byline", True, True, False),
        ("figure>figcaption", False, True, False),
        ("div>h2", False, False, True),
        ("p>strong", False, False, True),
        ("div>div.section-title", True, False, True),
    ],
)
def test_form(shape: str, named: bool, writing: bool, heading: bool) -> None:
    form = read_form(shape)
    assert (form.named, form.writing, form.heading) == (named, writing, heading)
