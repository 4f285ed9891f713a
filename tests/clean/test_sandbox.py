"""Cleaning in processes of their own: real ones, which are slow, eat memory, are killed."""

from __future__ import annotations

import datetime as dt
import logging
import os
import pickle
import signal
import socket
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from places import SEEDS
from pools import Here
from waiting import wait_for

from feedsvc.clean import Cleaner, load_rules
from feedsvc.clean.learning.learned import Learned, LearnedBlock, Sign
from feedsvc.clean.sandbox import Cleaned, Job, Limits, Pool, Ticket, clean_job
from feedsvc.clean.sandbox.messages import ChildMessage, News, apply_news, load_message, make_news, receive, send
from feedsvc.clean.sandbox.process import Died, GaveWay, Process
from feedsvc.errors import BrokenDump, CleaningError, DumpError, NotADump, ProcessError
from feedsvc.model import Dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow

GENEROUS = Limits(seconds=60.0, memory=1 << 30)
STRICT = Limits(seconds=0.5, memory=1 << 30, patience=100.0)
# A pattern that takes twice the time for each more "x", until "y" comes.
RULES = '[[rule]]\nname = "for-ever"\nreason = "test"\ntext = ["(?:x+)+y"]\n'
ENDLESS = "x" * 60
PROMOTION = "Subscribe to us for more of the same, every day"


def job(name: str, body: str = "") -> Job:
    text = f"<!--1712180702000-->\n[{name}](https://example.org/{name})\n------\n\n<p>{body or name}</p>\n"
    return Job(f"/dumps/{name}.txt", text.encode(), 0)


def never() -> bool:
    return False


def titles(cleaned: Cleaned | None) -> list[str]:
    assert cleaned is not None
    return [article.title for _, article in cleaned.articles]


def reason(cleaned: Cleaned | None) -> str:
    assert cleaned is not None
    assert isinstance(cleaned.fault, CleaningError)
    assert cleaned.articles == ()
    return cleaned.fault.reason


@pytest.fixture(scope="module")
def cleaner(tmp_path_factory: pytest.TempPathFactory) -> Cleaner:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.toml").write_text(RULES, "utf-8")
    return Cleaner(load_rules(site_rules=True, folders=[folder]))


@contextmanager
def running(cleaner: Cleaner, limits: Limits = GENEROUS) -> Iterator[Process]:
    process = Process(cleaner, limits)
    try:
        process.get_ready(never)
        yield process
    finally:
        process.kill()


@contextmanager
def pooled(
    cleaner: Cleaner, limits: Limits = GENEROUS, *, number: int = 1, patience: float | None = None
) -> Iterator[Pool]:
    reports: list[tuple[str, str | None]] = []
    with closing(
        Pool(cleaner, limits, number=number, patience=patience, report=lambda *said: reports.append(said))
    ) as pool:
        yield pool
    assert reports == []


def done(pool: Pool, *jobs: Job) -> list[Ticket]:
    tickets = [pool.put(each) for each in jobs]
    pool.wait(tickets)
    return tickets


def find_children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text("ascii").split()}
    return found


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """Finds the processes that the test started; others may be there, such as multiprocessing's resource tracker."""
    before = find_children()
    return lambda: find_children() - before


# What a process gives


def test_process_cleans_as_this_one_does(cleaner: Cleaner) -> None:
    with running(cleaner) as process:
        for path in sorted(SEEDS.iterdir()):
            given = Job(str(path), path.read_bytes(), 5 * 10**9)
            assert process.clean(given, None, never) == clean_job(given, cleaner)


@pytest.mark.parametrize(
    ("data", "kind"), [(b"milk", NotADump), (b"<!--12", BrokenDump), (b"<!--1712180702000-->\n[a", BrokenDump)]
)
def test_faults_come_back_as_they_are(cleaner: Cleaner, data: bytes, kind: type[DumpError]) -> None:
    given = Job("/a.txt", data, 0)
    with running(cleaner) as process:
        cleaned = process.clean(given, None, never)
    here = clean_job(given, cleaner)
    assert type(cleaned.fault) is type(here.fault) is kind
    assert isinstance(cleaned.fault, DumpError)
    assert isinstance(here.fault, DumpError)
    assert (str(cleaned.fault), vars(cleaned.fault)) == (str(here.fault), vars(here.fault))


def test_nothing_comes_back_but_what_is_used(cleaner: Cleaner) -> None:
    body = "".join(f"<p>Paragraph {n} of a body that says so at length.</p>" for n in range(100))
    given = job("a", f'</p><!-- only the dump has this -->{body}<p data-x="nor this">')
    broken = replace(given, data=given.data + b"<!--12")
    for each in (given, broken):
        cleaned = clean_job(each, cleaner)
        assert [(position, article.title) for position, article in cleaned.articles] == [(0, "a")]
        answer = pickle.dumps(ChildMessage(cleaned), pickle.HIGHEST_PROTOCOL)
        assert b"only the dump has this" not in answer
        assert b"nor this" not in answer
        assert load_message(answer).cleaned is not None


