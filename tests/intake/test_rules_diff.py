"""What changed rules would do to a store."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from articles import live_entries
from hypothesis import given
from hypothesis import strategies as st
from pools import Here

from feedsvc.clean import Cleaner, Rule, RuleSet
from feedsvc.errors import StoreError
from feedsvc.intake.ingest import Ingest
from feedsvc.intake.restore import restore_removal
from feedsvc.intake.rules_diff import Diff, _estimate, _mixed, compare_rules, diff_rules, make_saved, read_saved
from feedsvc.store import SavedRules, Store
from feedsvc.watch import Change

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def rule(name: str, **parts: Any) -> Rule:  # noqa: ANN401 - any key of a rule
    return Rule.model_validate({"name": name, "reason": "r", **parts})


SHARE = rule("share", text=["分享到"])
BOX = rule("box", css=[".box"], hosts=["a.example"])
LIVE = RuleSet((SHARE, BOX))


class Place:
    """A folder of dumps, and the store that they went into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(f"sqlite:///{folder / 'feedsvc.db'}")
        self.live = self.ingest()
        self.take(0, '<p>正文零</p><p>分享到</p><div class="box">盒子零</div><p>相关阅读</p>', "a.example")
        self.take(1, '<p>正文一</p><div class="box">盒子一</div><p>广告</p>', "www.a.example")
        self.take(2, '<p>正文二</p><div class="box">盒子二</div><p>广告</p>', "b.example")
        self.take(3, "<p>正文三</p>", "b.example")

    def ingest(self, rules: RuleSet = LIVE) -> Ingest:
        cleaner = Cleaner(rules)
        self.store.save_live_rules(make_saved(rules, cleaner.digest), NOW)
        return Ingest(self.store, cleaner, max_bytes=10**6, withdraw=False, clock=lambda: NOW, pool=Here(cleaner))

    def take(self, number: int, html: str, host: str) -> None:
        path = self.folder / f"{number}.txt"
        head = f"<!--17121807{number:02d}000-->\n[t{number}](https://{host}/{number})\n------\n"
        path.write_text(head + html, "utf-8")
        (report,) = self.live.take([Change(str(path), gone=False)])
        assert report.outcome == "published"

    def diff(self, *rules: Rule, **more: Any) -> Diff:  # noqa: ANN401 - any argument of diff_rules
        before = list(live_entries(self.store))
        found = diff_rules(self.store, RuleSet(rules), Cleaner, **more)
        assert list(live_entries(self.store)) == before
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with closing(place.store):
        yield place


def counts(found: Diff) -> tuple[int, int, int, int]:
    return found.looked_at, found.affected, found.cleaned, found.estimate


def titles(found: Diff) -> list[str]:
    return [change.title for change in found.changes]


AD = rule("ad", text=["广告"])


@pytest.mark.parametrize(
    ("live", "planned", "added", "removed", "changed"),
    [
        ((SHARE, BOX), (SHARE, BOX), (), (), ()),
        ((SHARE,), (SHARE, BOX), ("box",), (), ()),
        ((SHARE, BOX), (BOX,), (), ("share",), ()),
        ((SHARE, BOX), (SHARE.model_copy(update={"reason": "x"}), BOX), (), (), ("share",)),
        ((SHARE, BOX, AD), (AD, SHARE, BOX), (), (), ("ad",)),
        ((SHARE,), (BOX,), ("box",), ("share",), ()),
    ],
)
def test_rules_that_differ(
    live: Sequence[Rule], planned: Sequence[Rule], added: object, removed: object, changed: object
) -> None:
    found = compare_rules(RuleSet(tuple(live)), RuleSet(tuple(planned)))
    assert (found.added, found.removed, found.changed) == (added, removed, changed)


def test_rules_that_differ_come_in_both_forms() -> None:
    other = SHARE.model_copy(update={"text": ("转发",)})
    assert compare_rules(RuleSet((SHARE, BOX)), RuleSet((other, AD))).rules == (BOX, SHARE, other, AD)


def test_saved_rules_are_read_as_they_were() -> None:
    assert read_saved(make_saved(LIVE, "d")) == LIVE


def test_rules_of_another_version_may_be_unreadable() -> None:
    with pytest.raises(StoreError, match=r"feedsvc 9\.9, which this version cannot read"):
        read_saved(SavedRules("d", "9.9", [{"name": "a", "reason": "r", "text": ["x"], "colour": "red"}]))


def test_store_that_knows_no_live_rules_says_so(tmp_path: Path) -> None:
    with closing(Store(f"sqlite:///{tmp_path / 'empty.db'}")) as store, pytest.raises(StoreError, match="next start"):
        diff_rules(store, LIVE, Cleaner)


def test_the_same_rules_change_nothing(place: Place) -> None:
    found = place.diff(*LIVE.rules)
    assert counts(found) == (0, 0, 0, 0)
    assert not found.rules.rules


@pytest.mark.parametrize("workers", [1, 2])
def test_new_generic_rule(place: Place, workers: int) -> None:
    found = place.diff(*LIVE.rules, AD, workers=workers)
    assert counts(found) == (4, 2, 2, 2)
    assert sorted(titles(found)) == ["t1", "t2"]
    assert {(change.lost, change.gone, change.back) for change in found.changes} == {(2, (("ad", "广告"),), ())}
    assert found.is_exact


