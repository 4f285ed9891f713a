"""Rules of one's own: what a pack may say, what each part of a rule does, and what is said of one that is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from feedsvc.clean import Cleaner, load_rules
from feedsvc.errors import RuleError
from feedsvc.model import Alternate, Dump

if TYPE_CHECKING:
    from pathlib import Path

    from feedsvc.model import CleanEntry

PUBLISHED = datetime(2024, 4, 3, 12, 0, tzinfo=UTC)


def clean(
    folder: Path,
    rule: str,
    html: str,
    *,
    link: str = "https://h.example/x",
    source: str | None = None,
    author: str | None = None,
) -> CleanEntry:
    (folder / "mine.toml").write_text(f'[[rule]]\nname = "mine"\nreason = "why"\n{rule}\n', "utf-8")
    built_in = "keep" in rule  # only there do the samples need something that would go otherwise
    cleaner = Cleaner(load_rules(site_rules=built_in, generic=built_in, folders=[folder]))
    dump = Dump(path="a.txt", title="t", link=link, published=None, html=html, source=source, author=author)
    return cleaner.clean(dump, PUBLISHED)


LINES = "".join(f"<p>line {number}</p>" for number in range(20))


@pytest.mark.parametrize(
    ("rule", "html", "content", "removed"),
    [
        pytest.param("text = ['ad']", "<p>a</p><p>ad</p>", "<p>a</p>", ["ad"], id="text"),
        pytest.param(
            "text = ['ad']", "<p>a</p><p>ad hoc</p>", "<p>a</p><p>ad hoc</p>", [], id="text is the whole line"
        ),
        pytest.param("text = ['AD (\\d)\\1']", "<p>a</p><p>ad 77</p>", "<p>a</p>", ["ad 77"], id="text with a group"),
        pytest.param("text = ['ad']", "<p>a<br>ad<br>b</p>", "<p>a<br>b</p>", ["ad"], id="text between line breaks"),
        pytest.param(
            "link = ['https://ads\\.']", '<p>a<a href="https://ads.x/">b</a></p>', "<p>a</p>", ["b"], id="link"
        ),
        pytest.param("css = ['.ad']", '<p>a</p><div class="x ad">b</div>', "<p>a</p>", ["b"], id="class"),
        pytest.param("css = ['#ad']", '<p>a</p><div id="ad">b</div>', "<p>a</p>", ["b"], id="id"),
        pytest.param("css = ['aside']", "<p>a</p><aside>b</aside>", "<p>a</p>", ["b"], id="tag"),
        pytest.param("css = ['[data-x]']", "<p>a</p><div data-x>b</div>", "<p>a</p>", ["b"], id="attribute"),
        pytest.param(
            "css = ['div[data-x^=ab]']", '<p>a</p><div data-x="abc">b</div>', "<p>a</p>", ["b"], id="beginning"
        ),
        pytest.param("css = ['[type=ad]']", '<p>a</p><p type="AD">b</p>', "<p>a</p>", ["b"], id="value of any case"),
        pytest.param(
            "css = ['div > .ad']", '<p class="ad">a</p><div><p class="ad">b</p></div>', "<p>a</p>", ["b"], id="child"
        ),
        pytest.param("css = ['p:has(> .ad)']", '<p>a</p><p>b<b class="ad">c</b></p>', "<p>a</p>", ["bc"], id="has"),
        pytest.param(
            "css = ['.w']\naction = 'unwrap'",
            '<p>a</p><blockquote class="w"><p>b</p></blockquote>',
            "<p>a</p><p>b</p>",
            [],
            id="unwrap",
        ),
        pytest.param(
            "css = ['b.w']\naction = 'unwrap'",
            '<p>a <b class="w">b</b></p>',
            "<p>a b</p>",
            [],
            id="unwrap within a line",
        ),
        pytest.param(
            "css = ['.news']\naction = 'keep'",
            '<p>a</p><div class="news"><p>分享 :</p></div>',
            "<p>a</p><div><p>分享 :</p></div>",
            [],
            id="keep by selector",
        ),
        pytest.param(
            "text = ['分享 ?:']\naction = 'keep'",
            "<p>a</p><p>分享 :</p>",
            "<p>a</p><p>分享 :</p>",
            [],
            id="keep by text",
        ),
        pytest.param(
            "text = ['line \\d']\nwhere = 'head'",
            LINES,
            None,
            [f"line {n}" for n in range(10)],
            id="head, again and again",
        ),
        pytest.param("text = ['line 0']\nwhere = 'tail'", LINES, LINES, [], id="not in the tail"),
        pytest.param("text = ['line 19']\nwhere = 'head'", LINES, LINES, [], id="not in the head"),
        pytest.param("text = ['line 19']\nwhere = 'tail'", LINES, None, ["line 19"], id="tail"),
        pytest.param("css = ['p']\nwhere = 'head'", "<p>a</p><p>b</p>", "<p>a</p><p>b</p>", [], id="never all"),
        pytest.param("text = ['ad']\nhosts = ['h.example']", "<p>a</p><p>ad</p>", "<p>a</p>", ["ad"], id="host"),
        pytest.param(
            "text = ['ad']\nhosts = ['g.example']", "<p>a</p><p>ad</p>", "<p>a</p><p>ad</p>", [], id="other host"
        ),
        pytest.param("text = ['ad']\nsources = ['S']", "<p>a</p><p>ad</p>", "<p>a</p>", ["ad"], id="source"),
        pytest.param("text = ['ad']\nsources = ['T']", "<p>a</p><p>ad</p>", "<p>a</p><p>ad</p>", [], id="other source"),
    ],
)
def test_rule(tmp_path: Path, rule: str, html: str, content: str | None, removed: list[str]) -> None:
    entry = clean(tmp_path, rule, html, source="S")
    assert [removal.text for removal in entry.removals] == removed
    assert {removal.rule for removal in entry.removals} <= {"mine"}
    if content is not None:
        assert entry.content == content


LINK = '<a href="https://h.example/1">one link</a>'
SHARE = '<a href="https://wa.me/?text=x">x</a>'


@pytest.mark.parametrize(
    ("rule", "html", "text"),
    [
        pytest.param(
            "classes = ['ads?(?:-\\w+)?']", '<p class="x ad-box">b</p><p class="add">c</p>', "a\nc", id="class"
        ),
        pytest.param("classes = ['promo']", '<p id="promo">b</p>', "a", id="classes mean ids too"),
        pytest.param("css = ['ul']\nlink_density = 0.8", f"<ul><li>{LINK}</li></ul>", "a", id="all in links"),
        pytest.param(
            "css = ['ul']\nlink_density = 0.8",
            f"<ul><li>{LINK} and words</li></ul>",
            "a\none link and words",
            id="too few links",
        ),
        pytest.param("text = ['one.*']\nlink_density = 0.5", f"<p>{LINK} only</p>", "a", id="line of links"),
        pytest.param("text = ['one.*']\nlink_density = 0.5", "<p>one text</p>", "a\none text", id="line without links"),
        pytest.param("css = ['div']\nform = true", "<div>b <input></div>", "a", id="field"),
        pytest.param("css = ['div']\nform = true", "<div>b <input type='submit'></div>", "a\nb", id="button"),
        pytest.param("css = ['p.x']\nmax_text = 3", '<p class="x">abc</p>', "a", id="short enough"),
        pytest.param("css = ['p.x']\nmax_text = 3", '<p class="x">abcd</p>', "a\nabcd", id="too long"),
        pytest.param(
            "text = ['more']\nthen = 'links'",
            f"<p>more</p><ul><li>{LINK}</li><li>{LINK}<img src='/i.png'></li></ul><p>prose with {LINK}</p><p>last</p>",
            "a\nprose with one link\nlast",
            id="a heading with its links, up to prose",
        ),
        pytest.param("text = ['more']\nthen = 'links'", "<h2>more</h2><p>b</p>", "a\nmore\nb", id="heading of prose"),
        pytest.param("text = ['more']\nthen = 'links'", "<h2>more</h2>", "a", id="heading of nothing"),
        pytest.param(
            "text = ['more']\nthen = 'links'",
            f"<h2>more</h2><p>{LINK}</p><h2>more</h2><p>{LINK}</p>",
            "a",
            id="two headings with their links",
        ),
        pytest.param("text = ['ad']", "<p>ad | –</p><p>ad<b> | </b></p>", "a\nad | –\nad |", id="words alone"),
    ],
)
def test_structure(tmp_path: Path, rule: str, html: str, text: str) -> None:
    assert clean(tmp_path, rule, f"<p>a</p>{html}").text == text


def test_share_density_counts_links_that_rules_take(tmp_path: Path) -> None:
    share = '[[rule]]\nname = "share"\nreason = "why"\nlink = ["https://wa.me/"]\n'
    (tmp_path / "share.toml").write_text(share, "utf-8")
    rule = "css = ['ul']\nshare_density = 0.5"
    entry = clean(
        tmp_path, rule, f"<p>a</p><ul><li>{SHARE}</li><li>b</li></ul><ul><li>{SHARE} c {LINK} {LINK}</li></ul>"
    )
    assert entry.text == "a\nc one link one link"
    assert [removal.rule for removal in entry.removals] == ["mine", "share"]


def test_signs_that_are_left_of_a_line_go(tmp_path: Path) -> None:
    entry = clean(tmp_path, "link = ['https://wa']", f"<p>a</p><p>{SHARE} | {SHARE}</p><p>| b {SHARE}</p>")
    assert entry.text == "a\n| b"
    assert [removal.rule for removal in entry.removals] == ["mine", "leftover", "mine", "mine"]


@pytest.mark.parametrize(
    ("rule", "html"),
    [
        ("text = ['in english']\nlink_density = 1", '<p><a href="/en?utm_source=x"><b>In English</b></a></p>'),
        ("css = ['.en']", '<div class="en">See <a href="/en">this</a></div>'),
        ("link = ['/en']", '<p><a href="/en">x</a></p>'),
    ],
)
def test_alternate(tmp_path: Path, rule: str, html: str) -> None:
    entry = clean(tmp_path, f"{rule}\naction = 'alternate'\nhreflang = 'en'", f"<p>a</p>{html}")
    assert entry.content == "<p>a</p>"
    assert entry.alternates == (Alternate("https://h.example/en", "en"),)


def test_alternate_without_an_address(tmp_path: Path) -> None:
    entry = clean(tmp_path, "text = ['in english']\naction = 'alternate'", "<p>a</p><p>In English</p>")
    assert (entry.text, entry.alternates) == ("a", ())


@pytest.mark.parametrize(
    ("author", "becomes"), [(None, "Jane Doe, J. Roe"), ("S", "Jane Doe, J. Roe"), ("Someone", "Someone")]
)
def test_author(tmp_path: Path, author: str | None, becomes: str) -> None:
    html = "<p>By Jane Doe</p><p>J. Roe</p><p>a</p>"
    rule = "text = ['by (.+)', 'J\\. Roe']\naction = 'author'"
    entry = clean(tmp_path, rule, html, source="S", author=author)
    assert (entry.author, entry.text) == (becomes, "a")


def test_rights_move(tmp_path: Path) -> None:
    entry = clean(tmp_path, "text = ['© .*']\naction = 'rights'", "<p>a</p><p>© 2024 Agency</p><p>© 2024 Agency</p>")
    assert (entry.content, entry.rights) == ("<p>a</p>", "© 2024 Agency")
    assert [removal.rule for removal in entry.removals] == ["mine", "mine"]


@pytest.mark.parametrize("host", ["www.h.example", "h.example"])
def test_host_means_its_subdomains_too(tmp_path: Path, host: str) -> None:
    entry = clean(tmp_path, "text = ['ad']\nhosts = ['h.example']", "<p>a</p><p>ad</p>", link=f"https://{host}/x")
    assert entry.content == "<p>a</p>"


RULE = '[[rule]]\nname = "mine"\nreason = "why"\n'


@pytest.mark.parametrize(
    ("pack", "says"),
    [
        ("[[rule]\n", "is not TOML"),
        ("name = 'x'", 'unknown key "name"; a pack holds [[rule]] and [[test]] tables only'),
        ("[rule]\nname = 'x'", "write [[rule]], with two brackets, above each rule"),
        ("rule = [3]", "rule 1: "),
        ('[[rule]]\nreason = "why"\ncss = ["p"]', 'rule 1: "name" is missing'),
        ('[[rule]]\nname = "Mine!"\nreason = "why"\ncss = ["p"]', "name: write lower-case letters, digits and hyphens"),
        ('[[rule]]\nname = "mine"\ncss = ["p"]', 'rule "mine": "reason" is missing'),
        (f"{RULE}txet = ['a']", 'rule "mine": unknown key "txet"; did you mean "text"?'),
        (f"{RULE}zzzzzz = 1", 'unknown key "zzzzzz"; known are name, reason, '),
        (RULE, "give exactly one of link, css, classes, text"),
        (f"{RULE}css = ['p']\ntext = ['a']", "give exactly one of link, css, classes, text"),
        (f"{RULE}text = ['(']", "'(' is no regular expression: "),
        (f"{RULE}text = ['a(?i)']", "is no regular expression: "),
        (f"{RULE}text = ['a*']", "'a*' matches the empty text, and so nearly everything"),
        (f"{RULE}css = ['p[']", "'p[' is no CSS selector: "),
        (f"{RULE}css = ['p']\naction = 'delete'", "action: "),
        (f"{RULE}text = ['a']\naction = 'unwrap'", "action 'unwrap' is for elements"),
        (f"{RULE}css = ['p']\nwhere = 'middle'", "where: "),
        (f"{RULE}css = ['p']\naction = 'author'", "action 'author' is for lines; use text"),
        (f"{RULE}css = ['p']\nhreflang = 'en'", "hreflang needs action 'alternate'"),
        (f"{RULE}css = ['p']\naction = 'alternate'\nhreflang = 'no tag!'", "hreflang: "),
        (f"{RULE}link = ['p']\nlink_density = 1", "link_density is for css, classes, text"),
        (f"{RULE}css = ['p']\nlink_density = 2", "link_density: "),
        (f"{RULE}text = ['p']\nshare_density = 1", "share_density is for css, classes"),
        (f"{RULE}text = ['p']\nform = true", "form is for css, classes"),
        (f"{RULE}text = ['p']\nmax_text = 3", "max_text is for css, classes"),
        (f"{RULE}css = ['p']\nthen = 'links'", "then is for text"),
        (f"{RULE}text = ['p']\nthen = 'links'\nwhere = 'tail'", "then and where do not go together"),
        (f"{RULE}text = ['p']\nthen = 'links'\naction = 'rights'", "then goes with action 'remove' only"),
        (f"{RULE}classes = ['(']", "'(' is no regular expression: "),
        (f"{RULE}css = ['p']\nhosts = ['https://h.example/']", "write the name alone in lower case"),
        (f"{RULE}css = ['p']\n{RULE}css = ['p']", 'rule "mine": the name is taken by the same file; choose another'),
        ('[[rule]]\nname = "dateline"\nreason = "why"\ncss = ["p"]', "the name is taken by feedsvc itself"),
        ('[[rule]]\nname = "share-links"\nreason = "why"\ncss = ["p"]', "share.toml; choose another"),
    ],
)
def test_wrong_pack(tmp_path: Path, pack: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(pack, "utf-8")
    with pytest.raises(RuleError) as caught:
        load_rules(site_rules=True, folders=[tmp_path])
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)


def test_pack_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="none: the folder of rules cannot be read"):
        load_rules(site_rules=True, folders=[tmp_path / "none"])
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(RuleError, match=r"a\.toml: is not UTF-8"):
        load_rules(site_rules=True, folders=[tmp_path])
    (tmp_path / "a.toml").unlink()
    (tmp_path / "b.toml").mkdir()
    with pytest.raises(RuleError, match=r"b\.toml: cannot be read"):
        load_rules(site_rules=True, folders=[tmp_path])


def test_no_rules_at_all() -> None:
    assert load_rules(site_rules=False, generic=False).rules == ()


def test_digest_tells_rules_apart(tmp_path: Path) -> None:
    plain = load_rules(site_rules=True)
    assert plain.digest == load_rules(site_rules=True).digest
    (tmp_path / "mine.toml").write_text(f"{RULE}css = ['p']", "utf-8")
    mine = load_rules(site_rules=True, folders=[tmp_path])
    assert len({plain.digest, mine.digest, load_rules(site_rules=False).digest}) == 3
    assert len(mine.rules) == len(plain.rules) + 1
