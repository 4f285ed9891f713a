"""The web server: from a request to its answer. It keeps no state that a restart would lose.

    server         uvicorn in a thread
    protocol       one connection                                    limits
    front          clients, rates, credentials, counts of answers    proxies, limits, access, counter
    published      a feed or page that is published                  addresses, negotiate
    app            all other routes                                  operators
    respond        coding, validators, caching                       negotiate, conditional
    answer         the response as ASGI takes it

The modules on the right are used by those on the left.
"""

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
