"""`feedsvc reload`."""

from __future__ import annotations

from typing import Annotated

import typer

from feedsvc.app.cli.common import WRONG, ConfigOption, complain, locate, out
from feedsvc.runtime.control import ask_reload, control_name

__all__ = ["reload"]

REPLY_SECONDS = 85.0  # within the 90 s that systemd gives ExecReload=


def reload(
    pid: Annotated[
        int | None, typer.Option("--pid", min=1, help="The daemon's process id, where it must be that one.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Have the running daemon load its configuration again; return when that is live, or say why it was refused."""
    reply = ask_reload(control_name(locate(config)), seconds=REPLY_SECONDS, pid=pid)
    if not reply.done:
        for line in reply.message.splitlines():
            complain(f"feedsvc: refused: {line}")
        raise typer.Exit(WRONG)
    out.print(reply.message, markup=False, soft_wrap=True)
