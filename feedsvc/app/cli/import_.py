"""`feedsvc import`: takes many dumps into the store at once."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, Paths, complain, find_files, load, opened, out, take_in
from feedsvc.model import Outcome
from feedsvc.runtime.logs import set_up_logs
from feedsvc.watch import Change

_NICENESS = 10  # a daemon beside it goes first


def import_(paths: Paths, config: ConfigOption = None) -> None:
    """Take many dumps into the store at once."""
    os.nice(_NICENESS)
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = load(config)
    # As the watcher names them: links stay, ".." goes.
    named = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() follows links
    files = [Change(str(path), gone=False) for _, path in find_files(named)]
    with opened(settings) as (_, ingest):
        reports = take_in(ingest, files)
    counts = {outcome: sum(report.outcome is outcome for report in reports) for outcome in Outcome}
    known = len(reports) - sum(counts.values())
    out.print(", ".join(f"{outcome}: {count}" for outcome, count in counts.items()) + f", known: {known}")
    refused = [report for report in reports if report.outcome is Outcome.QUARANTINED]
    for report in refused:
        complain(f"{report.path}: {report.reason or ''}")
    if refused:
        raise typer.Exit(WRONG)
