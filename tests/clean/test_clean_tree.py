"""The parsed tree is the one that Beautiful Soup makes itself, node by node and link by link."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import bs4
import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given
from hypothesis import strategies as st
from places import DATA, SEEDS

from feedsvc.clean import tree
from feedsvc.clean.tree import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from bs4.element import PageElement

FILES = [*sorted((DATA / "clean").glob("*.html")), *sorted(SEEDS.glob("*.txt"))]
LINKS = ("parent", "next_element", "previous_element", "next_sibling", "previous_sibling")

SHAPES = {
    "nothing": "",
    "text-alone": "text",
    "white-space": " \t\n<p> \n </p> \u3000 <pre> \n </pre>\n \n<textarea>  </textarea> ",
    "pre-in-pre": "<pre> <pre> </pre> </pre> <p>\t</p>",
    "comments": "<!-- a --><p>a<!----><!-- -->b</p><!-->c<!--unclosed <p>",
    "bogus-comments": "<!a><?php echo 1 ?><p><?x?>a</?b><![if IE]>",
    "cdata": "<p><![CDATA[a < b]]></p><svg><![CDATA[c]]></svg>",
    "doctype": "<!DOCTYPE html><p>a<!DOCTYPE html PUBLIC 'a' 'b'>b<!DOCTYPE>",
    "page": "<!DOCTYPE html><html lang=en><head><title>a</title></head><body class=b>c</body></html><!--d--> e <p>f",
    "nul": "<p>a\0b<p a='\0' \0>\0</p>",
    "entities": "a&amp;b&lt;c&#x1F600;&nosuch;&nbsp&notin;<p title='&quot;&amp'>&#0;&#128;",
    "attributes": "<a HREF=x href=y class='a b  c' rel='a b' checked data-x a:b=c xml:lang=en on=><td headers='a b'>",
    "braces": "<p {http://www.w3.org/XML/1998/namespace}lang=de {x}a=1 {}b=2 {c=3 d}=4 {e}=5>a{b}",
    "custom-elements": "<o:p>a</o:p><x-y>b</x-y><image>c",
    "meta": "<meta charset=gbk><meta http-equiv=Content-Type content='text/html; charset=gbk'><p>a",
    "script": "<script>if (a < b) '</p>'</script><style>p > a {}</style><template><p>a</template><noscript><img>",
    "raw-text": "<title>a<b></title><textarea><p></textarea><xmp><p></xmp><iframe><p></iframe><noframes><p></noframes>",
    "void": "<br/><br></br><hr>a<img>b<input><source>c<wbr>d<embed>e<col>f",
    "misnested": "<b><i>a</b>b</i><p><div>c</p>d</div><a>e<a>f<table><tr>g<td>h<p>i</table>j</td><li>k<li>l",
    "unopened": "</p></div></b></body>a</html></br>b<p></span>c",
    "unclosed": "<div><p>a<ul><li>b<table><td>c<a href='d>e",
    "cut-short": "<p>a<b class='c",
    "select": "<select><option>a<option>b<optgroup><p>c</select>d",
    "frames": "<frameset><frame></frameset><p>a",
    "huge-text": "a" * 200_000 + "<p>" + "日本" * 100_000,
    "many": "<p>a <b>b</b>" * 3_000,
}
TAGS = ("a", "b", "body", "br", "div", "head", "html", "img", "li", "meta", "p", "pre", "script", "svg", "table", "td")
MARKUP = st.lists(
    st.sampled_from([f"{start}{tag}>" for tag in TAGS for start in ("<", "</")])
    | st.sampled_from(
        ["<!-- ", " -->", "<!", "<?", "<![CDATA[", "]]>", "&", "&amp;", "&#", ";", "<p {a}b=c>", "<", ">"]
    )
    | st.text(" \n\ta\"'=/<>&;\0é日", max_size=6),
    max_size=40,
).map("".join)


def seen(soup: BeautifulSoup) -> list[Any]:
    """All that there is to a tree; nodes as their numbers in document order."""
    nodes: list[PageElement] = [soup]
    stack = list(reversed(soup.contents))
    while stack:
        nodes.append(node := stack.pop())
        if isinstance(node, Tag):
            stack += reversed(node.contents)
    numbers = {id(node): number for number, node in enumerate(nodes)}
    return [_seen(node, numbers) for node in nodes]


def _seen(node: PageElement, numbers: dict[int, int]) -> tuple[Any, ...]:
    links = [None if (other := getattr(node, link)) is None else numbers[id(other)] for link in LINKS]
    if isinstance(node, BeautifulSoup):
        return BeautifulSoup, links, [numbers[id(child)] for child in node.contents]
    # Namespaces in scope: xml alone, which no HTML uses.
    own = {key: value for key, value in vars(node).items() if key not in (*LINKS, "_namespaces")}
    if not isinstance(node, Tag):
        return type(node), str(node), own, links
    own["contents"] = [numbers[id(child)] for child in node.contents]
    own["attrs"] = [(type(key), key, type(value), value) for key, value in node.attrs.items()]
    return type(node), own, links


def assert_is_the_same(html: str) -> None:
    theirs = BeautifulSoup(f"<body>{html}", "lxml", multi_valued_attributes=None, string_containers={})
    ours = make_tree(html)
    assert seen(ours) == seen(theirs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_tree_of_a_file(path: Path) -> None:
    assert_is_the_same(path.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("html", SHAPES.values(), ids=SHAPES)
def test_the_tree_of_a_shape(html: str) -> None:
    assert_is_the_same(html)


@pytest.mark.slow
@pytest.mark.parametrize(("tag", "depth"), [*((tag, 300) for tag in ("b", "pre", "a", "li", "table")), ("div", 5_000)])
def test_the_tree_of_deep_nesting(tag: str, depth: int) -> None:
    assert_is_the_same(f"<{tag}>a" * depth + f"b</{tag}>" * (depth // 2) + "<p>c")


@given(MARKUP)
def test_the_tree_of_any_html(html: str) -> None:
    assert_is_the_same(html)


@pytest.mark.parametrize("number", range(20))
def test_the_tree_of_long_random_html(number: int) -> None:
    dice = random.Random(number)  # noqa: S311 - no secret
    pieces = [f"<{slash}{tag}{rest}>" for tag in TAGS for slash in ("", "/") for rest in ("", " a=b class='c d'")]
    assert_is_the_same("".join(dice.choices([*pieces, *"a\n <>&;", "<!-- b -->", "日本"], k=400)))


def test_the_tree_can_be_changed_and_searched_as_any_other() -> None:
    soup = make_tree("<div class='a b'>c<p>d<br>e</p></div>f")
    assert [tag.name for tag in soup.select(".b > p, div:has(br)")] == ["div", "p"]
    soup.p.insert_after(soup.new_tag("hr"))  # type: ignore[union-attr]
    soup.br.replace_with("-")  # type: ignore[union-attr]
    assert soup.body is not None
    assert soup.body.decode_contents() == '<div class="a b">c<p>d-e</p><hr/></div>f'
    assert soup.get_text("|") == "c|d|-|e|f"


def test_a_parser_that_rejects_a_page_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("no such encoding")

    make_tree("a")
    with monkeypatch.context() as patch:
        patch.setattr(tree._Builder, "data", fail)  # noqa: SLF001 - the parser calls it
        tree._idle.clear()  # noqa: SLF001
        with pytest.raises(bs4.ParserRejectedMarkup):
            make_tree("<p>a")
        assert not tree._idle  # noqa: SLF001
    assert make_tree("<p>b").get_text() == "b"
    assert tree._idle  # noqa: SLF001
