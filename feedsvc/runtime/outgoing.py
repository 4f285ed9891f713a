"""Requests that go out: to the running daemon, and to addresses that somebody named and that may lead anywhere.

The latter reach public addresses only. A host name is resolved once, each of its addresses is judged, and the
connection goes to one of those, so that a name that changes its address meanwhile (DNS rebinding) gains nothing; the
Host field and the name in TLS stay. No redirect is followed, no proxy asked, no cookie kept, and one deadline bounds
everything from the look-up of the name to the last byte.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

from feedsvc import __version__
from feedsvc.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Resolver = Callable[[str, int], "Sequence[str]"]
"""Host and port to addresses of IP, the best first; OSError if there are none."""

_MOST_BYTES = 65_536  # of a response's content that are read, so that its connection can be used again
_SHOWN = 200  # characters of it that are kept
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1: in some networks all that IPv6 can reach
_ISATAP = (0x00005EFE, 0x02005EFE)  # RFC 5214, section 6.1: before the last 32 bits
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # RFC 6890, section 2.2.2; some clouds keep credentials there
            "192.88.99.0/24",  # RFC 7526: 6to4 relays that are no more
            "168.63.129.16/32",  # a public address, but within Azure it leads to the host
            "3fff::/20",  # RFC 9637: documentation
            "5f00::/16",  # RFC 9602: segment routing
        ),
    )
)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response: its fields by lower-case name, and the first characters of its content."""

    status: int
    fields: Mapping[str, str]
    text: str


def get_json(url: str, *, seconds: float) -> Any:  # noqa: ANN401 - JSON has no better type
    """Get JSON from this machine or any other that the user names: no address is refused.

    Raises:
        RequestError: Nobody answers, or not with JSON.
    """
    try:
        # No proxy is asked for an address of one's own.
        return httpx.get(url, timeout=seconds, trust_env=False).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise RequestError(_reason(error)) from error


class Asker:
    """Asks this machine again and again, each time on a new connection; no address is refused."""

    def __init__(self, url: str, *, seconds: float) -> None:
        """Know the address, and the seconds that each step may take."""
        self._url = url
        # One client for all: to make one takes longer than to ask.
        self._client = httpx.Client(timeout=seconds, trust_env=False, headers={"Connection": "close"})

    def ask(self) -> int:
        """Return the status code of the response.

        Raises:
            RequestError: There was none.
        """
        try:
            return self._client.get(self._url).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RequestError(_reason(error)) from error

    def close(self) -> None:
        """Close its client."""
        self._client.close()


def is_public_address(address: str) -> bool:
    """Return True if an IP address is one of the public Internet, and no way round to one that is not.

    The special-purpose registries of RFC 6890 are those of `ipaddress`, and `_NOT_PUBLIC` adds those that older
    versions of it lack; addresses that wrap one of version 4 are as good as that.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = _wrapped(found)
        if wrapped is not None:
            return is_public_address(str(wrapped))
        if found.is_site_local:
            return False
    if any(found.version == network.version and found in network for network in _NOT_PUBLIC):
        return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _wrapped(found: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the address of version 4 that one of version 6 leads to by its form, or None."""
    last = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    if found in _NAT64 or (int(found) >> 32) & 0xFFFFFFFF in _ISATAP:
        return last
    # RFC 4291, section 2.5.5.2; RFC 3056; RFC 4380
    return found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]


def look_up_host(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host (RFC 6724 order); the real `Resolver`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Outgoing:
    """A client of one host: its connections are kept while it is open. Used within one event loop."""

    def __init__(self, *, allow_private: bool, seconds: float, resolver: Resolver = look_up_host) -> None:
        """Make a client; nothing is connected yet.

        Each request as a whole must end within `seconds`; the resolver is called in a thread.
        """
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            transport=_Judged(allow_private=allow_private, resolver=resolver),
            timeout=seconds,
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": f"feedsvc/{__version__}", "Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        """Nothing to do yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def post(self, url: str, form: Mapping[str, str]) -> HttpResponse:
        """Post a form.

        Raises:
            RequestError: There was no response: the message says why, without the address.
        """
        try:
            async with asyncio.timeout(self._seconds), self._client.stream("POST", url, data=form) as response:
                content = bytearray()
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > _MOST_BYTES:
                        break
                text = content[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN]
                self._client.cookies.clear()
                return HttpResponse(response.status_code, dict(response.headers.items()), text)
        except TimeoutError as error:
            raise RequestError(f"no answer within {self._seconds:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RequestError(_reason(error)) from error


class _Judged(httpx.AsyncBaseTransport):
    """Connects to addresses that were judged, under the name that they were asked for."""

    def __init__(self, *, allow_private: bool, resolver: Resolver) -> None:
        self._allow_private = allow_private
        self._resolver = resolver
        # Certificates are those of certifi, or of SSL_CERT_FILE.
        self._inner = httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or {"http": 80, "https": 443}.get(request.url.scheme, 0)
        addresses = await _in_thread(self._resolver, host, port)
        refused = [address for address in addresses if not (self._allow_private or is_public_address(address))]
        if refused:
            raise httpx.ConnectError(f"{host} is at {refused[0]}, which is no public address; it was not contacted")
        failure = httpx.ConnectError(f"{host} has no address")
        for address in addresses:
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address.partition("%")[0]),
                headers=request.headers,  # with the Host field
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except httpx.ConnectError as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _in_thread(resolver: Resolver, host: str, port: int) -> Sequence[str]:
    """Look a name up without holding anything else up.

    The interpreter waits for an executor's threads when it ends: a silent name server would keep the daemon running.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def settle(addresses: Sequence[str], error: OSError | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}"))

    def look_up() -> None:
        addresses: Sequence[str] = ()
        failure = None
        try:
            addresses = resolver(host, port)
        except UnicodeError:  # a label that is no host name
            failure = OSError("no host has such a name")
        except OSError as error:
            failure = error
        try:
            loop.call_soon_threadsafe(settle, addresses, failure)
        except RuntimeError:  # the loop was closed meanwhile
            return

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await answer


def _reason(error: Exception) -> str:
    """Return the text of an error; some of httpx's have none."""
    return str(error) or type(error).__name__
