"""`feedsvc reload`: has the daemon load its configuration again."""

from __future__ import annotations

from typing import Annotated

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, complain, locate, out
from feedsvc.runtime.control import ask_reload, control_name

_REPLY_SECONDS = 85.0  # within the 90 s that systemd gives ExecReload=


def reload(
    pid: Annotated[int | None, typer.Option("--pid", min=1, help="Only if the daemon has this process id.")] = None,
    config: ConfigOption = None,
) -> None:
    """Have the running daemon load its configuration again; wait until it is live or refused."""
    reply = ask_reload(control_name(locate(config)), seconds=_REPLY_SECONDS, pid=pid)
    if not reply.done:
        for line in reply.message.splitlines():
            complain(f"feedsvc: refused: {line}")
        raise typer.Exit(WRONG)
    out.print(reply.message, markup=False, soft_wrap=True)
