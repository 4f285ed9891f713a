"""The tables of learning: the counts of each source, and the blocks learned from them.

The census itself is `feedsvc.clean.learning.census`; here it is handed the rows that a few dumps concern, and its own
are written back. Rules for forgetting are the census's, said once more in SQL for the rows that it was not handed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from feedsvc.clean.learning.census import BUCKET, BlockCount, ShapeCount, SourceCensus
from feedsvc.clean.learning.learned import Learned, LearnedBlock, Sign
from feedsvc.store.base import Tables
from feedsvc.store.schema import entries, learned_blocks, learned_sources, sighted_blocks, sighted_shapes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from feedsvc.model import Sighting

LEARNED, PINNED, VETOED, CANDIDATE = "learned", "pinned", "vetoed", "candidate"

_BLOCK_KEY: Final = [sighted_blocks.c[name] for name in ("block", "shape")]
_BLOCK_COUNTS: Final = [sighted_blocks.c[field.name] for field in fields(BlockCount)]
_HALVED: Final = ("count", "missed", "edge", "closes", "leads", "same", "seen", "fresh")


@dataclass(frozen=True, slots=True)
class LearnedRow:
    """A block as people are shown it.

    Attributes:
        state: LEARNED, PINNED, VETOED or CANDIDATE.
        sign: Evidence that it is no article; "" for a candidate.
        count: Dumps that it was seen in, of `dumps` that were counted.
        text: A sample.
    """

    source: str
    block: str
    state: str
    sign: str
    count: int
    dumps: int
    text: str


class LearnedReader(Tables):
    """The blocks that are learned, and the candidates."""

    def version(self) -> int:
        """The number of changes of the learned blocks, so far."""
        return self._connection.scalar(sa.select(sa.func.sum(learned_sources.c.changes))) or 0

    def load(self) -> Learned:
        """The blocks that are learned or pinned."""
        sources: dict[str, dict[str, LearnedBlock]] = {}
        rows = self._connection.execute(sa.select(learned_blocks).where(learned_blocks.c.state != VETOED))
        for row in rows:
            block = LearnedBlock(row.block, Sign(row.sign), row.links, row.text)
            sources.setdefault(row.source, {})[row.block] = block
        return Learned(sources, self.version())

    def rows(self, source: str | None, fewest: int) -> list[LearnedRow]:
        """Blocks of a source or of all: learned, pinned, vetoed, and candidates seen in `fewest` dumps (0: none)."""
        dumps = {row.source: row.dumps for row in self._connection.execute(sa.select(learned_sources))}
        ruled = {
            (row.source, row.block): row
            for row in self._connection.execute(sa.select(learned_blocks))
            if source in (None, row.source)
        }
        total = sa.func.sum(sighted_blocks.c.count).label("total")
        query = sa.select(
            sighted_blocks.c.source, sighted_blocks.c.block, total, sa.func.max(sighted_blocks.c.text).label("text")
        ).group_by(sighted_blocks.c.source, sighted_blocks.c.block)
        if source is not None:
            query = query.where(sighted_blocks.c.source == source)
        found = {}
        for row in self._connection.execute(query):
            key = row.source, row.block
            known = ruled.get(key)
            if known is not None or (fewest and row.total >= fewest):
                state, sign = (CANDIDATE, "") if known is None else (known.state, known.sign)
                found[key] = LearnedRow(row.source, row.block, state, sign, row.total, dumps[row.source], row.text)
        for key, known in ruled.items():  # not seen lately
            if key not in found:
                found[key] = LearnedRow(*key, known.state, known.sign, 0, dumps.get(known.source, 0), known.text)
        return sorted(found.values(), key=lambda each: (each.source, -each.count, each.block))


class LearnedWriter(LearnedReader):
    """The same, counting, and decisions of people."""

    def count(self, source: str, articles: Sequence[Sequence[Sighting]], learned: Learned) -> bool:
        """Count articles, each by its sightings, that were added; true if other blocks are learned from now on.

        `source` is as `census_source` names it, `learned` are the blocks that are learned at present.
        """
        row = self._connection.execute(
            sa.select(learned_sources).where(learned_sources.c.source == source)
        ).one_or_none()
        if row is None:
            self._connection.execute(learned_sources.insert().values(source=source, dumps=0, changes=0))
        census = SourceCensus(0 if row is None else row.dumps)
        blocks = {each.block for article in articles for each in article if each.block}
        self._hand_over(census, source, blocks, {each.shape for article in articles for each in article})
        touched: set[tuple[str, str]] = set()
        for article in articles:
            touched.update((each.block, each.shape) for each in article)
            if census.add(article):
                self._write_counts(census, source, touched)
                touched.clear()
                self._forget(source, census)
                census.forget()
        self._write_counts(census, source, touched)
        here = learned_sources.c.source == source
        self._connection.execute(learned_sources.update().where(here).values(dumps=census.dumps))
        return self._settle(source, census, blocks, learned)

    def _hand_over(self, census: SourceCensus, source: str, blocks: Collection[str], shapes: Collection[str]) -> None:
        """Load the counts of these blocks, of these shapes, and of all shapes that the blocks were seen in."""
        query = sa.select(*_BLOCK_KEY, *_BLOCK_COUNTS).where(sighted_blocks.c.source == source)
        for row in self._select_in(query, sighted_blocks.c.block, sorted(blocks)):
            census.blocks[row.block, row.shape] = BlockCount(*row[len(_BLOCK_KEY) :])
        reached = {*shapes, *(shape for _, shape in census.blocks)}
        query = sa.select(sighted_shapes).where(sighted_shapes.c.source == source)
        for row in self._select_in(query, sighted_shapes.c.shape, sorted(reached)):
            census.shapes[row.shape] = ShapeCount(row.seen, row.fresh, row.missed)

    def _write_counts(self, census: SourceCensus, source: str, touched: Collection[tuple[str, str]]) -> None:
        blocks = [
            {"source": source, "block": block, "shape": shape} | asdict(census.blocks[block, shape])
            for block, shape in touched
            if (block, shape) in census.blocks
        ]
        shapes = [
            {"source": source, "shape": shape} | asdict(census.shapes[shape])
            for shape in {shape for _, shape in touched}
            if shape in census.shapes
        ]
        self._replace(sighted_blocks, [(source, row["block"], row["shape"]) for row in blocks], blocks)
        self._replace(sighted_shapes, [(source, row["shape"]) for row in shapes], shapes)

    def _forget(self, source: str, census: SourceCensus) -> None:
        bucket = census.dumps // BUCKET
        if census.is_old:
            bucket //= 2
        for table, count in ((sighted_blocks, "count"), (sighted_shapes, "seen")):
            here = table.c.source == source
            if census.is_old:
                halved = {name: table.c[name] // 2 for name in _HALVED if name in table.c}
                self._connection.execute(table.update().where(here).values(halved))
            self._connection.execute(table.delete().where(here, table.c[count] + table.c.missed <= bucket))

    def _settle(self, source: str, census: SourceCensus, blocks: Collection[str], learned: Learned) -> bool:
        """Learn or forget these blocks, as the counts say; one that people pinned or vetoed stays."""
        ruled = {
            row.block
            for row in self._connection.execute(
                sa.select(learned_blocks.c.block).where(
                    learned_blocks.c.source == source, learned_blocks.c.state != LEARNED
                )
            )
        }
        before = {block: each for block, each in learned.of(source).items() if block in blocks and block not in ruled}
        found = census.judge(before, learned.spread())
        after = {block: each for block, each in found.items() if block not in ruled}
        if after == before:
            return False
        here = learned_blocks.c.source == source
        for block in before.keys() | after.keys():
            if before.get(block) != after.get(block):
                self._connection.execute(learned_blocks.delete().where(here, learned_blocks.c.block == block))
                if block in after:
                    self._connection.execute(learned_blocks.insert().values(_row(source, after[block], LEARNED)))
        self.mark_changed(source)
        return True

    def mark_changed(self, source: str) -> None:
        """Note that other blocks of a source are learned; its live entries are to be cleaned again."""
        here = learned_sources.c.source == source
        self._connection.execute(learned_sources.update().where(here).values(changes=learned_sources.c.changes + 1))
        nameless = sa.and_(
            entries.c.source.is_(None),
            sa.or_(entries.c.link.is_(None), entries.c.link.contains(source, autoescape=True)),
        )
        for which in (entries.c.source == source, nameless):
            self._connection.execute(
                entries.update().where(which, entries.c.state == "live", entries.c.cleaner != "").values(cleaner="")
            )

    def rule(self, row: LearnedRow, state: str | None) -> None:
        """Decide about a block of one source: PINNED or VETOED, or None to leave it to the census again."""
        here = sa.and_(learned_blocks.c.source == row.source, learned_blocks.c.block == row.block)
        self._connection.execute(learned_blocks.delete().where(here))
        if state is None:
            census = SourceCensus(row.dumps)
            self._hand_over(census, row.source, {row.block}, ())
            self._settle(row.source, census, {row.block}, self.load())
        else:
            sign = Sign(row.sign) if row.sign else Sign.PINNED
            block = LearnedBlock(row.block, sign, None, row.text)
            self._connection.execute(learned_blocks.insert().values(_row(row.source, block, state)))
        self.mark_changed(row.source)


def _row(source: str, block: LearnedBlock, state: str) -> dict[str, Any]:
    return {
        "source": source,
        "block": block.block,
        "state": state,
        "sign": str(block.sign),
        "links": block.links,
        "text": block.text,
    }
