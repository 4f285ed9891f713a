"""`feedsvc status`: shows the state of the running daemon."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, load, out, write_json
from feedsvc.app.cli.show import show_status
from feedsvc.errors import DaemonUnreachable
from feedsvc.ops.status import Answered, ask_daemon, collect_status
from feedsvc.runtime.clock import read_clock
from feedsvc.store import Store


def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the ignored files.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show the state of the running daemon; exits with 1 if it is not ready or a part does not work."""
    settings = load(config)
    with closing(Store(settings.store.url)) as store:
        found = collect_status(store, settings.plan, read_clock())
    try:
        answered = ask_daemon(f"http://{settings.server.listen}")
    except DaemonUnreachable as error:
        answered = Answered(ready=False)
        found["problems"].append({"about": settings.server.listen, "message": str(error)})
    found |= {"ready": answered.ready, "parts": dict(answered.parts)}
    if as_json:
        write_json(found)
    else:
        out.print(show_status(found))
    if not answered.well:
        raise typer.Exit(WRONG)
