"""Bring a request's source to this disk: a file under the allowed roots, or an http(s) download."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from http import HTTPStatus
from http.client import responses
from pathlib import Path
from urllib.parse import unquote

import aiohttp
from yarl import URL

from mediaq import guard
from mediaq.errors import Rejected, Unavailable

CHUNK = 256 * 1024
MAX_REDIRECTS = 5
SILENCE_SECONDS = 60
MAX_NAME = 100
"""Longest name that is shown."""


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
    door = guard.Guard(allow)
    try:
        async with (
            door.session(seconds=seconds, silence=SILENCE_SECONDS) as session,
            door.request(session, "GET", guard.http_url(url), redirects=MAX_REDIRECTS) as response,
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
        if door.refused and isinstance(error, aiohttp.ClientConnectorError):
            msg = f"media_url leads to {door.refused}, an address that mediaq does not fetch from"
            raise Rejected(msg) from None
        msg = f"media_url could not be downloaded: {guard.plain(error)}"
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


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == HTTPStatus.OK:  # no range is asked, so nothing else is the whole file
        return
    # The server's own words may be anything, also what no database stores.
    msg = f"media_url answered {status} {responses.get(status, '')}".rstrip()
    if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004 - may heal, RFC 9110
        wait = guard.retry_after(response.headers.get("Retry-After", ""))
        raise Unavailable(msg, retry_after=wait, status=status)
    raise Rejected(msg, status=status)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        msg = f"the source is larger than {limit} bytes, the limit (MEDIAQ_MAX_SOURCE_BYTES)"
        raise Rejected(msg)
