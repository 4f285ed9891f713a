"""docs/architecture.md is complete and agrees with the code; each public name has one home."""

from __future__ import annotations

import ast
import re
import signal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.harness import Daemon
from places import ROOT
from typer.main import get_command
from waiting import wait_for

from feedsvc.app import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = ROOT / "feedsvc"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
SOURCES = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
SHORT_LIVED = {"resolve HOST"}

# Python runs this at the start of the daemon, which then lists its threads at a signal.
LIST_THREADS = """\
import os, signal, threading

def show(*_):
    path = os.environ["THREAD_NAMES"]
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write("\\n".join(thread.name for thread in threading.enumerate()))
    os.replace(path + ".new", path)

signal.signal(signal.SIGUSR1, show)
"""


def table(title: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head."""
    below = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines() if line.startswith("| `")
    ]


ROOMS = {row[0].strip("`") for row in table("The rooms")}
THREADS = {row[0].strip("`") for row in table("Threads and processes")}


def test_every_room_is_described_and_no_other() -> None:
    there = {f"{path.parent.relative_to(PACKAGE)}/" for path in SOURCES if path.parent != PACKAGE}
    assert there - {"store/migrations/versions/"} == ROOMS


def test_rooms_import_what_the_page_says() -> None:
    allowed = {row[0].strip("`/"): set(row[2].split(", ")) for row in table("The rooms")}
    for path, text in SOURCES.items():
        room = str(path.parent.relative_to(PACKAGE)).removesuffix("/versions")
        if room == "." or "all rooms" in allowed[room]:
            continue
        for target in re.findall(r"^ *from feedsvc\.([\w.]+) import", text, re.MULTILINE):
            top = target.split(".")[0]
            if top != room.split("/")[0]:
                assert ("ground" if (PACKAGE / f"{top}.py").exists() else top) in allowed[room], (
                    f"{path} imports {target}"
                )
            elif room in {"feeds/formats", "feeds/pages"}:
                assert target.split(".")[1] in {room.split("/")[1], *allowed[room]}, f"{path} imports {target}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "sitecustomize.py").write_text(LIST_THREADS, "utf-8")
    daemon = Daemon(
        tmp_path,
        {
            "base_url": "http://feeds.example.org",
            "websub": {"hubs": ["http://127.0.0.1:9/"], "allow_private": True},
        },
        PYTHONPATH=str(tmp_path),
        THREAD_NAMES=str(tmp_path / "names"),
    )
    try:
        daemon.start()
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()


@pytest.mark.slow
def test_every_thread_and_process_is_described_and_no_other(daemon: Daemon) -> None:
    seen: set[str] = set()
    names = daemon.home / "names"

    def all_seen() -> bool:
        daemon.get("/search?q=dumps")
        daemon.process.send_signal(signal.SIGUSR1)
        wait_for(names.exists)  # one signal at a time: another would interrupt the handler
        numbered = (re.sub(r"\d+", "N", name) for name in names.read_text("utf-8").splitlines())
        seen.update("resolve HOST" if name.startswith("resolve ") else name for name in numbered)
        names.unlink()
        return seen >= THREADS - SHORT_LIVED

    wait_for(all_seen)
    assert seen <= THREADS

    children = Path(f"/proc/{daemon.process.pid}/task")
    processes = [pid for task in children.iterdir() for pid in (task / "children").read_text("ascii").split()]
    assert len(processes) == 2
    for process in processes:
        command = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
        assert f"python {' '.join(command[-3:-1])}" in PAGE


def test_every_thread_that_the_code_starts_is_described() -> None:
    for path, text in SOURCES.items():
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {"threading.Thread", "Thread"}:
                names = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
                assert names, f"{path}:{call.lineno}: a thread without a name"
                assert any(fnmatchcase(name, pattern(names[0])) for name in THREADS), f"{path}:{call.lineno}"


def pattern(name: ast.expr) -> str:
    """The name of a thread, with a star for each part that is put in."""
    parts = name.values if isinstance(name, ast.JoinedStr) else [name]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)


def test_what_ends_a_thread_exists() -> None:
    methods = {
        f"{defined.name}.{function.name}"
        for text in SOURCES.values()
        for defined in ast.walk(ast.parse(text))
        if isinstance(defined, ast.ClassDef)
        for function in defined.body
        if isinstance(function, ast.FunctionDef)
    }
    named = {name for row in table("Threads and processes") for name in re.findall(r"\b[A-Z]\w+\.\w+", row[-1])}
    assert named
    assert named <= methods


def test_every_command_is_described_with_its_file() -> None:
    commands: dict[str, Any] = vars(get_command(cli.app))["commands"]
    there = {
        f"{name} {inner}".strip(): command.callback.__module__
        for name, group in commands.items()
        for inner, command in vars(group).get("commands", {"": group}).items()
    }
    files = {row[0].strip("`"): row[1].strip("`") for row in table("Commands")}
    modules = {
        name: f"feedsvc/{file}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, file in files.items()
    }
    assert modules == there


@pytest.mark.parametrize("page", [PAGE, GUIDE], ids=["architecture", "contributing"])
def test_files_that_are_named_exist(page: str) -> None:
    named = set(re.findall(r"`(\.?\w[\w./-]*(?:\.(?:py|toml|md|html|css|yml|conf)|/))`", page))
    assert len(named) > 5
    missing = [name for name in named if not any((ROOT / top / name).exists() for top in ("", "feedsvc", "benchmarks"))]
    assert missing == []


def test_names_that_are_given_occur_in_the_code() -> None:
    named = set(re.findall(r"`(\w*_\w*)`", PAGE)) - THREADS
    code = "\n".join(SOURCES.values())
    assert {name for name in named if not re.search(rf"\b{name}", code)} == set()


def test_the_page_is_in_plain_words() -> None:
    words = re.findall(r"\w+", PAGE.lower())
    clauses = sum(words.count(word) for word in ("what", "which", "whatever", "whichever", "whose", "whoever"))
    assert 1000 * clauses <= 5 * len(words)


def test_each_public_name_is_defined_once() -> None:
    homes: dict[str, list[str]] = {}
    for path, text in SOURCES.items():
        if "migrations" in path.parts:
            continue
        for defined in ast.parse(text).body:
            if isinstance(defined, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                homes.setdefault(defined.name, []).append(str(path.relative_to(PACKAGE)))
    twice = {name: files for name, files in homes.items() if len(files) > 1 and not name.startswith("_")}
    assert twice.keys() <= {"main"}, twice
