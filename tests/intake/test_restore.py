"""The account of removals: listed, restored for good, counted, and what is wrong with it said. Through the commands."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from articles import NOW, live_entries, make_article, save_dump
from pools import Here
from typer.testing import CliRunner, Result

from feedsvc.app.cli import app
from feedsvc.app.cli.common import MISUSED, load
from feedsvc.app.make import make_cleaner
from feedsvc.errors import FeedsvcError, StoreError, UnknownName
from feedsvc.feeds.plan import FeedSettings, Plan
from feedsvc.intake.ingest import Ingest
from feedsvc.model import Removal
from feedsvc.ops.status import collect_status
from feedsvc.store import Store
from feedsvc.watch import Change

if TYPE_CHECKING:
    from pathlib import Path

    from feedsvc.clean.drift import Alarm
    from feedsvc.model import Entry

pytestmark = pytest.mark.slow

PLAN = Plan(FeedSettings(title="News", subtitle=None, author="x", language=None, entries=9, max_bytes=None))
RULES = """
[[rule]]
name = "ads"
reason = "advertisements"
css = [".wug"]
[[rule]]
name = "promo"
reason = "promotion"
text = ['promo.*']
hosts = ["example.org"]
"""
BODY = '<p>The article.</p><div class="wug">buy <b>this</b></div><p>promo now</p><p>Its end.</p>'


class Home:
    """A folder with a configuration, rules and dumps, and the commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dumps = folder / "dumps"
        self.dumps.mkdir()
        self.seconds = 0
        self.url = f"sqlite:///{folder}/feedsvc.db"
        (folder / "rules").mkdir()
        self.rule(RULES)
        self.config = folder / "config.toml"
        text = f'[watch]\ndirectories = ["dumps"]\n[store]\nurl = "{self.url}"\n[clean]\nrules = ["rules"]\n'
        self.config.write_text(text, "utf-8")

    def rule(self, text: str) -> None:
        (self.folder / "rules" / "mine.toml").write_text(text, "utf-8")

    def put(self, name: str, body: str = BODY, *, source: str = "Example News") -> Path:
        self.seconds += 60
        path = self.dumps / f"{name}.txt"
        head = f"---\ntags:\n- {source}\n---\n" if source else ""
        marker = (1_712_180_702 + self.seconds) * 1000 if not path.exists() else 1_712_180_702_000
        path.write_text(f"{head}<!--{marker}-->\n[{name}](https://example.org/{name})\n------\n\n{body}\n", "utf-8")
        os.utime(path, (1_712_180_702 + self.seconds,) * 2)
        return path

    def take(self, *names: str, body: str = BODY, source: str = "Example News") -> None:
        changes = [Change(str(self.put(name, body, source=source)), gone=False) for name in names]
        with closing(Store(self.url)) as store:
            self.ingest(store).take(changes)

    def ingest(self, store: Store) -> Ingest:
        cleaner = make_cleaner(load(self.config))
        now = datetime(2024, 5, 1, tzinfo=UTC)
        return Ingest(store, cleaner, max_bytes=10**6, withdraw=False, clock=lambda: now, pool=Here(cleaner))

    def run(self, *arguments: str | Path, code: int = 0) -> Result:
        found = CliRunner().invoke(app, [*map(str, arguments), "--config", str(self.config)])
        if isinstance(found.exception, FeedsvcError):
            raise found.exception
        assert found.exit_code == code, found.output
        return found

    def removed(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("removed", "--json", *arguments).stdout)
        return found

    def entry(self, name: str) -> Entry:
        """The entry of this title, whatever cleaned it."""
        with closing(Store(self.url)) as store:
            (found,) = (entry for entry in live_entries(store) if entry.title == name)
        return replace(found, cleaner="")

    def alarms(self) -> dict[tuple[str, str], Alarm | None]:
        with closing(Store(self.url)) as store, store.reading() as reader:
            return {(count.rule, count.source): count.alarm for count in reader.counters.alarms()}

    def problems(self) -> list[dict[str, str]]:
        with closing(Store(self.url)) as store:
            found: list[dict[str, str]] = collect_status(store, PLAN, NOW)["problems"]
        return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for module in ("feedsvc.app.cli.import_", "feedsvc.app.cli.restore"):  # it would outlive the test
        monkeypatch.setattr(sys.modules[module], "set_up_logs", lambda *_, **__: None)
    return Home(tmp_path)


