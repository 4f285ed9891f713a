"""The thread between the watcher and the store."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from articles import NOW
from pools import Here
from waiting import wait_for

from feedsvc.clean import Cleaner, load_rules
from feedsvc.errors import FeedsvcError, ShortageError, StoreError
from feedsvc.intake.ingest import Ingest
from feedsvc.intake.queue import BATCH, Intake
from feedsvc.intake.write import Report
from feedsvc.store import Store
from feedsvc.watch import Change, FileState, Listing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

PATIENCE = 30.0
STATE = FileState(1, 1, 1)


class Pipeline(Ingest):
    """Stands where Ingest stands, and remembers what it was asked for; it can be held up, and can fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.then: list[list[str]] = []
        self.slow: list[Change] = []
        self.ready: list[Change] = []
        self.recleaned = 0
        self.outdated: list[list[str]] = []
        self.refusals = 0
        self.refusal: FeedsvcError = StoreError("disk is full")
        self.keys: tuple[str, ...] = ("key",)
        self.changed = threading.Condition()
        self.free = threading.Event()
        self.free.set()

    def compare(self, listing: Listing) -> list[Change]:
        self._refuse()
        return [Change(path, gone=False) for path in listing.files]

    def take(
        self,
        changes: Sequence[Change],
        interrupted: Callable[[], bool] = lambda: False,
        then: Iterable[Change] = (),
    ) -> list[Report]:
        self.then.append([change.path for change in then])
        self.interrupted = interrupted
        with self.changed:
            self.batches.append([change.path for change in changes])
            self.changed.notify_all()
        assert self.free.wait(PATIENCE)
        self._refuse()
        return [Report(change.path, keys=self.keys) for change in changes]

    @property
    def waits(self) -> bool:
        return bool(self.slow)

    def late(self) -> list[Change]:
        ready, self.slow = (
            [each for each in self.slow if each in self.ready],
            [each for each in self.slow if each not in self.ready],
        )
        return ready

    def reclean(self, limit: int, interrupted: Callable[[], bool] = lambda: False) -> list[str]:
        self.more = interrupted
        assert limit == BATCH
        self._refuse()
        with self.changed:
            self.recleaned += 1
            self.changed.notify_all()
        return self.outdated.pop(0) if self.outdated else []

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.refusal

    def wait_for(self, batches: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.batches) >= batches, PATIENCE), self.batches


class Calls:
    """Counts calls, and keeps what was reported."""

    def __init__(self) -> None:
        self.changes = 0
        self.reports: list[tuple[str, str | None]] = []

    def change(self) -> None:
        self.changes += 1

    def report(self, key: str, message: str | None) -> None:
        self.reports.append((key, message))


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def intake(pipeline: Pipeline, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Intake]:
    monkeypatch.setattr("feedsvc.intake.queue.RETRY_SECONDS", 0.01)
    intake = Intake(pipeline, changed=calls.change, report=calls.report)
    yield intake
    pipeline.free.set()
    intake.stop()


def change(path: object) -> Change:
    return Change(str(path), gone=False)


def listing(*paths: object) -> Listing:
    return Listing("/dumps", {str(path): STATE for path in paths}, frozenset())


def names(*ranges: range) -> list[str]:
    return [str(number) for each in ranges for number in each]


