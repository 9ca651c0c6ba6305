"""What a source may be: which files, which addresses, and what happens when a download fails."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import test_utils, web

from mediaq import fetch, guard
from mediaq.errors import MediaqError, Rejected, Unavailable

MIB = 1 << 20
BODY = os.urandom(MIB)
PUBLIC = "93.184.216.34"
"""An address that the guard lets pass; the network of the tests leads it to loopback."""


# Files


def from_path(path: Path | str, *roots: Path, max_bytes: int = 100) -> Path:
    return fetch.from_path(str(path), roots, max_bytes=max_bytes)


def refused_path(path: Path | str, *roots: Path, max_bytes: int = 100) -> str:
    with pytest.raises(Rejected) as caught:
        from_path(path, *roots, max_bytes=max_bytes)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "in").mkdir(parents=True)
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    file = tmp_path / "secret.mp4"
    file.write_bytes(b"secret")
    return file


def test_a_file_below_a_root_is_found(root: Path) -> None:
    file = root / "in" / "clip.mp4"
    file.write_bytes(b"x")
    assert from_path(file, root) == file


def test_a_relative_path_is_looked_for_below_each_root(root: Path, tmp_path: Path) -> None:
    file = root / "in" / "clip.mp4"
    file.write_bytes(b"x")
    other = tmp_path / "other"
    other.mkdir()
    assert from_path("in/clip.mp4", other, root) == file
    assert from_path("in/../in/clip.mp4", root) == file


@pytest.mark.parametrize(
    "name",
    [
        'it\'s "quoted".mp4',
        "-leading-dash.mp4",
        "%03d.mp4",
        "a:b.mp4",
        "new\nline.mp4",
        "фильм 映画 🎬.mp4",
        " space ",
        "~",
        "$HOME",
        "*?.mp4",
        "concat:a|b.mp4",
    ],
)
def test_an_odd_name_is_only_a_name(root: Path, name: str) -> None:
    (root / name).write_bytes(b"x")
    assert from_path(root / name, root) == root / name
    assert from_path(name, root) == root / name


def test_a_link_is_followed_to_where_it_leads(root: Path) -> None:
    file = root / "in" / "clip.mp4"
    file.write_bytes(b"x")
    (root / "link").symlink_to(file)
    assert from_path(root / "link", root) == file


def test_a_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (root / "clip.mp4").write_bytes(b"x")
    (tmp_path / "link").symlink_to(root)
    assert from_path(tmp_path / "link" / "clip.mp4", tmp_path / "link") == root / "clip.mp4"


def test_outside_and_missing_sound_the_same(root: Path, outside: Path, tmp_path: Path) -> None:
    said = refused_path(outside, root)
    assert "MEDIAQ_MEDIA_ROOTS" in said
    assert refused_path(root / "in" / outside.name, root) == said
    assert refused_path(tmp_path / "none" / outside.name, root) == said
    assert refused_path(f"../{outside.name}", root) == said
    assert refused_path(f"in/../../{outside.name}", root) == said
    assert refused_path(root / ".." / outside.name, root) == said
    assert refused_path(outside) == said


@pytest.mark.parametrize("link", ["link.mp4", "in/link.mp4"])
def test_a_link_out_of_the_root_sounds_like_a_missing_file(
    root: Path, outside: Path, link: str
) -> None:
    (root / link).symlink_to(outside)
    said = refused_path(root / link, root)
    (root / link).unlink()
    assert refused_path(root / link, root) == said


def test_a_folder_linked_out_of_the_root_leads_nowhere(root: Path, outside: Path) -> None:
    (root / "up").symlink_to(outside.parent)
    assert "not a file below the media roots" in refused_path(f"up/{outside.name}", root)


def test_a_root_is_no_prefix_of_a_name(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "clip.mp4").write_bytes(b"x")
    assert "not a file below" in refused_path(tmp_path / "root2" / "clip.mp4", root)


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "/", "\0", "a\0b.mp4", "loop", "x" * 300, "x/" * 3000 + "x", "\udcff", "a\nb"],
)
def test_a_path_that_is_none_is_refused_in_one_short_sentence(root: Path, path: str) -> None:
    (root / "loop").symlink_to(root / "loop")
    said = refused_path(path, root)
    assert len(said) < 700
    assert said.isprintable()


def test_only_regular_files_are_sources(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    for name in ("fifo", "socket", "in"):
        assert "must name a regular file" in refused_path(root / name, root)
    for device in ("null", "zero"):
        assert "must name a regular file" in refused_path(f"/dev/{device}", Path("/dev"))


def test_a_file_that_may_not_be_read_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "clip.mp4").write_bytes(b"x")
    # Not by its mode: the superuser reads everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refused_path("clip.mp4", root) == "the worker may not read 'clip.mp4'"


def test_a_file_above_the_limit_is_refused(root: Path) -> None:
    (root / "clip.mp4").write_bytes(b"x" * 101)
    assert "larger than 100 bytes" in refused_path("clip.mp4", root)
    assert from_path("clip.mp4", root, max_bytes=101)


# Names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h.example/a/clip.mp4?x=1#y", "clip.mp4"),
        ("http://h.example/a%20b%2Fc.mp4", "a b/c.mp4"),
        ("http://h.example/%E6%98%A0.mp4", "映.mp4"),
        ("http://u:p@h.example", "h.example"),
        ("http://h.example/", "h.example"),
        ("http://h.example/a%00%0A%1Bb", "ab"),
        ("http://h.example/%ff", "\N{REPLACEMENT CHARACTER}"),
        ("http://[::1", "download"),
        ("http://h.example:99999/x", "download"),
        ("", "download"),
        ("http://h.example/%00", "download"),
        ("http://h.example/" + "x" * 5000 + ".mp4", "x" * 96 + ".mp4"),
    ],
)
def test_a_url_has_a_name_that_can_be_shown_and_stored(url: str, name: str) -> None:
    assert fetch.name_of(url) == name


# Downloads


class Network:
    """Names and connections under the test's control: nothing leaves this machine."""

    def __init__(self, dial: Callable[[socket.socket, Any], Awaitable[None]]) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self.dialled: list[str] = []
        self._dial = dial
        self._ask = socket.getaddrinfo

    def resolve(self, host: str, port: int | str, *_: object, **__: object) -> list[Any]:
        """Answer from ``names``, each list of addresses once and the last one for ever."""
        self.asked.append(host)
        answers = self.names.get(host.rstrip("."), [])
        addresses = answers.pop(0) if len(answers) > 1 else answers[0] if answers else [host]
        return [
            answer
            for address in addresses
            for answer in self._ask(
                address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        ]

    async def connect(self, sock: socket.socket, address: Any) -> None:
        """Connect to loopback; what seems to be public is there too."""
        self.dialled.append(address[0])
        place = "127.0.0.1" if address[0] == PUBLIC else address[0]
        assert place in {"127.0.0.1", "::1"}, place
        await self._dial(sock, (place, *address[1:]))


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    loop = asyncio.get_running_loop()
    made = Network(loop.sock_connect)
    monkeypatch.setattr(loop, "sock_connect", made.connect)
    monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
    made.names["public.example"] = [[PUBLIC]]
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


@asynccontextmanager
async def site(
    *routes: tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]],
) -> AsyncIterator[int]:
    """Serve on a free port of loopback."""
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes])
    async with test_utils.TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        yield server.port


