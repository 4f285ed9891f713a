"""Samples in packs: texts that must go from an article, and texts that must stay.

[[test]]
html = '<p>An article.</p><div class="related"><a href="/2">Another</a></div>'
gone = ["Another"]               # in neither the text nor the HTML of the cleaned article
left = ["An article."]           # in its text or its HTML
rights = "© 2024 Agency"         # text that moved to the entry's rights
link = "https://example.org/1"   # the article's address: on the first host that the pack names, if not given
source = "Agency"

[[test]]
dump = "related.md"              # a dump file beside the pack, instead of html, link and source
gone = ["Another"]
left = ["An article."]
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator

from feedsvc.clean.rules.pack import read_tables
from feedsvc.clean.rules.rule import Rule
from feedsvc.dumps import parse_dump
from feedsvc.errors import DumpError, RuleError
from feedsvc.model import Dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from feedsvc.clean.cleaner import Cleaner
    from feedsvc.model import CleanEntry

_PUBLISHED: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Sample(BaseModel):
    """One sample of a pack; see above for its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    html: str | None = None
    dump: str | None = None
    link: str | None = None
    source: str | None = None
    gone: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    rights: str | None = None

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if (self.html is None) == (self.dump is None):
            raise ValueError("give exactly one of html, dump")
        if not (self.gone or self.left or self.rights):
            raise ValueError("say what is gone, left or in rights")
        return self

    def faults(self, entry: CleanEntry) -> Iterator[str]:
        """Name each difference between a cleaned article and the sample."""
        for text in self.gone:
            if text in entry.text or text in entry.content:
                yield f'"{text}" should be gone, but is left'
        for text in self.left:
            if text not in entry.text and text not in entry.content:
                yield f'"{text}" should be left, but is gone'
        if self.rights is not None and self.rights != entry.rights:
            yield f'rights should be "{self.rights}", but are "{entry.rights or ""}"'


def failed_samples(pack: Traversable, folder: Traversable, cleaner: Cleaner) -> Iterator[str]:
    """Clean the samples of a pack.

    Args:
        pack: A TOML file.
        folder: The folder of the dumps that it names.
        cleaner: With the rules of this pack, and of all others that will work with it.

    Yields:
        For each sample that fails, one sentence: its file, its number, the expectation.

    Raises:
        RuleError: The pack, or a dump that it names, cannot be read.
    """
    hosts = [host for rule in read_tables(pack, "rule", Rule) for host in rule.hosts]
    link = f"https://{hosts[0]}/" if hosts else "https://sample.example/"
    for number, sample in enumerate(read_tables(pack, "test", Sample), start=1):
        dump = _read_dump(pack, folder / sample.dump) if sample.dump else _make_dump(sample, str(pack), link)
        faults = list(sample.faults(cleaner.clean(dump, dump.published or _PUBLISHED)))
        if faults:
            yield f"{pack}: test {number}: {'; '.join(faults)}"


def _make_dump(sample: Sample, path: str, link: str) -> Dump:
    html = sample.html or ""
    return Dump(path=path, title="Sample", link=sample.link or link, published=None, html=html, source=sample.source)


def _read_dump(pack: Traversable, file: Traversable) -> Dump:
    try:
        dump, *_ = parse_dump(file.read_bytes(), file.name)
    except OSError as error:
        raise RuleError(f"{pack}: dump {file.name} cannot be read: {error.strerror}") from error
    except DumpError as error:
        raise RuleError(f"{pack}: dump {error}") from error
    return dump