def test_only_the_article_that_is_asked_for(cleaner: Cleaner) -> None:
    two = job("a").data + b"\n" + job("b").data
    for position, expected in ((None, ["a", "b"]), (0, ["a"]), (1, ["b"]), (2, [])):
        assert titles(clean_job(Job("/a.txt", two, 0, position), cleaner)) == expected


def test_restored_removals_stay(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(f'[[rule]]\nname = "p"\nreason = "test"\ntext = ["{PROMOTION}"]\n', "utf-8")
    cleaner = Cleaner(load_rules(site_rules=False, folders=[tmp_path]))
    given = job("a", f"An article that has more to say than that.</p><p>{PROMOTION}")
    with running(cleaner) as process:
        first = process.clean(given, None, never)
        ((_, article),) = first.articles
        assert PROMOTION not in article.content
        digests = frozenset(removal.digest for removal in article.removals)
        ((_, article),) = process.clean(replace(given, restored=digests), None, never).articles
    assert PROMOTION in article.content


def test_log_lines_reach_the_log_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "p"\nreason = "test"\ntext = ["\\\\w.*"]\n', "utf-8")
    cleaner = Cleaner(load_rules(site_rules=False, folders=[tmp_path]))
    with caplog.at_level(logging.WARNING), running(cleaner) as process:
        cleaned = process.clean(job("a", "</p><p>".join(f"Line number {n} of it" for n in range(20))), None, never)
    assert titles(cleaned) == ["a"]
    (record,) = [record for record in caplog.records if "stood back" in record.message]
    assert (record.name, record.levelno, vars(record)["path"]) == (
        "feedsvc.clean.cleaner",
        logging.WARNING,
        "/dumps/a.txt",
    )


def test_what_is_learned_is_told_when_it_changes() -> None:
    cleaner = Cleaner(load_rules(site_rules=False), learned=Learned())
    more = "".join(
        f"<p>Paragraph {n} of an article that has more to say than that, and does so here.</p>" for n in range(9)
    )
    given = job(
        "a",
        f"The first of its paragraphs, which says what all the others are going to be about.</p>{more}<p>{PROMOTION}",
    )
    ((_, article),) = clean_job(given, cleaner).articles
    block = next(each.block for each in article.sightings if PROMOTION.startswith(each.text))
    known = {"example.org": {block: LearnedBlock(block, Sign.PINNED, None, PROMOTION)}}
    with running(cleaner) as process:
        gone: list[bool] = []
        for learned in (Learned(), Learned(known, 1), Learned(known, 1), Learned({}, 2), Learned({"other": {}}, 3)):
            ((_, article),) = process.clean(given, learned, never).articles
            gone.append(PROMOTION not in article.content)
    assert gone == [False, True, True, False, False]


def test_news_are_of_the_sources_that_changed() -> None:
    one = {"a": LearnedBlock("a", Sign.LINKS, "f", "A"), "b": LearnedBlock("b", Sign.TITLE, None, "B")}
    before = Learned({"x": one, "y": one, "z": one}, 3)
    now = Learned({"x": one, "y": {"a": one["a"]}, "new": one}, 4)
    news = make_news(before, now)
    assert set(news.sources) == {"y", "z", "new"}
    assert apply_news(before, news) == now


# Bounds


def test_pattern_without_an_end(cleaner: Cleaner) -> None:
    with pooled(cleaner, STRICT) as pool:
        bad, good = done(pool, job("bad", ENDLESS), job("good"))
    assert reason(bad.cleaned) == "took more than 0.5 s to clean; mend or remove it, or raise [clean] seconds"
    assert bad.tries == 1
    assert titles(good.cleaned) == ["good"]


def test_time_is_the_processors_and_not_the_clocks(cleaner: Cleaner) -> None:
    with running(cleaner, STRICT) as process:
        os.kill(process.pid, signal.SIGSTOP)
        timer = threading.Timer(2 * STRICT.seconds, os.kill, (process.pid, signal.SIGCONT))
        timer.start()
        assert titles(process.clean(job("good"), None, never)) == ["good"]
        timer.join()


def test_process_that_stands_still_is_ended(cleaner: Cleaner) -> None:
    with running(cleaner, Limits(seconds=0.1, patience=5.0)) as process:
        os.kill(process.pid, signal.SIGSTOP)
        assert "took more than 0.1 s" in reason(process.clean(job("a"), None, never))
        assert not process.alive


def test_input_that_eats_memory(cleaner: Cleaner) -> None:
    limits = Limits(seconds=60.0, memory=64 << 20)
    with pooled(cleaner, limits) as pool:
        bad, good = done(pool, job("bad", "<b>x</b> " * 100_000), job("good"))
    said = reason(bad.cleaned)
    assert said == "needs more than 64 MiB of memory to clean; mend or remove it, or raise [clean] memory"
    assert titles(good.cleaned) == ["good"]


def test_large_dump_within_bounds_leaves_a_new_process(cleaner: Cleaner) -> None:
    with running(cleaner, Limits(seconds=60.0, growth=4 << 20)) as process:
        assert titles(process.clean(job("small"), None, never)) == ["small"]
        assert process.alive
        assert titles(process.clean(job("large", "<b>x</b> " * 10_000), None, never)) == ["large"]
        assert not process.alive  # what it took is given back


# Processes that end


def test_process_killed_in_the_middle_is_started_anew(cleaner: Cleaner, children: Callable[[], set[int]]) -> None:
    with pooled(cleaner) as pool:
        (first,) = done(pool, job("first"))
        (pid,) = children()
        ticket = pool.put(job("victim", ENDLESS[:22]))
        wait_for(lambda: ticket.began or ticket.cleaned)
        os.kill(pid, signal.SIGKILL)
        pool.wait([ticket])
        assert titles(first.cleaned) == ["first"]
        assert titles(ticket.cleaned) == ["victim"]
        assert children() != {pid}


def test_dump_that_ends_the_process_twice_is_at_fault(cleaner: Cleaner, children: Callable[[], set[int]]) -> None:
    with pooled(cleaner) as pool:
        ticket = pool.put(job("bad", ENDLESS))
        for tries in (1, 2):
            wait_for(lambda: ticket.tries == tries and ticket.began is not None)  # noqa: B023 - asked at once
            (pid,) = children()
            os.kill(pid, signal.SIGSEGV)
        (good,) = done(pool, job("good"))
        pool.wait([ticket])
    assert reason(ticket.cleaned) == (
        "ends the process that cleans it: signal 11 (Segmentation fault); mend or remove it"
    )
    assert titles(good.cleaned) == ["good"]


def test_idle_process_that_was_killed_blames_nobody(cleaner: Cleaner, children: Callable[[], set[int]]) -> None:
    with pooled(cleaner) as pool:
        done(pool, job("first"))
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z" if Path(f"/proc/{pid}").exists() else True
        )
        (second,) = done(pool, job("second"))
        assert titles(second.cleaned) == ["second"]
        assert second.tries == 1