# Listing


def test_lists_the_newest_entries_first(home: Home) -> None:
    home.take("a", "b")
    rows = home.removed()
    assert [(row["title"], row["removal"], row["rule"], row["text"]) for row in rows] == [
        ("b", 1, "ads", "buy this"),
        ("b", 2, "promo", "promo now"),
        ("a", 1, "ads", "buy this"),
        ("a", 2, "promo", "promo now"),
    ]
    first = rows[0]
    assert (first["entry"], first["id"], first["source"]) == (home.entry("b").key, home.entry("b").id, "Example News")
    assert first["html"] == '<div class="wug">buy <b>this</b></div>'
    assert (first["reason"], first["restored"]) == ("advertisements", False)
    shown = home.run("removed").stdout
    assert f"{home.entry('b').key} b (Example News)\n  1 ads: buy this\n  2 promo: promo now\n" in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rule", "ads"], ["b1", "a1"]),
        (["--rule", "share-links"], []),
        (["--rule", "loose-line"], []),
        (["--source", "Other"], ["b1", "b2"]),
        (["--limit", "3"], ["b1", "b2", "a1"]),
        (["--entry", "https://example.org/a"], ["a1", "a2"]),
        (["--entry", "http://example.org//a?utm_source=x", "--rule", "promo"], ["a2"]),
    ],
)
def test_lists_what_is_asked_for(home: Home, arguments: list[str], expected: list[str]) -> None:
    home.take("a")
    home.take("b", source="Other")
    assert [f"{row['title']}{row['removal']}" for row in home.removed(*arguments)] == expected


def test_an_entry_has_three_names(home: Home) -> None:
    home.take("a", "b")
    entry = home.entry("a")
    assert entry.link is not None
    for name in (entry.key, entry.id, entry.link):
        assert [row["title"] for row in home.removed("--entry", name)] == ["a", "a"]


def test_says_that_there_is_more(home: Home) -> None:
    home.take("a")
    assert "there are more than 1" in home.run("removed", "--limit", "1").stderr
    assert "there are more" not in home.run("removed", "--limit", "2").stderr


def test_of_nothing(home: Home) -> None:
    assert home.removed() == []
    assert home.run("removed").stdout == "nothing\n"
    assert home.run("removed", "--counts").stdout.split()[:2] == ["source", "rule"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["removed", "--rule", "share-link"], "no such rule: share-link; did you mean share-links"),
        (["removed", "--counts", "--rule", "promos"], "no such rule: promos; did you mean promo"),
        (["removed", "--source", "Exmple News"], "no such source: Exmple News; did you mean Example News?"),
        (["removed", "--entry", "https://example.org/artcle"], "; did you mean https://example.org/article?"),
        (["removed", "--entry", "tag:example.org,2024-04-03:x"], "; did you mean tag:example.org,2024-04-03:"),
        (["removed", "--entry", "nothing"], "no such entry: nothing"),
        (["restore", "nothing", "1"], "no such entry: nothing"),
        (["restore", "https://example.org/article", "3"], "has no removal 3; there are: 1 (ads), 2 (promo)"),
        (["restore", "https://example.org/article", "0"], "has no removal 0"),
    ],
)
def test_names_that_are_not_known(home: Home, arguments: list[str], message: str) -> None:
    home.take("article")
    with pytest.raises(UnknownName) as caught:
        home.run(*arguments)
    assert message in str(caught.value)


def test_a_key_with_a_slip_is_recognised(home: Home) -> None:
    home.take("a")
    key = home.entry("a").key
    with pytest.raises(UnknownName, match=f"did you mean {key}"):
        home.run("removed", "--entry", key[:8] + ("x" if key[8] != "x" else "y") + key[9:])


def test_entry_without_removals_says_so(home: Home) -> None:
    home.take("a", body="<p>Nothing to remove.</p>")
    with pytest.raises(UnknownName, match="there are: nothing was removed from it"):
        home.run("restore", home.entry("a").key, "1")


