"""The layers hold, and the contracts that say so notice an import that was turned round."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

LINT = Path(sys.executable).with_name("lint-imports")

pytestmark = pytest.mark.skipif(
    not LINT.exists() and "FEEDSVC_REQUIRE" not in os.environ, reason="import-linter comes with `make lint`"
)


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        pytest.param("model", "", None, id="as it is"),
        pytest.param("model", "import feedsvc.errors", "Lower never imports higher", id="ground floor"),
        pytest.param("dumps/parse", "import feedsvc.store", "Lower never imports higher", id="dumps to store"),
        pytest.param(
            "store/schema", "import feedsvc.intake.ingest", "Lower never imports higher", id="store to ingest"
        ),
        pytest.param("http/app", "import feedsvc.app.config", "Lower never imports higher", id="config below service"),
        pytest.param("intake/ingest", "import feedsvc.app.daemon", "Lower never imports higher", id="ingest to daemon"),
        pytest.param("links", "import sqlalchemy", "Only store imports", id="database outside the store"),
        pytest.param("app/daemon", "import watchdog", "Only watch imports", id="watchdog outside watch"),
    ],
)
def test_contracts(tmp_path: Path, module: str, line: str, broken: str | None) -> None:
    shutil.copytree(ROOT / "feedsvc", tmp_path / "feedsvc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "feedsvc" / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = subprocess.run(
        [LINT, "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if broken is None:
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode != 0
        assert any(broken in text and "BROKEN" in text for text in done.stdout.splitlines()), done.stdout
