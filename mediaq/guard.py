"""A door to other people's servers that leads only to addresses which the operator allows."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

CONNECT_SECONDS = 15
MAX_RETRY_AFTER = 86400
"""Longest wait in seconds that another server may ask for."""

# Special by meaning although ipaddress calls them global, or did in some version of Python.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host
        "192.0.0.0/24",  # Oracle's metadata is in it
        "192.88.99.0/24",
        "224.0.0.0/4",
        "2001::/23",  # Teredo is in it
        "3fff::/20",
    )
)
# All that IANA gives out; the rest of IPv6 is special or does not exist.
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Guard:
    """Checks addresses where sockets are made: literals never reach a resolver.

    ``allow`` names hosts, addresses or networks that may be reached although they are private.
    One guard serves one request; ``refused`` is the address that it refused.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self.refused = ""
        self._trusted = False
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for item in allow:
            try:
                self._networks.append(ipaddress.ip_network(item, strict=False))
            except ValueError:
                self._hosts.add(item.lower().rstrip("."))

    def session(self, *, seconds: float, silence: float | None = None) -> aiohttp.ClientSession:
        """Make a session whose sockets are checked; ``seconds`` bounds a request as a whole."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                socket_factory=self._socket, ttl_dns_cache=0, force_close=True
            ),
            timeout=aiohttp.ClientTimeout(
                total=seconds, sock_connect=CONNECT_SECONDS, sock_read=silence
            ),
            # An encoded body could grow without limit; media does not shrink by gzip anyway.
            headers={"Accept-Encoding": "identity", "User-Agent": "mediaq"},
            auto_decompress=False,
            trust_env=False,
        )

    def request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        *,
        redirects: int = 0,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Any:  # noqa: ANN401 - aiohttp's private context manager
        """Send a request that follows so many redirects, each checked like the first address."""
        self._trusted = (url.host or "").lower().rstrip(".") in self._hosts
        return session.request(
            method,
            url,
            headers=headers,
            data=data,
            max_redirects=redirects,
            # A trusted host must not lead to an untrusted one: it may not redirect.
            allow_redirects=redirects > 0 and not self._trusted,
        )

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, address = info
        if not self._trusted and not self._public(str(address[0])):
            self.refused = str(address[0])
            msg = "refused"
            raise OSError(msg)
        return socket.socket(family, kind, protocol)

    def _public(self, text: str) -> bool:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
        if any(
            address in network for network in self._networks if network.version == address.version
        ):
            return True
        if any(address in net for net in _SPECIAL if net.version == address.version):
            return False
        if isinstance(address, ipaddress.IPv4Address):
            return address.is_global
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return self._public(str(inner))
        return address.is_global and address in _GIVEN_OUT


def http_url(url: str) -> URL:
    """Parse an address as aiohttp does; ``ValueError`` unless it is http(s) with a host."""
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError
    return parsed


def retry_after(header: str) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110, 10.2.3); None when it is neither."""
    if header.isascii() and header.isdecimal():
        wait = float(header[:9])
    else:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return None
        wait = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def plain(error: BaseException) -> str:
    """An error's text without the objects and addresses that aiohttp repeats in it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        # asyncio writes the address that a name led to where the system would say why.
        number = error.os_error.errno
        why = os.strerror(number) if number else error.os_error.strerror
        return f"no connection to {error.host}:{error.port} ({why})"
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerConnectionError)):
        return "the connection broke off"
    return type(error).__name__