@asynccontextmanager
async def raw(*answer: bytes, stall: bool = False) -> AsyncIterator[int]:
    """Serve an answer byte by byte as given, then cut the connection or fall silent."""
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in answer:
            writer.write(part)
        await writer.drain()
        if stall:
            await ended.wait()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            ended.set()


def answering(response: Callable[[], web.Response]) -> Any:
    async def handle(_: web.Request) -> web.Response:
        return response()

    return handle


def redirecting(to: str, status: int = 302) -> Any:
    return answering(lambda: web.Response(status=status, headers={"Location": to}))


async def whole(_: web.Request) -> web.StreamResponse:
    return web.Response(body=BODY)


async def chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for start in range(0, MIB, 1000):
        await response.write(BODY[start : start + 1000])
    return response


async def download(
    url: str,
    target: Path,
    *,
    max_bytes: int = MIB,
    seconds: float = 30,
    allow: Sequence[str] = (),
) -> Path:
    return await fetch.from_url(url, target, max_bytes=max_bytes, seconds=seconds, allow=allow)


async def failure(kind: type[MediaqError], url: str, target: Path, **limits: Any) -> MediaqError:
    with pytest.raises(kind) as caught:
        await download(url, target, **limits)
    assert type(caught.value) is kind
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    return caught.value


