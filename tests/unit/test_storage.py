"""What every storage backend keeps to, and what only a disk can get wrong."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib
import os
import pkgutil
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediaq import storage as backends
from mediaq.errors import Unavailable
from mediaq.storage import STORAGES
from mediaq.storage.local import LocalStorage

BODY = os.urandom(3 << 20)

OPENERS: dict[str, Callable[[Path], LocalStorage]] = {"file": LocalStorage}
"""How the suite opens each backend, by its scheme."""

NOT_KEYS = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../x",
    "a/../x",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "a\0b",
]


@pytest.fixture(params=[scheme for scheme, _ in STORAGES])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStorage:
    """Each backend in turn, empty and prepared."""
    opened = OPENERS[request.param](tmp_path / "storage")
    opened.prepare()
    return opened


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    opened = LocalStorage(tmp_path / "storage")
    opened.prepare()
    return opened


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def file_in_temp(storage: LocalStorage, body: bytes = BODY, name: str = "made") -> Path:
    file = storage.temp / name
    file.write_bytes(body)
    return file


def kept(storage: LocalStorage) -> list[Path]:
    """Everything but temp that is no folder."""
    return [
        path
        for path in storage.root.rglob("*")
        if not path.is_dir() and storage.temp not in path.parents
    ]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# What every backend keeps to


async def test_what_is_put_is_there_with_its_size_and_checksum(storage: LocalStorage) -> None:
    source = file_in_temp(storage)
    stored = await storage.put(source, "outputs/r/step-1/sheet.jpg")
    assert Path(stored.file_path).read_bytes() == BODY
    assert stored.size_bytes == len(BODY)
    assert stored.sha256 == hashlib.sha256(BODY).hexdigest()
    assert not source.exists()


async def test_an_empty_file_can_be_stored(storage: LocalStorage) -> None:
    stored = await storage.put(file_in_temp(storage, b""), "outputs/empty")
    assert (stored.size_bytes, stored.sha256) == (0, hashlib.sha256().hexdigest())


@pytest.mark.parametrize("name", ["a b.jpg", "-x", "фильм.jpg", "new\nline", "...", "~", "%2e%2e"])
async def test_an_odd_name_is_a_key(storage: LocalStorage, name: str) -> None:
    stored = await storage.put(file_in_temp(storage), f"outputs/{name}")
    assert Path(stored.file_path).read_bytes() == BODY


async def test_putting_again_replaces(storage: LocalStorage) -> None:
    await storage.put(file_in_temp(storage, b"old"), "outputs/x")
    stored = await storage.put(file_in_temp(storage, b"new"), "outputs/x")
    assert Path(stored.file_path).read_bytes() == b"new"


async def test_many_files_are_put_side_by_side_into_a_new_folder(storage: LocalStorage) -> None:
    sources = [file_in_temp(storage, b"x" * n, f"made-{n}") for n in range(20)]
    stored = await asyncio.gather(
        *(storage.put(source, f"outputs/new/{source.name}") for source in sources)
    )
    assert [one.size_bytes for one in stored] == list(range(20))


@pytest.mark.parametrize("key", NOT_KEYS, ids=ascii)
async def test_a_key_that_leads_elsewhere_is_refused(storage: LocalStorage, key: str) -> None:
    source = file_in_temp(storage)
    with pytest.raises(ValueError, match="not a storage key"):
        await storage.put(source, key)
    with pytest.raises(ValueError, match="not a storage key"):
        await storage.remove(key)
    assert source.exists()
    assert not kept(storage)


async def test_remove_takes_a_file_or_all_below_a_key(storage: LocalStorage) -> None:
    for key in ("outputs/r/a-1/x", "outputs/r/a-1/y/z", "outputs/r/b-1/x"):
        await storage.put(file_in_temp(storage), key)
    await storage.remove("outputs/r/a-1")
    assert [path.name for path in kept(storage)] == ["x"]
    await storage.remove("outputs/r/b-1/x")
    assert not kept(storage)


async def test_removing_what_is_not_there_is_no_error(storage: LocalStorage) -> None:
    await storage.remove("outputs/none/at/all")
    await asyncio.gather(*(storage.remove("outputs/none") for _ in range(5)))


def test_every_backend_is_registered_and_in_this_suite() -> None:
    modules = {
        importlib.import_module(f"{backends.__name__}.{found.name}").__name__
        for found in pkgutil.iter_modules(backends.__path__)
    }
    assert {backend.__module__ for _, backend in STORAGES} == modules
    assert OPENERS.keys() == {scheme for scheme, _ in STORAGES}


# What only a disk can get wrong


@pytest.mark.parametrize(
    ("owner", "call"),
    [(os, "fsync"), (Path, "chmod"), (Path, "replace"), (Path, "open"), (Path, "mkdir")],
)
async def test_a_failure_in_the_middle_leaves_nothing_at_the_key(
    local: LocalStorage, owner: object, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_in_temp(local)
    with monkeypatch.context() as broken:
        broken.setattr(owner, call, full)
        with pytest.raises(Unavailable, match="No space left on device"):
            await local.put(source, "outputs/r/x")
    assert not kept(local)
    assert (await local.put(source, "outputs/r/x")).size_bytes == len(BODY)


async def test_a_name_that_may_not_last_is_taken_back(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def second_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            full()

    source = file_in_temp(local)
    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(Unavailable):
        await local.put(source, "outputs/x")
    assert not kept(local)


async def test_a_source_that_is_gone_is_told(local: LocalStorage) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        await local.put(local.temp / "none", "outputs/x")


async def test_a_put_that_is_cancelled_ends_before_the_clean_up(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = asyncio.Event(), threading.Event()
    loop, fsync = asyncio.get_running_loop(), os.fsync

    def slow(handle: int) -> None:
        loop.call_soon_threadsafe(started.set)
        go_on.wait()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    putting = asyncio.create_task(local.put(file_in_temp(local), "outputs/r/x"))
    await started.wait()
    for _ in range(3):
        putting.cancel()
        await asyncio.sleep(0)
    ended_early = putting.done()
    go_on.set()
    assert not ended_early
    with pytest.raises(asyncio.CancelledError):
        await putting
    await local.remove("outputs/r")
    assert not kept(local)


async def test_files_are_for_our_user_and_group_alone(umask: None, tmp_path: Path) -> None:
    local = LocalStorage(tmp_path / "new" / "storage")
    local.prepare()
    stored = Path((await local.put(file_in_temp(local), "outputs/r/s-1/x")).file_path)
    assert mode(stored) == 0o640
    folders = [local.root, local.uploads, local.temp, *list(stored.parents)[:3]]
    assert {mode(folder) for folder in folders} == {0o750}
    async with local.workspace() as workspace:
        assert mode(workspace) == 0o700


async def test_a_folder_that_stays_is_told(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.put(file_in_temp(local), "outputs/r/x")
    rmtree = shutil.rmtree

    def stuck(place: Path, *, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(shutil, "rmtree", stuck)
    with pytest.raises(Unavailable, match="cannot be removed: Device or resource busy"):
        await local.remove("outputs/r")
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    await local.remove("outputs/r")


async def test_removing_a_link_leaves_what_it_leads_to(local: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (local.outputs / "link").symlink_to(tmp_path / "other")
    await local.remove("outputs/link")
    assert (tmp_path / "other").exists()
    assert not (local.outputs / "link").is_symlink()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be made: Not a directory"):
        LocalStorage(tmp_path / "file" / "storage").prepare()


def test_preparing_again_changes_nothing(local: LocalStorage) -> None:
    (local.outputs / "x").write_text("")
    local.prepare()
    assert (local.outputs / "x").exists()


# Workspaces


async def test_a_workspace_is_empty_and_goes_with_all_in_it(local: LocalStorage) -> None:
    async with local.workspace() as first, local.workspace() as second:
        assert first != second
        assert not list(first.iterdir())
        (first / "a" / "b").mkdir(parents=True)
        (first / "a" / "b" / "x").write_text("x")
    assert not list(local.temp.iterdir())


async def test_a_workspace_goes_when_its_work_fails(local: LocalStorage) -> None:
    async def fail() -> None:
        async with local.workspace() as workspace:
            (workspace / "x").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert not list(local.temp.iterdir())


async def test_a_workspace_goes_when_its_work_is_cancelled(local: LocalStorage) -> None:
    working = asyncio.Event()

    async def work() -> None:
        async with local.workspace() as workspace:
            (workspace / "x").write_text("x")
            working.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await working.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(local.temp.iterdir())


async def test_a_workspace_needs_a_disk(local: LocalStorage) -> None:
    local.temp.rmdir()
    local.temp.write_text("in the way")
    with pytest.raises(Unavailable, match="no folder can be made"):
        async with local.workspace():
            pass


async def test_a_temp_folder_that_was_removed_is_made_again(local: LocalStorage) -> None:
    local.temp.rmdir()
    async with local.workspace() as folder:
        assert folder.is_dir()
