"""The rooms' contracts hold, and they notice an import that is turned round."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LINT = os.path.join(os.path.dirname(sys.executable), "lint-imports")  # noqa: PTH118, PTH120
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]

# Importer, imported: each is against a contract.
TURNED = [
    # up a floor
    ("model", "errors"),
    ("links", "runtime.clock"),
    ("runtime.clock", "watch"),
    ("dumps.parse", "clean"),
    ("watch.watcher", "store"),
    ("clean.cleaner", "store"),
    ("store.schema", "intake"),
    ("feeds.publisher", "http"),
    ("intake.ingest", "ops"),
    ("http.app", "app.config"),
    ("ops.status", "app.service"),
    # between neighbours on one floor
    ("errors", "links"),
    ("dumps.parse", "runtime.clock"),
    ("clean.cleaner", "watch"),
    ("intake.ingest", "feeds"),
    ("feeds.publisher", "intake"),
    ("http.app", "ops.status"),
    ("ops.status", "http"),
    # inside feeds
    ("feeds.publisher", "feeds.assemble"),
    ("feeds.formats.atom", "store"),
    ("feeds.pages.pages", "store"),
    # past the neighbours
    ("store.schema", "dumps"),
    ("feeds.publisher", "dumps"),
    ("http.app", "store"),
    ("ops.status", "clean"),
    ("watch.watcher", "dumps"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.path.exists(LINT) and "TESTS_REQUIRE" not in os.environ,  # noqa: PTH110
        reason="import-linter comes with `make lint`",
    ),
]


def _lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "feedsvc", tmp_path / "feedsvc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _protected() -> list[tuple[str, str]]:
    """Each outside package with a module that may not import it."""
    pairs = []
    for contract in CONTRACTS:
        for package in contract.get("protected_modules", []):
            outside = "links" if contract["allowed_importers"] != ["feedsvc.links"] else "text"
            pairs.append((outside, package))
    return pairs


def _append(checkout: Path, module: str, imported: str) -> None:
    path = checkout / "feedsvc" / f"{module.replace('.', '/')}.py"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")


def test_contracts_hold(checkout: Path) -> None:
    done = _lint(checkout)
    assert done.returncode == 0, done.stdout


def test_turned_imports_break_them(checkout: Path) -> None:
    imports = [(module, f"feedsvc.{imported}") for module, imported in TURNED] + _protected()
    for module, imported in imports:
        _append(checkout, module, imported)
    done = _lint(checkout)
    assert done.returncode != 0
    said = set(re.findall(r"(feedsvc\S*) -> (\S+) \(l\.\d+", done.stdout))
    assert {(f"feedsvc.{module}", imported) for module, imported in imports} <= said
    broken = set(re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE))
    assert broken == {contract["name"] for contract in CONTRACTS}


def test_each_outside_package_has_a_room() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {re.split(r"[<>=]", line)[0].replace("-", "_") for line in project["dependencies"]}
    named = {package for contract in CONTRACTS for package in contract.get("protected_modules", [])}
    below = {"httptools", "uvloop"}  # uvicorn imports them
    assert {{"beautifulsoup4": "bs4", "pyyaml": "yaml"}.get(name, name) for name in needed} == named | below
