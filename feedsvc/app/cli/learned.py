"""`feedsvc learned`: lists learned blocks; pins and vetoes them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from feedsvc.app.cli.common import ConfigOption, load, out
from feedsvc.store import Store
from feedsvc.store.learned import PINNED, VETOED
from feedsvc.text import printable

if TYPE_CHECKING:
    from feedsvc.store.learned import LearnedReader, LearnedRow

_CANDIDATE_DUMPS = 3  # a block that is seen in fewer dumps is not worth a line
_SAMPLE = 60  # characters
_KEY = 8  # digits that are shown, as in the ledger


def learned(
    source: Annotated[str | None, typer.Option("--source", help="Only blocks from this source.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Candidates too: blocks that recur and stay.")] = False,
    pin: Annotated[str | None, typer.Option("--pin", metavar="KEY", help="Always remove this block.")] = None,
    veto: Annotated[str | None, typer.Option("--veto", metavar="KEY", help="Never remove this block.")] = None,
    reset: Annotated[str | None, typer.Option("--reset", metavar="KEY", help="Undo --pin or --veto.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show the blocks that were learned from dumps; pin or veto one."""
    chosen = [(key, state) for key, state in ((pin, PINNED), (veto, VETOED), (reset, None)) if key is not None]
    if len(chosen) > 1:
        raise typer.BadParameter("give one of --pin, --veto, --reset")
    with closing(Store(load(config).store.url)) as store, store.writing() as writer:
        for key, state in chosen:
            for row in _find(writer.learned, key, source):
                writer.learned.rule(row, state)
        rows = writer.learned.rows(source, _CANDIDATE_DUMPS if everything else 0)
    if chosen:
        rows = [row for row in rows if row.block.startswith(chosen[0][0].removeprefix("learned-"))]
    table = Table("key", "source", "dumps", "sign", "state", "sample", box=None)
    for row in rows:
        cells = (row.block[:_KEY], row.source, f"{row.count}/{row.dumps}", row.sign, row.state, row.text[:_SAMPLE])
        table.add_row(*(Text(printable(cell)) for cell in cells))
    out.print(table)


def _find(tables: LearnedReader, key: str, source: str | None) -> list[LearnedRow]:
    """Return the block that a key means, in each source that it was seen in."""
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