@pytest.mark.parametrize("handler", [whole, chunked])
async def test_a_download_is_whole(network: Network, target: Path, handler: Any) -> None:
    async with site(("/clip.mp4", handler)) as port:
        assert await download(f"http://public.example:{port}/clip.mp4", target) == target
    assert target.read_bytes() == BODY
    assert network.dialled == [PUBLIC]


@pytest.mark.parametrize("handler", [whole, chunked])
async def test_a_download_above_the_limit_is_rejected(
    network: Network, target: Path, handler: Any
) -> None:
    async with site(("/", handler)) as port:
        error = await failure(Rejected, f"http://public.example:{port}/", target, max_bytes=MIB - 1)
    assert f"larger than {MIB - 1} bytes" in error.message
    assert not target.exists() or target.stat().st_size < MIB


@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 410, 451])
async def test_what_will_not_change_is_rejected(
    network: Network, target: Path, status: int
) -> None:
    async with site(("/", answering(lambda: web.Response(status=status)))) as port:
        error = await failure(Rejected, f"http://public.example:{port}/", target)
    assert str(status) in error.message
    assert error.details == {"status": status}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_heal_is_tried_again(network: Network, target: Path, status: int) -> None:
    async with site(("/", answering(lambda: web.Response(status=status)))) as port:
        error = await failure(Unavailable, f"http://public.example:{port}/", target)
    assert isinstance(error, Unavailable)
    assert str(status) in error.message
    assert error.retry_after is None


def http_date(delta: timedelta) -> str:
    return format_datetime(datetime.now(UTC) + delta, usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        (timedelta(hours=1), 3000, 3600),
        (-timedelta(days=1), 0, 0),
        (timedelta(days=400), 86400, 86400),
        ("9" * 400, 86400, 86400),
    ],
)
async def test_the_wait_that_a_server_asks_for_is_kept_within_a_day(
    network: Network, target: Path, header: str | timedelta, least: float, most: float
) -> None:
    # A date is counted from when the test runs, not from when it was collected.
    headers = {"Retry-After": http_date(header) if isinstance(header, timedelta) else header}
    busy = answering(lambda: web.Response(status=429, headers=headers))
    async with site(("/", busy)) as port:
        error = await failure(Unavailable, f"http://public.example:{port}/", target)
    assert isinstance(error, Unavailable)
    assert error.retry_after is not None
    assert least <= error.retry_after <= most


@pytest.mark.parametrize("header", ["", "-1", "soon", "1.5", "٣", "nan", "Mon, 99 Xyz"])
async def test_a_wait_that_is_none_is_ignored(network: Network, target: Path, header: str) -> None:
    head = f"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: {header}\r\n\r\n".encode()
    async with raw(head) as port:
        error = await failure(Unavailable, f"http://public.example:{port}/", target)
    assert isinstance(error, Unavailable)
    assert error.retry_after is None


async def test_the_words_of_a_server_are_not_repeated(network: Network, target: Path) -> None:
    async with raw(b"HTTP/1.1 404 \xff\xfeboo\x7f\r\nContent-Length: 0\r\n\r\n") as port:
        error = await failure(Rejected, f"http://public.example:{port}/", target)
    assert error.message == "media_url answered 404 Not Found"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_tried_again(
    network: Network, target: Path, answer: bytes
) -> None:
    async with raw(answer) as port:
        await failure(Unavailable, f"http://public.example:{port}/", target)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_a_server_that_falls_silent_is_left(
    network: Network, target: Path, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.05)
    async with raw(answer, stall=True) as port:
        error = await failure(Unavailable, f"http://public.example:{port}/", target)
    assert "fell silent" in error.message


