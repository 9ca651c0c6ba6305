"""Bring a request's source to this disk: a file under the allowed roots, or an http(s) download."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
from yarl import URL

from mediaq.errors import Rejected, Unavailable

CHUNK = 256 * 1024
MAX_REDIRECTS = 5
CONNECT_SECONDS = 15
SILENCE_SECONDS = 60
MAX_RETRY_AFTER = 86400
"""Longest wait in seconds that another server may ask for."""
MAX_NAME = 100
"""Longest name that is shown."""

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


def from_path(path: str, roots: Sequence[Path], *, max_bytes: int) -> Path:
    """Find ``path`` under one of ``roots``, links resolved; :class:`Rejected` otherwise.

    The sentence is the same for a path outside the roots and for one that does not exist, so
    that nobody can ask which files this machine has.
    """
    name = (Path(path).name or path)[-MAX_NAME:]
    asked = Path(path)
    candidates = [asked] if asked.is_absolute() else [root / asked for root in roots]
    for candidate in candidates:
        try:
            real = candidate.resolve(strict=True)
            if not any(real.is_relative_to(root.resolve()) for root in roots):
                continue
            facts = real.stat()
        except (OSError, ValueError, RuntimeError):
            continue
        if not stat.S_ISREG(facts.st_mode):
            msg = f"media_path must name a regular file, {name!r} is none"
            raise Rejected(msg)
        if not os.access(real, os.R_OK):
            msg = f"the worker may not read {name!r}"
            raise Rejected(msg)
        _check_size(facts.st_size, max_bytes)
        return real
    msg = (
        f"media_path {name!r} is not a file below the media roots of the worker;"
        " MEDIAQ_MEDIA_ROOTS names them"
    )
    raise Rejected(msg)


async def from_url(
    url: str, target: Path, *, max_bytes: int, seconds: float, allow: Sequence[str] = ()
) -> Path:
    """Download ``url`` to the file ``target``.

    Every address of every redirect is checked where the socket is made, on the address really
    connected to: private, loopback, link-local and other special networks are refused unless
    ``allow`` names the host, the address or its network. Raises :class:`Rejected` for what will
    not change (refused address, 4xx, too large) and :class:`Unavailable` for what may.
    """
    guard = _Guard(allow)
    connector = aiohttp.TCPConnector(socket_factory=guard.socket, ttl_dns_cache=0, force_close=True)
    limits = aiohttp.ClientTimeout(
        total=seconds, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
    )
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=limits,
                # An encoded body could grow without limit; media does not shrink by gzip anyway.
                headers={"Accept-Encoding": "identity", "User-Agent": "mediaq"},
                auto_decompress=False,
                trust_env=False,
            ) as session,
            guard.request(session, _http(url)) as response,
        ):
            _check_status(response)
            if response.content_length is not None:
                _check_size(response.content_length, max_bytes)
            with target.open("wb") as file:
                async for chunk in response.content.iter_chunked(CHUNK):
                    _check_size(file.tell() + len(chunk), max_bytes)
                    await asyncio.to_thread(file.write, chunk)
    except aiohttp.TooManyRedirects:
        msg = f"media_url redirects more than {MAX_REDIRECTS} times"
        raise Rejected(msg) from None
    except aiohttp.ClientConnectorCertificateError as error:
        msg = f"the certificate of {error.host} is not trusted"
        raise Rejected(msg) from None
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
        msg = "media_url, or what it redirects to, is not a usable http(s) address"
        raise Rejected(msg) from None
    except TimeoutError:
        msg = (
            f"media_url did not arrive within {seconds:g} s, or fell silent for {SILENCE_SECONDS} s"
        )
        raise Unavailable(msg) from None
    except aiohttp.ClientError as error:
        if guard.refused and isinstance(error, aiohttp.ClientConnectorError):
            msg = f"media_url leads to {guard.refused}, an address that mediaq does not fetch from"
            raise Rejected(msg) from None
        msg = f"media_url could not be downloaded: {_plain(error)}"
        raise Unavailable(msg) from error
    except OSError as error:
        msg = f"the download could not be written: {error.strerror or type(error).__name__}"
        raise Unavailable(msg) from error
    return target


def name_of(url: str) -> str:
    """The file name that a URL ends with, fit to be shown and stored; the host when it has none."""
    try:
        parts = URL(url)
        name = unquote(parts.raw_path.rsplit("/", 1)[-1]) or parts.host or ""
    except ValueError:
        name = ""
    return "".join(filter(str.isprintable, name))[-MAX_NAME:] or "download"


def _http(url: str) -> URL:
    """Parse an address just as aiohttp does; ``ValueError`` unless it is http(s) with a host."""
    parsed = URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError
    return parsed


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:  # no range is asked, so nothing else is the whole file
        return
    # The server's own words may be anything, also what no database stores.
    msg = f"media_url answered {status} {responses.get(status, '')}".rstrip()
    if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004 - may heal, RFC 9110
        wait = _seconds(response.headers.get("Retry-After", ""))
        raise Unavailable(msg, retry_after=wait, status=status)
    raise Rejected(msg, status=status)


def _seconds(retry_after: str) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110, 10.2.3); None when it is neither."""
    if retry_after.isascii() and retry_after.isdecimal():
        wait = float(retry_after[:9])
    else:
        try:
            at = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        wait = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        msg = f"the source is larger than {limit} bytes, the limit (MEDIAQ_MAX_SOURCE_BYTES)"
        raise Rejected(msg)


def _plain(error: BaseException) -> str:
    """An error's text without the objects and addresses that aiohttp repeats in it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port} ({error.os_error.strerror})"
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerConnectionError)):
        return "the connection broke off"
    return type(error).__name__


class _Guard:
    """Checks addresses where sockets are made: literals never reach a resolver."""

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

    def request(self, session: aiohttp.ClientSession, url: URL) -> Any:  # noqa: ANN401 - aiohttp's private context manager
        self._trusted = (url.host or "").lower().rstrip(".") in self._hosts
        # A trusted host must not lead to an untrusted one: it may not redirect.
        return session.get(url, max_redirects=MAX_REDIRECTS, allow_redirects=not self._trusted)

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
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
