"""The locks hold what pyproject.toml asks for, agree with each other, and are explained in the docs."""

from __future__ import annotations

import itertools
import re
import tomllib

import pytest
from places import ROOT

PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def load_lock(name: str) -> set[tuple[str, str]]:
    text = (ROOT / "locks" / f"{name}.txt").read_text("utf-8")
    return {(match["name"], match["version"]) for match in PINNED.finditer(text)}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=,; ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("run", PROJECT["dependencies"]),
        ("test", PROJECT["optional-dependencies"]["test"]),
        ("dev", PROJECT["optional-dependencies"]["dev"]),
        ("lowest", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]),
    ],
)
def test_a_lock_has_what_is_asked_for(lock: str, requirements: list[str]) -> None:
    assert names(requirements) - {"feedsvc"} <= {name for name, _ in load_lock(lock)}


def test_the_locks_build_upon_each_other() -> None:
    assert load_lock("run") < load_lock("test") < load_lock("dev")


@pytest.mark.parametrize("lock", ["run", "test", "dev"])
def test_everything_in_a_lock_has_a_hash(lock: str) -> None:
    lines = (ROOT / "locks" / f"{lock}.txt").read_text("utf-8").splitlines()
    for line, following in itertools.pairwise(lines):
        if PINNED.match(line):
            assert line.endswith("\\")
            assert following.startswith("    --hash=sha256:")


def test_the_docs_say_why_each_package_is_there() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    explained = re.findall(r"^\| (?!package)([a-z0-9-]+) \|.*\|.*\|$", text, re.MULTILINE)
    assert sorted(explained) == sorted({name for name, _ in load_lock("run")})
    chosen = text.partition("## Chosen")[2].partition("##")[0]
    assert names(PROJECT["dependencies"]) == set(re.findall(r"^\| (?!package)([a-z0-9-]+)", chosen, re.MULTILINE))