def test_signals_of_a_terminal_are_for_the_daemon(cleaner: Cleaner) -> None:
    with running(cleaner) as process:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(process.pid, number)
        assert titles(process.clean(job("a"), None, never)) == ["a"]
        assert os.getpgid(process.pid) != os.getpgid(0)  # whom Ctrl-C is for
        assert os.getsid(process.pid) == os.getsid(0)  # or niceness would not count


def test_process_is_less_urgent_and_the_first_to_go(cleaner: Cleaner) -> None:
    with running(cleaner) as process:
        assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 5
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "1000"
        assert "Max core file size        0" in Path(f"/proc/{process.pid}/limits").read_text()


def test_closing_does_not_wait_for_what_is_in_hand(cleaner: Cleaner, children: Callable[[], set[int]]) -> None:
    with pooled(cleaner) as pool:
        ticket = pool.put(job("bad", ENDLESS))
        wait_for(lambda: ticket.began)
    assert ticket.cleaned is None
    assert children() == set()


def test_process_ends_when_asked_for_nothing_more(cleaner: Cleaner) -> None:
    process = Process(cleaner, GENEROUS)
    process.get_ready(never)
    process.end()
    assert not process.alive


# Who gets a process


@pytest.mark.parametrize("number", [1, 2])
def test_order_and_results_do_not_depend_on_the_number(cleaner: Cleaner, number: int) -> None:
    jobs = [job(str(n), f"Article {n}") for n in range(40)]
    with pooled(cleaner, number=number) as pool:
        found = [ticket.cleaned for ticket in done(pool, *jobs)]
    assert found == [ticket.cleaned for ticket in done(Here(cleaner), *jobs)]