async def test_a_download_has_a_limit_of_time(network: Network, target: Path) -> None:
    async with raw(b"HTTP/1.1 200 OK\r\n\r\nhalf", stall=True) as port:
        url = f"http://public.example:{port}/"
        error = await failure(Unavailable, url, target, seconds=0.05)
    assert "within 0.05 s" in error.message


async def test_a_port_that_nobody_listens_on_is_tried_again(network: Network, target: Path) -> None:
    async with raw() as port:
        pass
    error = await failure(Unavailable, f"http://public.example:{port}/", target)
    assert f"no connection to public.example:{port}" in error.message


async def test_a_name_that_is_not_known_is_tried_again(network: Network, target: Path) -> None:
    error = await failure(Unavailable, "http://unknown.example/", target)
    assert "unknown.example is not known" in error.message


async def test_speaking_tls_to_a_plain_server_is_tried_again(
    network: Network, target: Path
) -> None:
    async with site(("/", whole)) as port:
        await failure(Unavailable, f"https://public.example:{port}/", target)


async def test_a_certificate_that_is_not_trusted_is_rejected(
    network: Network, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        key = aiohttp.client_reqrep.ConnectionKey(
            "public.example",
            443,
            is_ssl=True,
            ssl=True,
            proxy=None,
            proxy_auth=None,
            proxy_headers_hash=None,
        )
        raise aiohttp.ClientConnectorCertificateError(key, Exception("expired"))

    monkeypatch.setattr(guard.Guard, "request", refuse)
    error = await failure(Rejected, "https://public.example/", target)
    assert error.message == "the certificate of public.example is not trusted"


async def test_an_encoded_body_is_not_inflated(network: Network, target: Path) -> None:
    bomb = gzip.compress(bytes(50 * MIB))
    asked = []

    async def encoded(request: web.Request) -> web.Response:
        asked.append(request.headers.getall("Accept-Encoding"))
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with site(("/", encoded)) as port:
        await download(f"http://public.example:{port}/", target)
    assert target.read_bytes() == bomb
    assert asked == [["identity"]]


async def test_a_disk_that_cannot_be_written_is_tried_again(
    network: Network, tmp_path: Path
) -> None:
    async with site(("/", whole)) as port:
        url = f"http://public.example:{port}/"
        error = await failure(Unavailable, url, tmp_path / "none" / "file")
    assert error.message == "the download could not be written: No such file or directory"


async def test_a_secret_in_an_address_is_not_repeated(network: Network, target: Path) -> None:
    async with site(("/", answering(lambda: web.Response(status=500)))) as port:
        url = f"http://ann:hunter2@public.example:{port}/?token=hunter2"
        error = await failure(Unavailable, url, target)
    assert "hunter2" not in error.message
    error = await failure(Rejected, f"http://ann:hunter2@127.0.0.1:{port}/", target)
    assert "hunter2" not in error.message


# Redirects


async def test_a_redirect_is_followed(network: Network, target: Path) -> None:
    async with site(("/a", redirecting("/b")), ("/b", whole)) as port:
        await download(f"http://public.example:{port}/a", target)
    assert target.read_bytes() == BODY


async def test_redirects_without_end_are_rejected(network: Network, target: Path) -> None:
    async with site(("/a", redirecting("/a"))) as port:
        error = await failure(Rejected, f"http://public.example:{port}/a", target)
    assert f"more than {fetch.MAX_REDIRECTS} times" in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]", "2130706433", "good@127.1"]
)
async def test_a_redirect_to_a_refused_address_is_rejected(
    network: Network, target: Path, host: str, status: int
) -> None:
    network.names["localhost"] = [["127.0.0.1"]]
    async with (
        canary() as (seen, hidden),
        site(("/a", redirecting(f"http://{host}:{hidden}/", status))) as port,
    ):
        await failure(Rejected, f"http://public.example:{port}/a", target)
        assert not seen
    assert network.dialled == [PUBLIC]


