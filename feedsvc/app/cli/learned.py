"""`feedsvc learned`: what was learned from dumps, and a say in it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from feedsvc.app.cli.common import ConfigOption, load, out
from feedsvc.app.cli.show import printable
from feedsvc.store import Store
from feedsvc.store.learned import PINNED, VETOED

if TYPE_CHECKING:
    from feedsvc.store.learned import LearnedRow, LearnedTables

__all__ = ["learned"]

CANDIDATE_DUMPS = 3  # what is seen in fewer is not worth a line
SAMPLE = 60  # characters
KEY = 8  # digits that are shown, as in the ledger


def learned(
    source: Annotated[str | None, typer.Option("--source", help="Only what is learned from this source.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Candidates too: what recurs and stays.")] = False,
    pin: Annotated[str | None, typer.Option("--pin", metavar="KEY", help="Take this block out from now on.")] = None,
    veto: Annotated[str | None, typer.Option("--veto", metavar="KEY", help="Never take this block out.")] = None,
    reset: Annotated[str | None, typer.Option("--reset", metavar="KEY", help="Undo --pin or --veto.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show what was learned from dumps; pin or veto a block."""
    chosen = [(key, state) for key, state in ((pin, PINNED), (veto, VETOED), (reset, None)) if key is not None]
    if len(chosen) > 1:
        raise typer.BadParameter("give one of --pin, --veto, --reset")
    with closing(Store(load(config).store.url)) as store, store.writing() as writer:
        for key, state in chosen:
            for row in _find(writer.learned, key, source):
                writer.learned.rule(row, state)
        rows = writer.learned.rows(source, CANDIDATE_DUMPS if everything else 0)
    if chosen:
        rows = [row for row in rows if row.block.startswith(chosen[0][0].removeprefix("learned-"))]
    table = Table("key", "source", "dumps", "sign", "state", "sample", box=None)
    for row in rows:
        cells = (row.block[:KEY], row.source, f"{row.count}/{row.dumps}", row.sign, row.state, row.text[:SAMPLE])
        table.add_row(*(Text(printable(cell)) for cell in cells))
    out.print(table)


def _find(tables: LearnedTables, key: str, source: str | None) -> list[LearnedRow]:
    """The block that a key means, in each source that it was seen in.

    Raises:
        BadParameter: No block has this key, or more than one has.
    """
    digits = key.removeprefix("learned-")
    rows = [row for row in tables.rows(source, 1) if digits and row.block.startswith(digits)]
    blocks = {row.block for row in rows}
    if not blocks:
        raise typer.BadParameter(f"no block has the key {printable(key)}; `feedsvc learned --all` shows them")
    if len(blocks) > 1:
        raise typer.BadParameter(
            f"{len(blocks)} blocks have a key that begins so; give more of: {', '.join(sorted(blocks))}"
        )
    return rows
