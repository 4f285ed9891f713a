"""`feedsvc password`: makes the value of [server] auth."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from feedsvc.errors import ConfigError
from feedsvc.http import hash_password


def password(user: Annotated[str, typer.Argument(help="The user name.")]) -> None:
    """Ask for a password, and print the value of [server] auth."""
    if ":" in user:
        raise ConfigError("a user name has no colon (RFC 7617)")
    if sys.stdin.isatty():
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        secret = sys.stdin.readline().rstrip("\n")
    typer.echo(f"{user}:{hash_password(secret)}")