def test_new_site_rule_looks_at_its_site_only(place: Place) -> None:
    found = place.diff(*LIVE.rules, rule("ad", text=["广告"], hosts=["b.example"]))
    assert counts(found) == (2, 1, 1, 1)
    assert titles(found) == ["t2"]


def test_rule_taken_away_gives_back(place: Place) -> None:
    found = place.diff(SHARE)
    assert counts(found) == (2, 2, 2, 2)
    assert {(change.lost, change.regained, change.back[0][0]) for change in found.changes} == {(0, 3, "box")}


def test_rule_that_changed_is_looked_for_in_both_forms(place: Place) -> None:
    found = place.diff(SHARE.model_copy(update={"text": ("广告",)}), BOX)
    assert found.rules.changed == ("share",)
    assert sorted(titles(found)) == ["t0", "t1", "t2"]


def test_other_reason_or_name_changes_the_account_only(place: Place) -> None:
    found = place.diff(rule("sharing", text=["分享到"]), BOX)
    assert [change.visible for change in found.changes] == [False]
    assert found.estimate == 0


def test_largest_losses_come_first(place: Place) -> None:
    found = place.diff(*LIVE.rules, rule("more", text=["广告", "相关阅读"]))
    assert titles(found)[0] == "t0"
    assert [change.lost for change in found.changes] == [4, 2, 2]


def test_one_source_only(place: Place) -> None:
    assert counts(place.diff(*LIVE.rules, AD, source="nobody")) == (0, 0, 0, 0)


def test_entry_not_yet_cleaned_by_the_live_rules_is_compared_as_it_will_be(place: Place) -> None:
    rules = RuleSet((*LIVE.rules, AD))
    place.ingest(rules)  # live now, but nothing was cleaned again
    found = place.diff(*rules.rules, rule("more", text=["相关阅读", "正文二"]))
    assert {change.title: change.gone for change in found.changes} == {
        "t0": (("more", "相关阅读"),),
        "t2": (("more", "正文二"),),
    }


def test_what_was_restored_stays_under_other_rules_too(place: Place) -> None:
    rules = RuleSet((*LIVE.rules, AD))
    ingest = place.ingest(rules)
    while ingest.reclean(2):
        pass
    key = next(entry.key for entry in live_entries(place.store) if entry.title == "t2")
    restore_removal(place.store, ingest, key, 1, undo=False)
    (change,) = place.diff(*LIVE.rules, AD, rule("more", text=["正文二"])).changes
    assert (change.title, change.lost, change.gone) == ("t2", 3, (("more", "正文二"),))
    assert not change.stood_back  # for what was restored is still there


def test_after_cleaning_again_nothing_would_change(place: Place) -> None:
    planned = RuleSet((*LIVE.rules, AD))
    before = place.diff(*planned.rules)
    ingest = place.ingest(planned)
    while ingest.reclean(2):
        pass
    assert not place.diff(*planned.rules).rules.rules
    entries = {entry.title: entry for entry in live_entries(place.store)}
    for change in before.changes:
        assert "广告" not in entries[change.title].text
        assert entries[change.title].updated == entries[change.title].published
    assert counts(place.diff(*LIVE.rules))[1:] == (2, 2, 2)


def test_what_cannot_be_cleaned_stays(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.intake.rules_diff.clean_again", lambda _source, _cleaner: None)
    found = place.diff(*LIVE.rules, AD)
    assert (found.uncleanable, found.changes, found.estimate) == (2, [], 0)


@pytest.mark.slow
def test_when_time_is_short_the_rest_is_estimated(place: Place) -> None:
    for number in range(10, 90):
        place.take(number, "<p>正文</p><p>广告</p>" if number % 2 else "<p>正文</p><p>没有广告</p>", "c.example")
    found = place.diff(*LIVE.rules, AD, seconds=0)
    assert not found.is_exact
    assert 0 < found.cleaned < found.affected == 82
    assert found.changes
    exact = place.diff(*LIVE.rules, AD)
    assert (exact.cleaned, exact.estimate, len(exact.changes)) == (82, 42, 42)
    seen: list[tuple[str, int, int | None]] = []
    place.diff(*LIVE.rules, AD, progress=lambda *said: seen.append(said))
    assert seen[-1] == ("cleaning", 82, 82)
    assert seen[0] == ("looking at dumps", 84, None)


@given(st.integers(0, 200))
def test_all_are_taken_once_the_newest_and_others(number: int) -> None:
    order = list(_mixed(range(number)))
    assert sorted(order) == list(range(number))
    assert order[:10] == list(range(number))[:10]


@given(st.integers(1, 400), st.booleans(), st.integers(1, 400))
def test_estimate_of_what_is_all_alike_is_right(number: int, changes: bool, cleaned: int) -> None:
    done = dict.fromkeys(list(_mixed(range(number)))[:cleaned], changes)
    assert _estimate(done, number) == number * changes


def test_estimate_takes_the_newest_as_they_are_and_the_others_by_the_sample() -> None:
    newest = dict.fromkeys(range(16), True)
    sample = {index: index % 40 == 0 for index in range(20, 1000, 20)}
    assert _estimate(newest | sample, 1000) == 16 + round(984 * 24 / 49)
    assert _estimate({}, 0) == 0