@pytest.mark.parametrize(
    "to",
    [
        "file:///etc/passwd",
        "ftp://public.example/",
        "gopher://public.example/",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "ws://public.example/",
        "http://",
        "http://[::1",
        "//[",
    ],
)
async def test_a_redirect_to_no_http_address_is_rejected(
    network: Network, target: Path, to: str
) -> None:
    async with site(("/a", redirecting(to))) as port:
        await failure(Rejected, f"http://public.example:{port}/a", target)
    assert network.dialled == [PUBLIC]
    assert not target.exists()


async def test_a_trusted_host_may_not_redirect(network: Network, target: Path) -> None:
    network.names["media.internal"] = [["127.0.0.1"]]
    async with (
        canary() as (seen, hidden),
        site(("/a", redirecting(f"http://127.0.0.1:{hidden}/")), ("/b", whole)) as port,
    ):
        url = f"http://media.internal:{port}"
        assert await download(f"{url}/b", target, allow=["media.internal"])
        error = await failure(Rejected, f"{url}/a", target, allow=["media.internal"])
        assert not seen
    assert "302" in error.message


# Addresses


@asynccontextmanager
async def canary() -> AsyncIterator[tuple[list[object], int]]:
    """Listen on loopback and remember who came."""
    seen: list[object] = []

    def came(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(came, "127.0.0.1", 0) as server:
        yield seen, server.sockets[0].getsockname()[1]


HOSTILE = [
    # loopback in every spelling
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127.255.255.254:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7F.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.1:{port}/",
    "http://017700000001:{port}/",
    "http://2130706433:{port}/",
    "http://127.0x0.0.01:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://１２７.0.0.1:{port}/",  # noqa: RUF001 - that is what it tests
    "http://127。0。0。1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://0.0:{port}/",
    "http://0x0:{port}/",
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://LOCALHOST:{port}/",
    "http://ⓛocalhost:{port}/",
    "http://sub.localhost:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::7f00:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2002:a9fe:a9fe::1]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    # private networks, clouds' metadata, multicast, what is nobody's
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://172.31.255.255:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://100.100.100.200:{port}/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://0xa9fea9fe:{port}/",
    "http://[::ffff:169.254.169.254]:{port}/",
    "http://168.63.129.16:{port}/",
    "http://192.0.0.192:{port}/",
    "http://192.0.2.1:{port}/",
    "http://198.18.0.1:{port}/",
    "http://203.0.113.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://239.255.255.250:{port}/",
    "http://240.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://[2001:db8::1]:{port}/",
    "http://[3fff::1]:{port}/",
    "http://[100::1]:{port}/",
    "http://[5f00::1]:{port}/",
    # who is the host?
    "http://good@127.0.0.1:{port}/",
    "http://public.example@127.0.0.1:{port}/",
    "http://public.example:80@127.0.0.1:{port}/",
    "http://public.example%40127.0.0.1:{port}/",
    "http://public.example#@127.0.0.1:{port}/ ",
    "http://127.0.0.1:{port}#@public.example/",
    "http://127.0.0.1:{port}?@public.example/",
    "http://127.0.0.1:{port}\\@public.example/",
    "http://public.example\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "http://private.example:{port}/",
    "http://private.example.:{port}/",
    "http://private6.example:{port}/",
    # control characters
    "http://127.0.0.1:{port}/\r\nX-Injected: yes",
    "http://127.0.0.1\r\n:{port}/",
    "http://127.0.0.1\t:{port}/",
    "\x00http://127.0.0.1:{port}/",
    "http://127.0.0.1\x00.public.example:{port}/",
    "http://127.0.0.1%00.public.example:{port}/",
    "http://127.0.0.1:{port}%0d%0a/",
    " http://127.0.0.1:{port}/",
    # no http
    "file:///etc/passwd",
    "file://127.0.0.1:{port}/etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "data:video/mp4;base64,AAAA",
    "javascript:alert(1)",
    "ws://127.0.0.1:{port}/",
    "unix:///run/x.sock",
    "http+unix://%2Frun%2Fx.sock/",
    "concat:http://127.0.0.1:{port}/",
    # no address at all
    "",
    "http",
    "http://",
    "http://:{port}/",
    "http://[",
    "http://[::1",
    "http://[::1]extra:{port}/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:{port}x/",
    "http://" + "a" * 64 + ".example:{port}/",
    "http://" + "a." * 200 + "example:{port}/",
    "http://xn--a:{port}/",
    "http://\udcff:{port}/",
]


def test_the_table_of_hostile_addresses_is_long() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
async def test_a_hostile_address_is_never_connected_to(
    network: Network, target: Path, url: str
) -> None:
    network.names |= {
        "localhost": [["127.0.0.1"]],
        "sub.localhost": [["127.0.0.1"]],
        "private.example": [["10.1.2.3", "127.0.0.1"]],
        "private6.example": [["::1", "fd00::1"]],
    }
    async with canary() as (seen, port):
        with pytest.raises(MediaqError) as caught:
            await download(url.format(port=port), target)
        assert not seen
    assert caught.value.message.isprintable()
    assert not [address for address in network.dialled if address != PUBLIC]
    assert not target.exists()


@pytest.mark.parametrize(
    "url",
    [url for url in HOSTILE if "public.example" not in url and "://127.0.0.1:{port}" in url],
    ids=ascii,
)
async def test_a_hostile_address_is_rejected_for_good(
    network: Network, target: Path, url: str
) -> None:
    async with canary() as (_, port):
        await failure(Rejected, url.format(port=port), target)


async def test_a_name_that_answers_differently_each_time_gains_nothing(
    network: Network, target: Path
) -> None:
    """DNS rebinding: what was checked must be what is connected to."""
    async with canary() as (seen, hidden), site(("/", whole)) as port:
        network.names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"], [PUBLIC], ["127.0.0.1"]]
        assert await download(f"http://rebinding.example:{port}/", target)
        await failure(Rejected, f"http://rebinding.example:{hidden}/", target)
        assert not seen
    assert network.dialled == [PUBLIC]


async def test_a_redirect_to_the_same_name_is_checked_anew(network: Network, target: Path) -> None:
    network.names["rebinding.example"] = [[PUBLIC], ["127.0.0.1"]]
    async with canary() as (seen, hidden):
        to = f"http://rebinding.example:{hidden}/"
        async with site(("/a", redirecting(to))) as port:
            await failure(Rejected, f"http://rebinding.example:{port}/a", target)
        assert not seen
    assert network.dialled == [PUBLIC]


@pytest.mark.parametrize(
    "allow",
    [["127.0.0.1"], ["127.0.0.0/8"], ["10.0.0.0/8", "127.0.0.1/32"], ["localhost"], ["LocalHost."]],
)
async def test_an_allowed_private_host_is_reached(
    network: Network, target: Path, allow: list[str]
) -> None:
    network.names["localhost"] = [["127.0.0.1"]]
    async with site(("/", whole)) as port:
        assert await download(f"http://localhost:{port}/", target, allow=allow)
    assert network.dialled == ["127.0.0.1"]


@pytest.mark.parametrize(
    "allow", [[], ["10.0.0.0/8"], ["::/0"], ["ocalhost"], ["localhost.example"], ["*"], [""]]
)
async def test_what_is_not_allowed_stays_refused(
    network: Network, target: Path, allow: list[str]
) -> None:
    network.names["localhost"] = [["127.0.0.1"]]
    async with canary() as (seen, port):
        await failure(Rejected, f"http://localhost:{port}/", target, allow=allow)
        assert not seen


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_public_addresses_pass(address: str) -> None:
    assert guard.Guard(())._public(address)


async def test_no_proxy_of_the_environment_is_used(
    network: Network, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with canary() as (seen, proxy), site(("/", whole)) as port:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert await download(f"http://public.example:{port}/", target)
        assert not seen
