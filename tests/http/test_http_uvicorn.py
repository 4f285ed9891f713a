"""The private parts of uvicorn that `feedsvc.http` leans on; pyproject.toml bounds its version for their sake."""

from __future__ import annotations

import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

ADVICE = "uvicorn changed; read feedsvc/http/protocol.py and server.py against it before the bound is raised"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("connection_made", "self transport"),
        ("connection_lost", "self exc"),
        ("data_received", "self data"),
        ("send_400_response", "self msg"),
        ("_unsupported_upgrade_warning", "self"),
        ("_start_asgi_task", "self cycle app"),
        ("on_message_begin", "self"),
        ("on_headers_complete", "self"),
        ("on_body", "self body"),
        ("on_message_complete", "self"),
    ],
)
def test_a_method_that_is_overridden_is_there(name: str, parameters: str) -> None:
    method = getattr(HttpToolsProtocol, name, None)
    assert method is not None, f"HttpToolsProtocol.{name}: {ADVICE}"
    assert list(inspect.signature(method).parameters) == parameters.split(), f"HttpToolsProtocol.{name}: {ADVICE}"


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            HttpToolsProtocol,
            "app connections cycle flow headers loop parser pipeline scope server_state transport url client",
        ),
        (RequestResponseCycle, "disconnected keep_alive response_complete"),
        (ServerState, "connections default_headers total_requests"),
        (uvicorn.Server, "config server_state servers should_exit started"),
    ],
)
def test_an_attribute_that_is_used_is_there(owner: type, names: str) -> None:
    source = inspect.getsource(owner)
    missing = [name for name in names.split() if f"self.{name}" not in source]
    assert missing == [], f"{owner.__name__}.{', '.join(missing)}: {ADVICE}"


@pytest.mark.parametrize("name", ["startup", "on_tick", "shutdown"])
def test_a_step_of_the_server_that_is_overridden_is_there(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(uvicorn.Server, name, None)), f"Server.{name}: {ADVICE}"
