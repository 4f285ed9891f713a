"""`feedsvc clean`: a dry run over dumps."""

from __future__ import annotations

import json
import sys
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, Paths, complain, find_files, load, out
from feedsvc.app.cli.show import show_explanation
from feedsvc.app.make import make_cleaner, make_pool
from feedsvc.clean import Cleaner, load_rules
from feedsvc.clean.learning.census import Census
from feedsvc.clean.learning.learned import Learned
from feedsvc.clean.sandbox import Cleaned, Job, parse_safely
from feedsvc.errors import BrokenDump, NotADump, StoreError
from feedsvc.feeds.pages.pages import render_explanations
from feedsvc.intake.decide import mint_entry
from feedsvc.intake.read import read_dump
from feedsvc.store.peek import read_learned
from feedsvc.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from feedsvc.clean import Explanation
    from feedsvc.clean.sandbox import Pool, Ticket
    from feedsvc.errors import DumpError

_AHEAD = 8  # dumps that are cleaned while one is shown


def clean(
    paths: Paths,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object an article.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="The article with the removals of each rule marked.")
    ] = False,
    html: Annotated[bool, typer.Option("--html", help="With --explain: as one HTML page.")] = False,
    no_site_rules: Annotated[bool, typer.Option("--no-site-rules", help="Without rules for single sites.")] = False,
    no_rules: Annotated[bool, typer.Option("--no-rules", help="Without any rules: learned blocks alone.")] = False,
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Without learned blocks.")] = False,
    config: ConfigOption = None,
) -> None:
    """Clean dumps and show the result; nothing is stored.

    A folder teaches its own blocks; single files are cleaned by those that the store has learned.
    """
    _check_options(jsonl=jsonl, explain=explain, html=html)
    settings = load(config)
    if no_site_rules:
        settings = settings.model_copy(update={"clean": settings.clean.model_copy(update={"site_rules": False})})
    learns = settings.clean.learn and not no_learn
    start = Learned() if learns else None
    no_rule = load_rules(site_rules=False, generic=False)
    cleaner = Cleaner(no_rule, learned=start) if no_rules else make_cleaner(settings, start)
    most = settings.watch.max_bytes
    folders = [path for path in paths if path.is_dir()]
    wrong = False
    explanations: list[Explanation] = []
    with closing(make_pool(settings, cleaner)) as pool:
        from_folders = _learn(folders, most, pool) if learns else None
        from_store = _read_learned(settings.store.url) if learns and len(folders) < len(paths) else None
        for given in paths:
            cleaner.learned = from_folders if given in folders else from_store
            for name, cleaned, job in _clean(find_files([given]), most, pool):
                if isinstance(cleaned.fault, NotADump) and given in folders:
                    continue  # lies beside the dumps in a folder
                wrong |= cleaned.fault is not None
                if jsonl:
                    _write_rows(name, cleaned, cleaner.digest)
                elif explain:
                    explanations += _explain(cleaner, cleaned, job)
                    _complain(name, cleaned)
                else:
                    _print_cleaned(name, cleaned)
    if explain:
        _print_explanations(explanations, html=html)
    if wrong:
        raise typer.Exit(WRONG)


def _check_options(*, jsonl: bool, explain: bool, html: bool) -> None:
    if jsonl and explain:
        raise typer.BadParameter("--jsonl and --explain do not go together")
    if html and not explain:
        raise typer.BadParameter("--html goes with --explain")


def _learn(folders: Sequence[Path], max_bytes: int, pool: Pool) -> Learned:
    census = Census()
    for _, cleaned, _ in _clean(find_files(folders), max_bytes, pool):
        for _, article in cleaned.articles:
            census.add(article)
    return census.learned()


def _read_learned(url: str) -> Learned:
    try:
        return read_learned(url)
    except StoreError as error:  # a dry run needs no store
        complain(f"feedsvc: {error}")
        return Learned()


def _clean(files: Iterable[tuple[str, Path]], max_bytes: int, pool: Pool) -> Iterator[tuple[str, Cleaned, Job | None]]:
    """Yield the name of each file, its outcome, and the job if there was one, in order."""
    waiting: deque[tuple[str, Cleaned | Ticket]] = deque()
    for name, path in files:
        waiting.append((name, _begin(path, max_bytes, pool)))
        if len(waiting) > _AHEAD:
            yield _finish(*waiting.popleft(), pool)
    while waiting:
        yield _finish(*waiting.popleft(), pool)


def _begin(path: Path, max_bytes: int, pool: Pool) -> Cleaned | Ticket:
    try:
        data, status = read_dump(str(path.resolve()), max_bytes)
    except (NotADump, BrokenDump) as error:
        return Cleaned((), error)
    except OSError as error:
        return Cleaned((), BrokenDump(str(path), f"cannot be read: {error.strerror}", 1))
    return pool.put(Job(str(path), data, status.st_mtime_ns))


def _finish(name: str, begun: Cleaned | Ticket, pool: Pool) -> tuple[str, Cleaned, Job | None]:
    if isinstance(begun, Cleaned):
        return name, begun, None
    pool.wait([begun])
    assert begun.cleaned is not None  # noqa: S101 - nothing interrupts
    return name, begun.cleaned, begun.job


def _explain(cleaner: Cleaner, cleaned: Cleaned, job: Job | None) -> list[Explanation]:
    dumps, _ = parse_safely(job.data, job.path) if job else ((), None)
    found = {dump.position: dump for dump in dumps}
    return [cleaner.explain(found[position], article.published) for position, article in cleaned.articles]


def _write_rows(name: str, cleaned: Cleaned, cleaner: str) -> None:
    for row in _rows(name, cleaned, cleaner):
        sys.stdout.buffer.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


def _rows(name: str, cleaned: Cleaned, cleaner: str) -> Iterator[dict[str, Any]]:
    for _, article in cleaned.articles:
        entry = mint_entry(article, cleaner=cleaner)
        yield {
            "path": name,
            "title": entry.title,
            "link": entry.link,
            "id": entry.id,
            "author": entry.author,
            "language": entry.language,
            "published": entry.published.isoformat(),
            "updated": entry.updated.isoformat(),
            "content": entry.content,
            "summary": entry.summary,
            "rights": entry.rights,
            "removed": [{"rule": item.rule, "reason": item.reason, "text": item.text} for item in article.removals],
            "error": None,
        }
    if cleaned.fault is not None:
        yield {"path": name, "content": None, "error": _fault(cleaned.fault)}


def _fault(fault: DumpError) -> str:
    return f"line {fault.line}: {fault.reason}" if fault.line else fault.reason


def _print_cleaned(name: str, cleaned: Cleaned) -> None:
    for _, article in cleaned.articles:
        out.print(f"{printable(name)}: {article.title}", markup=False, soft_wrap=True)
        for removal in article.removals:
            out.print(f"    {removal.rule}: {removal.text or removal.html}"[:200], markup=False, soft_wrap=True)
    _complain(name, cleaned)


def _print_explanations(explanations: list[Explanation], *, html: bool) -> None:
    if html:
        sys.stdout.buffer.write(render_explanations(explanations))
        return
    coloured = out.color_system is not None and not out.no_color
    for explanation in explanations:
        out.print(show_explanation(explanation, coloured=coloured), soft_wrap=True)


def _complain(name: str, cleaned: Cleaned) -> None:
    if cleaned.fault is not None:
        complain(f"{name}: {_fault(cleaned.fault)}")