def test_counts_and_entry_do_not_go_together(home: Home) -> None:
    assert "do not go together" in home.run("removed", "--counts", "--entry", "x", code=MISUSED).stderr


# Restoring


def test_restored_and_undone(home: Home) -> None:
    home.take("a")
    before = home.entry("a")
    assert "buy" not in before.text
    assert home.run("restore", before.key, "1").stdout == f"restored {before.key} 1 ads: buy this\n"
    after = home.entry("a")
    assert after.text == "The article.\nbuy this\nIts end."
    assert (after.updated, after.published, after.id) == (before.updated, before.published, before.id)
    assert [(row["removal"], row["restored"]) for row in home.removed()] == [(1, True), (2, False)]
    assert "1 ads (restored): buy this" in home.run("removed").stdout
    home.run("restore", before.key, "1")  # once more is the same
    assert home.entry("a") == after
    assert home.run("restore", "--undo", before.key, "1").stdout == f"goes {before.key} 1 ads: buy this\n"
    assert home.entry("a") == before
    home.run("restore", "--undo", before.key, "1")
    assert home.entry("a") == before
    assert not any(row["restored"] for row in home.removed())


def test_survives_recleaning_updates_and_reimport(home: Home) -> None:
    home.take("a")
    key = home.entry("a").key
    home.run("restore", key, "1")
    before = home.entry("a")
    home.run("import", home.dumps)
    assert home.entry("a") == before
    home.rule(RULES + '[[rule]]\nname = "boxes"\nreason = "boxes"\ncss = ["div"]\n')
    with closing(Store(home.url)) as store:
        assert home.ingest(store).reclean(10) == [key]
    assert home.entry("a") == before
    home.take("a", body=BODY.replace("Its end.", "Its new end."))
    updated = home.entry("a")
    assert updated.text == "The article.\nbuy this\nIts new end."
    assert updated.updated > before.updated
    assert [(row["rule"], row["restored"]) for row in home.removed()] == [("ads", True), ("promo", False)]


def test_dump_that_is_the_same_moves_nothing(home: Home) -> None:
    home.take("a")
    home.run("restore", home.entry("a").key, "2")
    before = home.entry("a")
    home.take("a", body=BODY + "<!-- touched -->")
    assert home.entry("a").updated == before.updated
    assert "promo now" in home.entry("a").text


def test_other_entries_are_left_alone(home: Home) -> None:
    home.take("a", "b")
    home.run("restore", home.entry("a").key, "1")
    assert "buy" not in home.entry("b").text
    assert [row["restored"] for row in home.removed("--entry", home.entry("b").key)] == [False, False]


def test_rules_that_changed_since_do_not_stand_in_the_way(home: Home) -> None:
    home.take("a")
    home.rule(RULES.replace('name = "ads"', 'name = "advertisements"'))
    home.run("restore", home.entry("a").key, "1")
    assert "buy this" in home.entry("a").text
    assert [(row["rule"], row["restored"]) for row in home.removed()] == [("advertisements", True), ("promo", False)]


def test_what_stays_because_of_another_cannot_be_undone_alone(home: Home) -> None:
    share = '<p>share: <a href="https://www.facebook.com/sharer?u=x">Facebook</a></p>'
    home.take("a", body=f"<p>The article.</p>{share}")
    key = home.entry("a").key
    assert [row["rule"] for row in home.removed()] == ["share-labels", "share-links"]
    home.run("restore", key, "2")
    assert [row["restored"] for row in home.removed()] == [True, True]
    with pytest.raises(UnknownName, match=r"removal 1 of .* stays because of another that was restored"):
        home.run("restore", "--undo", key, "1")
    home.run("restore", "--undo", key, "2")
    assert [row["restored"] for row in home.removed()] == [False, False]


def test_dump_that_is_not_kept(home: Home) -> None:
    article = make_article(removals=(Removal("ads", "why", "buy", "<p>buy</p>"),))
    with closing(Store(home.url)) as store:
        save_dump(store, article)
        (entry,) = live_entries(store)
        with store.writing() as writer:
            writer.connection.exec_driver_sql("UPDATE dumps SET raw = NULL")
    with pytest.raises(StoreError, match="its dump is no longer kept"):
        home.run("restore", entry.key, "1")
    assert [row["restored"] for row in home.removed()] == [False]


