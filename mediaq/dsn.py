"""The spellings of a database's address, written as one DSN that every driver reads alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

DEFAULT_DATABASE = "af-memory"
DEFAULT_PORT = "5432"
MAX_PORT = 65535

_PLACE = re.compile(r"(\[[^\s/?#@,\[\]]+\]|[^\s/?#@:,\[\]]+)(?::(.*))?", re.DOTALL)


def of_url(url: str) -> str:
    """Read a URL, also SQLAlchemy's ``postgresql+driver://`` and its ``?ssl=``.

    User, password and port are written anew: drivers disagree about an ``@`` that is not escaped,
    and would fill a missing port from ``PGPORT``. ``ValueError`` says what is wrong without
    repeating any of it.
    """
    shape = (
        "the address must look like postgresql://user:password@host:port/name,"
        " with odd characters of the password written as %XX"
    )
    try:
        parts = urlsplit(url)
        # Unlike in a form, a plus is a plus.
        pairs = parse_qsl(parts.query.replace("+", "%2B"), strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(shape) from None
    # A "/", "?" or "#" of a password that is not escaped ends the host too early.
    cut = parts.fragment or "/" in parts.path[1:] or "@" in parts.path
    if parts.scheme.partition("+")[0] not in {"postgresql", "postgres"} or cut:
        raise ValueError(shape)
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = dict(_as_libpq(key, value) for key, value in pairs)
    named = parts.path.strip("/") or {"dbname", "database"} & query.keys()
    return _written(
        unquote(user),
        unquote(password),
        ",".join(map(_place, places.split(","))) if places else "",
        parts.path if named else f"/{DEFAULT_DATABASE}",
        query,
    )


def of_parts(host: str, port: str, name: str, user: str, password: str) -> str:
    """Join what single variables say; an empty text stands for the default.

    A host that begins with a slash is the folder of a socket. ``ValueError`` says what is wrong.
    """
    host, port = host.strip(), port.strip() or DEFAULT_PORT
    path = "/" + quote(name or DEFAULT_DATABASE, safe="")
    if host.startswith("/"):
        return _written(user, password, "", path, {"host": host, "port": _port(port)})
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return _written(user, password, _place(f"{host or 'localhost'}:{port}"), path, {})


def shown(dsn: str) -> str:
    """Write a DSN as ``user@host:port/name``, fit to be shown: the password is left out."""
    parts = urlsplit(dsn)
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    place = place or dict(parse_qsl(parts.query)).get("host") or "localhost"
    return (f"{user}@" if user else "") + place + parts.path


def _as_libpq(key: str, value: str) -> tuple[str, str]:
    """Translate the ``ssl`` of asyncpg and SQLAlchemy."""
    if key != "ssl":
        return key, value
    return "sslmode", {"true": "require", "false": "disable"}.get(value.lower(), value)


def _place(text: str) -> str:
    """Check ``host``, ``host:port`` or ``[v6]:port`` and write it with its port."""
    found = _PLACE.fullmatch(text)
    if found is None:
        msg = "the host must be a name, an address, or the folder of a socket"
        raise ValueError(msg)
    return f"{found[1]}:{_port(found[2] or DEFAULT_PORT)}"


def _port(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= MAX_PORT):
        msg = f"the port must be a number from 1 to {MAX_PORT}"
        raise ValueError(msg)
    return text


def _written(user: str, password: str, place: str, path: str, query: Mapping[str, str]) -> str:
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    netloc = f"{login}@{place}" if login else place
    tail = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return f"postgresql://{netloc}{path}{tail}"


def without_password(url: str) -> str:
    """Drop the password from a URL and keep all else."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=login.partition(":")[0] + at + place))
