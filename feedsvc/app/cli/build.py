"""`feedsvc build`: writes all feeds and pages as static files."""

from __future__ import annotations

import logging
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, complain, find_in, load, opened, out, take_in
from feedsvc.errors import WatchError
from feedsvc.feeds.archives import Archives
from feedsvc.feeds.assemble import Assembler
from feedsvc.feeds.export import build_site, site_pages
from feedsvc.feeds.guard import Guard
from feedsvc.feeds.resources import MAX_AGE
from feedsvc.intake.queue import BATCH
from feedsvc.runtime.clock import read_clock
from feedsvc.runtime.logs import set_up_logs
from feedsvc.text import printable
from feedsvc.watch import Listing


def build(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", file_okay=False, help="The folder that they are written to.")
    ],
    config: ConfigOption = None,
) -> None:
    """Take in new dumps, then write all feeds and pages as static files."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    settings = load(config)
    base_url = settings.base_url
    if base_url is None:
        base_url = f"http://{settings.server.listen}"
        complain(f"feedsvc: base_url is not set, the feed will say {base_url}")
    with opened(settings) as (store, ingest):
        missing = False
        for directory in settings.watch.directories:
            try:
                found, unreadable = find_in(directory, recursive=settings.watch.recursive)
            except WatchError as error:  # entries in the store can be written all the same
                complain(f"feedsvc: {error}")
                missing = True
            else:
                take_in(ingest, ingest.compare(Listing(directory, found, frozenset(), unreadable)))
        while ingest.reclean(BATCH):  # by the blocks that the last of them taught
            pass
        guard = Guard(store, _warn)
        guard.look_back()
        archives = Archives(store, max_age=MAX_AGE, admit=guard.admit)
        archives.drop_gone(read_clock())
        assembler = Assembler(store, settings.plan, archives=archives, admit=guard.admit)
        assembler.refresh(read_clock())
        pages = site_pages(
            store, assembler, base_url, read_clock(), archives=archives, guard=guard, private=settings.restrictions
        )
        files = build_site(folder, pages)
        guard.save(read_clock())
        assembler.save()
    out.print(f"{files} files in {printable(str(folder))}", markup=False, soft_wrap=True)
    if missing:
        raise typer.Exit(WRONG)


def _warn(_key: str, message: str | None) -> None:
    if message:
        complain(f"feedsvc: {message}")
