"""Shared by the commands: options, configuration, store, dump files, consoles."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from feedsvc.app.config import Config, load_config
from feedsvc.app.make import make_ingest
from feedsvc.errors import WatchError
from feedsvc.intake.queue import BATCH
from feedsvc.store import Store
from feedsvc.text import printable
from feedsvc.watch.files import scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from feedsvc.intake.ingest import Ingest
    from feedsvc.intake.write import Report
    from feedsvc.watch import Change, FileState

_CONFIG_PLACES = (Path("config.toml"), Path("/etc/feedsvc/config.toml"))
WRONG, MISUSED, IMPOSSIBLE = 1, 2, 3  # exit codes, see feedsvc.app.cli

# A program reads whole lines; COLUMNS asks for another width.
_UNBROKEN = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 10_000
out = Console(highlight=False, width=_UNBROKEN)
err = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="FEEDSVC_CONFIG",
        help="The configuration; by default config.toml here, then /etc/feedsvc/config.toml.",
    ),
]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Dump files, or folders of them.")]


def complain(message: str) -> None:
    """Print a message on standard error, as one line."""
    err.print(printable(message), markup=False, soft_wrap=True)


def write_json(value: Any) -> None:  # noqa: ANN401 - anything that JSON can hold
    """Write a value to standard output as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, indent=2) + "\n")


def locate(config: Path | None) -> Path:
    """Return the path of the configuration: as given, else the first that exists, else the first place."""
    return config or next((place for place in _CONFIG_PLACES if place.exists()), _CONFIG_PLACES[0])


def load(config: Path | None) -> Config:
    """Load the configuration, or the defaults if there is no file.

    Raises:
        ConfigError: It is wrong.
    """
    path = config or next((place for place in _CONFIG_PLACES if place.exists()), None)
    return load_config(path, os.environ)


@contextmanager
def opened(config: Config) -> Iterator[tuple[Store, Ingest]]:
    """Open the store and the pipeline into it.

    Raises:
        FeedsvcError: Rules or store are wrong.
    """
    with closing(Store(config.store.url)) as store, closing(make_ingest(config, store)) as ingest:
        yield store, ingest


def find_in(folder: str, *, recursive: bool = True) -> tuple[dict[str, FileState], frozenset[str]]:
    """Return the files below a folder, and the folders in it that cannot be read.

    Raises:
        WatchError: The folder itself cannot be read.
    """
    try:
        return scan(folder, recursive=recursive, interrupted=lambda: False)
    except OSError as error:
        raise WatchError(f"{folder}: cannot be read: {error.strerror}") from error


def find_files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield each file that `paths` name or hold, with its name relative to the given folder."""
    for path in paths:
        if path.is_dir():
            for found in sorted(find_in(str(path))[0]):
                yield Path(found).relative_to(path).as_posix(), Path(found)
        else:
            yield str(path), path


def take_in(ingest: Ingest, files: Sequence[Change]) -> list[Report]:
    """Take files in by batches, and show the progress on standard error."""
    reports: list[Report] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
    ) as progress:
        task = progress.add_task("taking dumps in", total=len(files))
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            reports += ingest.take(batch, then=files[start + BATCH : start + 2 * BATCH])
            progress.advance(task, len(batch))
    return reports
