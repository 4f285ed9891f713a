"""`feedsvc restore`: brings a removal back."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from feedsvc.app.cli.common import ConfigOption, load, opened, out
from feedsvc.intake.restore import restore_removal
from feedsvc.runtime.logs import set_up_logs
from feedsvc.text import printable


def restore(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's key, id or link.")],
    removal: Annotated[int, typer.Argument(metavar="REMOVAL", help="The number that `feedsvc removed` shows.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let it go again.")] = False,
    config: ConfigOption = None,
) -> None:
    """Bring something that cleaning removed back into its entry, for good."""
    set_up_logs(sys.stderr, level=logging.WARNING)
    with opened(load(config)) as (store, ingest):
        item = restore_removal(store, ingest, entry, removal, undo=undo)
    shown = f"{item.entry.key} {item.position} {item.removal.rule}: {item.removal.text or item.removal.html}"
    out.print("restored" if item.removal.restored else "goes", printable(shown)[:200], markup=False, soft_wrap=True)