def test_changes_are_taken_in_order_and_in_batches(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    for number in range(BATCH + 10):
        intake.deliver(change(number))
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert pipeline.batches == [names(range(BATCH)), names(range(BATCH, BATCH + 10))]
    assert calls.changes == 2
    assert calls.reports == []


def test_nothing_is_said_where_nothing_changed(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    pipeline.keys = ()
    intake.deliver(change("a"))
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert (pipeline.batches, calls.changes) == ([["a"]], 0)


def test_large_listing_does_not_delay_fresh_changes(pipeline: Pipeline, intake: Intake) -> None:
    pipeline.free.clear()
    intake.deliver(listing(*range(3 * BATCH)))
    intake.start()
    pipeline.wait_for(1)
    intake.deliver(change("fresh"))
    intake.deliver(change("too"))
    pipeline.free.set()
    assert intake.wait_idle(PATIENCE)
    second = ["fresh", "too", *names(range(BATCH, 2 * BATCH - 2))]
    assert pipeline.batches[:2] == [names(range(BATCH)), second]
    assert {path for batch in pipeline.batches for path in batch} == {*names(range(3 * BATCH)), "fresh", "too"}
    assert all(len(batch) <= BATCH for batch in pipeline.batches)


def test_a_later_listing_takes_the_place_of_an_earlier_one(pipeline: Pipeline, intake: Intake) -> None:
    pipeline.free.clear()
    intake.deliver(Listing("/other", {"/other/x": STATE}, frozenset()))
    intake.deliver(listing(*(f"/dumps/{number}" for number in range(2 * BATCH))))
    intake.start()
    pipeline.wait_for(1)  # in hand, with what is left of the first two
    for _ in range(3):
        intake.deliver(listing("/dumps/7", "/dumps/new"))
    pipeline.free.set()
    assert intake.wait_idle(PATIENCE)
    first, *later = pipeline.batches
    assert len(first) == BATCH
    assert later == [["/dumps/7", "/dumps/new"]]
    assert first[0] == "/other/x"


def test_a_file_that_changes_all_the_time_is_taken_once_a_batch(pipeline: Pipeline, intake: Intake) -> None:
    for number in range(2 * BATCH):
        intake.deliver(change("busy"))
        intake.deliver(change(number % 4))
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert pipeline.batches == [["busy", "0", "1", "2", "3"]]


def test_a_shortage_is_reported_and_what_it_kept_from_being_read_is_read_later(
    pipeline: Pipeline, calls: Calls, intake: Intake
) -> None:
    pipeline.refusals, pipeline.refusal = 2, ShortageError("no file can be read")
    intake.deliver(change("a"))
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert pipeline.batches == [["a"]] * 3
    assert calls.reports == [("intake", "no file can be read")] * 2 + [("intake", None)]


def test_listing_without_differences(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    intake.deliver(listing())
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert (pipeline.batches, calls.changes) == ([], 0)


def test_outdated_entries_are_cleaned_until_none_is_left(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    pipeline.outdated = [["a"], ["b"]]
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert (pipeline.recleaned, calls.changes) == (3, 2)
    intake.deliver(change("x"))
    assert intake.wait_idle(PATIENCE)
    assert pipeline.recleaned == 3


def test_dumps_go_before_cleaning_again(pipeline: Pipeline, intake: Intake) -> None:
    pipeline.outdated = [["a"]]
    pipeline.free.clear()
    intake.deliver(change("x"))
    intake.start()
    pipeline.wait_for(1)
    assert pipeline.recleaned == 0


@pytest.mark.parametrize("what", ["change", "listing", "reclean"])
def test_refusing_store_is_asked_again_and_reported(
    pipeline: Pipeline, calls: Calls, intake: Intake, what: str
) -> None:
    pipeline.refusals = 3
    if what == "change":
        intake.deliver(change("a"))
    elif what == "listing":
        intake.deliver(listing("a"))
    else:
        pipeline.outdated = [["key"]]
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert calls.reports == [("store", "disk is full")] * 3 + [("store", None)]
    assert calls.changes == 1
    assert {path for batch in pipeline.batches for path in batch} == (set() if what == "reclean" else {"a"})


def test_it_says_since_when_the_store_refuses(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    before = intake.refused_since, intake.last_dump
    assert before == (None, None)
    pipeline.refusals = 10**9
    intake.deliver(change("a"))
    intake.start()
    wait_for(lambda: calls.reports)
    since, done = intake.refused_since, intake.last_dump
    assert since is not None
    assert done is None

    def relent() -> bool:
        pipeline.refusals = 0  # again, where the other thread was counting down
        return intake.wait_idle(0.01)

    wait_for(relent)
    after = intake.refused_since, intake.last_dump
    assert after[0] is None
    assert after[1] is not None
    assert after[1] > since


def test_it_beats_while_it_idles_and_between_two_dumps(
    monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline, intake: Intake
) -> None:
    monkeypatch.setattr("feedsvc.intake.queue.BEAT_SECONDS", 0.005)
    intake.start()
    assert intake.wait_idle(PATIENCE)
    wait_for_beat(intake)
    pipeline.free.clear()
    intake.deliver(change("a"))
    pipeline.wait_for(1)
    intake.pulse.last -= 1000
    assert intake.pulse.age() >= 1000  # the batch is in hand
    assert not pipeline.interrupted()
    assert intake.pulse.age() < 1000
    pipeline.free.set()


def wait_for_beat(intake: Intake) -> None:
    intake.pulse.last -= 1000
    wait_for(lambda: intake.pulse.age() < 1000)


def test_stopping_while_the_store_refuses(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    pipeline.refusals = 10**9
    intake.deliver(change("a"))
    intake.start()
    pipeline.wait_for(1)
    intake.stop()
    assert not intake.alive
    assert calls.changes == 0
    assert ("store", None) not in calls.reports


def test_stopping_finishes_the_batch_in_hand_and_leaves_the_rest(
    pipeline: Pipeline, calls: Calls, intake: Intake
) -> None:
    pipeline.free.clear()
    intake.deliver(listing(*range(3 * BATCH)))
    intake.start()
    pipeline.wait_for(1)
    intake.deliver(change("late"))
    stopping = threading.Thread(target=intake.stop)
    stopping.start()
    alive = [intake.alive]
    pipeline.free.set()
    stopping.join(PATIENCE)
    alive.append(intake.alive)
    assert alive == [True, False]
    assert pipeline.interrupted()
    assert pipeline.batches[0] == names(range(BATCH))
    assert calls.changes == len(pipeline.batches)
    assert len(pipeline.batches) < 4


class Rests(threading.Event):
    """Remembers for how long somebody waited for it, and keeps nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return self.is_set()


@pytest.mark.parametrize(("requests", "rests"), [(0, []), (10**9, [0.3, 0.3])])
def test_where_many_ask_it_rests_between_batches(
    requests: int, rests: list[float], pipeline: Pipeline, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedsvc.intake.queue.time.thread_time", (each / 10 for each in itertools.count()).__next__)
    answered = itertools.count(0, requests)
    resting = Intake(pipeline, changed=calls.change, report=calls.report, answered=answered.__next__)
    resting._stopping = waited = Rests()  # noqa: SLF001 - the only one that knows
    for number in range(BATCH + 1):
        resting.deliver(change(number))
    resting.start()
    try:
        assert resting.wait_idle(PATIENCE)
    finally:
        resting.stop()
    assert waited.seconds == pytest.approx(rests)
    assert len(pipeline.batches) == 2


def test_stopping_what_idles_or_never_started(pipeline: Pipeline, calls: Calls, intake: Intake) -> None:
    intake.start()
    assert intake.wait_idle(PATIENCE)
    intake.stop()
    intake.stop()
    other = Intake(pipeline, changed=calls.change, report=calls.report)
    other.stop()
    assert not other.alive


def test_idle_means_that_all_that_was_delivered_is_taken(pipeline: Pipeline, intake: Intake) -> None:
    assert not intake.wait_idle(0)  # it has not looked yet
    intake.start()
    for number in range(500):
        intake.deliver(change(number))
        assert intake.wait_idle(PATIENCE)
        assert pipeline.batches[-1] == [str(number)]


def test_not_idle_while_a_batch_is_in_hand(pipeline: Pipeline, intake: Intake) -> None:
    intake.start()
    assert intake.wait_idle(PATIENCE)
    pipeline.free.clear()
    intake.deliver(change("a"))
    pipeline.wait_for(1)
    assert not intake.wait_idle(0.01)


@pytest.mark.slow
def test_real_files_to_a_real_store(tmp_path: Path, calls: Calls) -> None:
    folder = tmp_path / "dumps"
    folder.mkdir()
    for number in range(BATCH + 1):
        text = f"<!--1712180702000-->\n[{number}](https://example.org/{number})\n------\n\n<p>{number}</p>"
        (folder / f"{number}.txt").write_text(text)
    states = {str(path): FileState(path.stat().st_size, path.stat().st_mtime_ns, 0) for path in folder.iterdir()}
    with closing(Store(f"sqlite:///{tmp_path}/feedsvc.db")) as store:
        cleaner = Cleaner(load_rules(site_rules=False))
        ingest = Ingest(store, cleaner, max_bytes=1000, withdraw=False, clock=lambda: NOW, pool=Here(cleaner))
        intake = Intake(ingest, changed=calls.change, report=calls.report)
        intake.start()
        intake.deliver(Listing(str(folder), states, frozenset()))
        assert intake.wait_idle(PATIENCE)
        intake.stop()
        assert store.count_entries() == BATCH + 1
    assert (calls.changes, calls.reports) == (2, [])


def test_what_is_outdated_elsewhere_is_cleaned_again(pipeline: Pipeline, intake: Intake) -> None:
    intake.start()
    assert intake.wait_idle(PATIENCE)
    before = pipeline.recleaned
    intake.look_again()
    with pipeline.changed:
        assert pipeline.changed.wait_for(lambda: pipeline.recleaned > before, PATIENCE)


def test_what_takes_long_is_taken_once_it_is_ready(pipeline: Pipeline, intake: Intake) -> None:
    slow = change("slow")
    pipeline.slow = [slow]
    intake.start()
    intake.deliver(change("a"))
    assert intake.wait_idle(PATIENCE)
    assert pipeline.batches == [["a"]]
    pipeline.ready = [slow]
    pipeline.wait_for(2)
    assert pipeline.batches == [["a"], ["slow"]]


def test_next_batch_is_told_ahead(pipeline: Pipeline, intake: Intake) -> None:
    intake.deliver(listing(*range(2 * BATCH + 1)))
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert pipeline.then == [names(range(BATCH, 2 * BATCH)), names(range(2 * BATCH, 2 * BATCH + 1)), []]


def test_cleaning_again_is_interrupted_by_dumps(pipeline: Pipeline, intake: Intake) -> None:
    intake.start()
    assert intake.wait_idle(PATIENCE)
    assert not pipeline.more()
    pipeline.free.clear()
    intake.deliver(change("a"))
    pipeline.wait_for(1)
    intake.deliver(change("b"))
    assert pipeline.more()
