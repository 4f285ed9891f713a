"""The web server: routing, conditional requests, pages. It holds no state of its own."""

from __future__ import annotations

from feedsvc.http.access import Guard, hash_password, parse_account
from feedsvc.http.app import make_app
from feedsvc.http.operators import Operations
from feedsvc.http.server import Server, bind

__all__ = [
    "Guard",
    "Operations",
    "Server",
    "bind",
    "hash_password",
    "make_app",
    "parse_account",
]