def test_dump_that_cannot_be_cleaned_changes_nothing(home: Home) -> None:
    home.take("a")
    before = home.entry("a")
    with closing(Store(home.url)) as store, store.writing() as writer:
        writer.connection.exec_driver_sql("UPDATE dumps SET raw = (SELECT raw FROM dumps WHERE 0)")
    with pytest.raises(StoreError):
        home.run("restore", before.key, "1")
    assert home.entry("a") == before


def test_retention_forgets_what_was_restored(home: Home) -> None:
    home.take("a")
    entry = home.entry("a")
    home.run("restore", entry.key, "1")
    with closing(Store(home.url)) as store:
        with store.writing() as writer:
            writer.retire(before=None, beyond=0)
        with store.writing() as writer:
            assert writer.removals.restored_of(entry.id) == frozenset()


# Counting


def names(prefix: str, number: int) -> list[str]:
    return [f"{prefix}{each}" for each in range(number)]


def test_counts_by_rule_and_source(home: Home) -> None:
    home.take(*names("a", 3))
    home.take(*names("b", 2), body="<p>The article.</p><p>promo</p>", source="Other")
    home.take("a0", body="<p>The article is another.</p>")  # an update does not count
    rows = json.loads(home.run("removed", "--counts", "--json").stdout)
    assert [(row["source"], row["rule"], row["matched"], row["dumps"], row["match_fast"]) for row in rows] == [
        ("Example News", "ads", 3, 3, 1.0),
        ("Example News", "promo", 3, 3, 1.0),
        ("Other", "promo", 2, 2, 1.0),
    ]
    text, ads = len("Thearticle.Itsend."), len("buythis")
    assert rows[0]["share_slow"] == pytest.approx(ads / (text + ads + len("promonow")), abs=1e-4)
    assert (rows[0]["alarm"], rows[0]["since"]) == (None, None)
    assert "3 of 3" in home.run("removed", "--counts", "--rule", "ads").stdout
    assert json.loads(home.run("removed", "--counts", "--source", "Other", "--json").stdout) == rows[2:]


def test_order_and_size_of_batches_do_not_matter(home: Home) -> None:
    bodies = [BODY if number % 3 else "<p>The article.</p>" for number in range(20)]
    home.take(*names("a", 0))
    changes = [Change(str(home.put(f"n{number}", body)), gone=False) for number, body in enumerate(bodies)]
    found = []
    for sizes in (1, 7, 20):
        with closing(Store(f"sqlite:///{home.folder}/{sizes}.db")) as store:
            for start in range(0, 20, sizes):
                home.ingest(store).take(changes[start : start + sizes])
            with store.reading() as reader:
                found.append(reader.counters.counts())
    assert found[0] == found[1] == found[2]


def test_what_is_undone_counts_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [Change(str(home.put("a")), gone=False)]
    with closing(Store(home.url)) as store:
        with monkeypatch.context() as patch:
            patch.setattr("feedsvc.store.counters.judge", lambda *_, **__: 1 / 0)  # the last thing before the commit
            with pytest.raises(ZeroDivisionError):
                home.ingest(store).take(changes)
        home.ingest(store).take(changes)
        with store.reading() as reader:
            assert {count.rule: count.standing.dumps for count in reader.counters.counts()} == {"ads": 1, "promo": 1}


