"""`feedsvc accept`: publishes changes that the guard refuses."""

from __future__ import annotations

from contextlib import closing

from feedsvc.app.cli.common import ConfigOption, load, out
from feedsvc.feeds.guard import count_entries
from feedsvc.store import Store


def accept(config: ConfigOption = None) -> None:
    """Publish ids and dates that changed without their articles; readers will see those entries as new."""
    with closing(Store(load(config).store.url)) as store, store.writing() as writer:
        number = writer.marks.drop_marks()
    out.print(f"{count_entries(number)} will be published as stored; restart feedsvc to do so at once")