def test_slow_job_does_not_hold_up_the_others(cleaner: Cleaner) -> None:
    limits = Limits(seconds=30.0)
    with pooled(cleaner, limits, number=2, patience=0.2) as pool:
        bad = [pool.put(job(f"bad-{n}", ENDLESS)) for n in range(2)]
        good = [pool.put(job(str(n))) for n in range(20)]
        pool.wait([*bad, *good], patience=0.2)
        assert [titles(ticket.cleaned) for ticket in good] == [[str(n)] for n in range(20)]
        assert [ticket.cleaned for ticket in bad] == [None, None]
        late = done(pool, job("late"))
        assert titles(late[0].cleaned) == ["late"]
        assert sum(ticket.began is not None for ticket in bad) <= 1


def test_what_is_not_urgent_waits(cleaner: Cleaner) -> None:
    with pooled(cleaner) as pool:
        tickets = [pool.put(job(f"later-{n}"), urgent=False) for n in range(50)]
        urgent = pool.put(job("urgent"))
        pool.wait([urgent])
        assert not all(ticket.cleaned for ticket in tickets)
        pool.wait(tickets)
        assert all(ticket.cleaned for ticket in tickets)


def test_dropped_job_is_left(cleaner: Cleaner) -> None:
    with pooled(cleaner) as pool:
        bad, waiting = pool.put(job("bad", ENDLESS)), pool.put(job("never"))
        wait_for(lambda: bad.began)
        pool.drop(waiting)
        pool.drop(bad)
        assert titles(done(pool, job("good"))[0].cleaned) == ["good"]
        assert (bad.cleaned, waiting.cleaned) == (None, None)


def test_waiting_ends_when_interrupted(cleaner: Cleaner) -> None:
    with pooled(cleaner) as pool:
        ticket = pool.put(job("bad", ENDLESS))
        pool.wait([ticket], lambda: ticket.began is not None)
        assert ticket.cleaned is None


# What cannot be started, and what cannot be trusted


def test_process_that_cannot_be_started(cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedsvc.clean.sandbox.pool.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("sys.executable", "/bin/false")
    with closing(Pool(cleaner, GENEROUS, number=1)) as pool, pytest.raises(ProcessError, match="exit code 1"):
        done(pool, job("a"))
    said: list[tuple[str, str | None]] = []
    with closing(Pool(cleaner, GENEROUS, number=1, report=lambda *each: said.append(each))) as pool:
        ticket = pool.put(job("a"))
        wait_for(lambda: len(said) > 5)
        assert ticket.cleaned is None
        monkeypatch.undo()
        pool.wait([ticket])
        assert titles(ticket.cleaned) == ["a"]
    assert said[0] == ("cleaning", "the process that cleans cannot be started: exit code 1")
    assert said[-1] == ("cleaning", None)


def test_waiting_to_get_ready_can_be_given_up(cleaner: Cleaner) -> None:
    process = Process(cleaner, GENEROUS)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(GaveWay):
        process.get_ready(lambda: True)
    assert not process.alive


@pytest.mark.parametrize(
    "value",
    [
        os.system,
        Path("/"),
        5,
        Learned(),
        dt.date(2024, 1, 1),
        ChildMessage(5),  # type: ignore[arg-type]
        ChildMessage(Cleaned(((1, 2),))),  # type: ignore[arg-type]
        Dump(path="/", title="a", link=None, published=None, html=""),
        ChildMessage(Cleaned((), ValueError())),  # type: ignore[arg-type]
        ChildMessage(logs=("x",)),  # type: ignore[arg-type]
    ],
)
def test_answer_is_made_of_its_own_classes(value: object) -> None:
    with pytest.raises(ValueError, match="no answer"):
        load_message(pickle.dumps(value))


def test_bytes_that_are_no_answer() -> None:
    with pytest.raises(ValueError, match="no answer"):
        load_message(b"\x80nonsense")


def test_messages_are_whole_or_none() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, ChildMessage())
        assert load_message(receive(theirs)) == ChildMessage()
        send(ours, News(1))
        with pytest.raises(EOFError, match="bytes"):
            receive(theirs, 3)
        ours.sendall(b"\0\0")
        ours.close()
        with pytest.raises(EOFError):
            receive(theirs)


def test_process_that_ended_takes_nothing(cleaner: Cleaner) -> None:
    with running(cleaner) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(Died, match="signal 9"):
            process.clean(job("a"), None, never)


@pytest.mark.parametrize(
    ("limits", "said", "expected"),
    [
        (Limits(5), Limits(10).too_slow, True),
        (Limits(10), Limits(10).too_slow, False),
        (Limits(memory=1 << 28), Limits(memory=1 << 29).too_large, True),
        (Limits(memory=1 << 28), Limits(memory=1 << 28).too_large, False),
        (Limits(), "not UTF-8", False),
    ],
)
def test_reasons_of_other_bounds_are_outgrown(limits: Limits, said: str, expected: bool) -> None:
    assert limits.outgrown(said) is expected