def test_a_rule_that_falls_silent_is_reported_until_it_matches(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.take(*names("a", 10))
    without = BODY.replace("<p>promo now</p>", "")
    home.take(*names("b", 19), body=without)
    assert home.alarms() == {}
    caplog.clear()
    home.take("c", body=without)
    assert home.alarms() == {("promo", "Example News"): "silent"}
    home.take("d", body=without)
    logged = [record for record in caplog.records if record.msg == "drift"]
    assert [(record.__dict__["rule"], record.__dict__["source"]) for record in logged] == [("promo", "Example News")]
    (problem,) = home.problems()
    assert problem["about"] == "drift:promo:Example News"
    assert problem["message"].startswith(
        "matched in 100% of the dumps, but in none of the last 20; see: feedsvc removed"
    )
    assert problem["since"] == "2024-05-01T00:00:00+00:00"
    assert "silent" in home.run("removed", "--counts").stdout
    home.take("e")
    assert home.alarms() == {}
    assert home.problems() == []


def test_a_rule_that_takes_far_more_is_reported(home: Home) -> None:
    home.take(*names("a", 60), body=f"<p>{'The article is a long one. ' * 9}</p><p>promo</p>")
    greedy = f"<p>The article.</p><p>promo {'and more ' * 20}</p>"
    home.take(*names("b", 10), body=greedy)
    assert home.alarms() == {("promo", "Example News"): "surge"}
    assert "takes" in home.problems()[0]["message"]


def test_a_rule_that_is_gone_has_no_alarm(home: Home) -> None:
    home.take(*names("a", 10))
    home.take(*names("b", 25), body=BODY.replace("promo", "other"))
    assert home.alarms()
    home.rule(RULES.replace('name = "promo"', 'name = "promotion"'))
    with closing(Store(home.url)) as store:
        home.ingest(store).reclean(1)
    assert home.alarms() == {}
    with closing(Store(home.url)) as store, store.reading() as reader:
        assert {count.rule for count in reader.counters.counts()} == {"ads"}


def test_a_new_rule_has_no_before(home: Home) -> None:
    home.take(*names("a", 60), body="<p>The article.</p><p>Look at our wugs, look at our wugs!</p>")
    home.rule(RULES + "[[rule]]\nname = 'wugs'\nreason = 'x'\ntext = ['Look at our wugs.*']\n")
    home.take(*names("b", 20), body="<p>The article.</p><p>Look at our wugs, look at our wugs!</p>")
    assert home.alarms() == {}


# Standing back


def test_entries_that_rules_stood_back_from_are_problems(home: Home) -> None:
    home.take("a", body='<div class="wug">all there is</div>')
    home.take("b")
    key = home.entry("a").key
    (problem,) = home.problems()
    assert problem["about"] == f"entry {key}"
    assert f"feedsvc removed --entry {key}" in problem["message"]
    assert "keep rule" in problem["message"]
    home.take("a", body='<p>More.</p><div class="wug">all there is</div>')
    assert home.problems() == []


def test_many_of_them_are_not_all_named(home: Home) -> None:
    home.take(*names("a", 22), body='<div class="wug">all there is</div>')
    problems = home.problems()
    assert len(problems) == 21
    assert problems[-1] == {"about": "entries", "message": "rules stood back from 22 entries; these are the newest 20"}


# Explaining


def test_explain_shows_the_article_with_what_went(home: Home) -> None:
    path = home.put("a")
    shown = home.run("clean", "--explain", path).stdout
    assert "The article.\n[-ads: buy this-]\n[-promo: promo now-]\nIts end.\n" in shown
    assert "promo: promotion: 1 removed, 8 characters" in shown


def test_explain_as_a_page(home: Home) -> None:
    shown = home.run("clean", "--explain", "--html", home.put("a")).stdout
    assert shown.startswith("<!doctype html>")
    assert '<del class="went" title="ads: advertisements"><b>[ads]</b> buy this</del>' in shown
    assert not (home.folder / "feedsvc.db").exists()


def test_html_goes_with_explain(home: Home) -> None:
    assert "--html goes with --explain" in home.run("clean", "--html", home.put("a"), code=MISUSED).stderr


def test_dump_that_fails_with_what_was_restored_is_quarantined(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.take("a")
    home.run("restore", home.entry("a").key, "1")
    before = home.entry("a")
    with monkeypatch.context() as patch:
        patch.setattr("feedsvc.clean.cleaner.strip_except", lambda *_: 1 / 0)
        home.take("a", "b", body=BODY + "<p>More.</p>")
    assert home.entry("a") == before
    assert home.entry("b").text.endswith("More.")
    assert [problem["message"] for problem in home.problems()] == [
        "cleaning failed: ZeroDivisionError: division by zero"
    ]
