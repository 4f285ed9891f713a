"""The web server: from a request to its answer. It keeps no state that a restart would lose."""

from __future__ import annotations

from feedsvc.http.access import Restriction, hash_password, parse_credentials
from feedsvc.http.app import make_app
from feedsvc.http.operators import Operations
from feedsvc.http.server import Server, bind

__all__ = [
    "Operations",
    "Restriction",
    "Server",
    "bind",
    "hash_password",
    "make_app",
    "parse_credentials",
]
