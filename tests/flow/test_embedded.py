"""The embedded PostgreSQL with real servers: shared, killed, interrupted, misconfigured."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from mediaq.embedded import Postgres, Server, account, locks, postmaster, programs
from mediaq.embedded.place import Place
from mediaq.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT = Path(__file__).parents[2]
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")

USER = """
import json, sys
from pathlib import Path
from mediaq.embedded import Postgres

home, shared, bin_dir = map(Path, sys.argv[1:])
wish = Postgres(home, shared=shared, bin_dir=bin_dir, settings={"fsync": "off"})
with wish.start() as server:
    print(json.dumps({"pid": server.pid, "port": server.port}), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True)
class World:
    """A folder that every user can pass through, which pytest's own is not."""

    folder: Path
    stack: ExitStack

    @property
    def wish(self) -> Postgres:
        return Postgres(
            self.folder / "home", shared=self.folder / "shared", settings={"fsync": "off"}
        )

    @property
    def place(self) -> Place:
        return Place(self.folder / "home" / "postgres")

    def start(self, **changes: Any) -> Server:
        return self.stack.enter_context(replace(self.wish, **changes).start())

    def process(self, bin_dir: Path | None = None) -> subprocess.Popen[str]:
        """Return another process that uses the server until its stdin is closed."""
        chosen = bin_dir or next(programs.candidates())
        process = subprocess.Popen(
            [sys.executable, "-c", USER, self.wish.home, self.wish.shared, chosen],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.stack.callback(finish, process)
        return process

    def lives(self) -> bool:
        return postmaster.find(self.place.data) is not None or not locks.is_free(self.place.alive)


@contextmanager
def new_folder() -> Iterator[Path]:
    """Give a folder that every user can pass through, and leave nothing of it behind."""
    folder = Path(tempfile.mkdtemp(prefix="mediaq-")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def quiet(folder: Path) -> Iterator[World]:
    """Give the world in ``folder``, and see to it that in the end no server is left in it."""
    with ExitStack() as stack:
        yield World(folder, stack)
    left = list(folder.rglob("postmaster.pid"))
    for file in left:
        postmaster.stop(Place(file.parent.parent))
    assert not left, "a server outlived its last user"


@pytest.fixture
def bare() -> Iterator[World]:
    """Return a world without data."""
    with new_folder() as folder, quiet(folder) as world:
        yield world


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Return a folder with data, since to make it takes longest."""
    with new_folder() as folder, quiet(folder) as world:
        world.wish.start().release()
        yield folder


@pytest.fixture
def world(made: Path) -> Iterator[World]:
    """Return a world whose data was there before; its server does not run."""
    with quiet(made) as world:
        yield world


@pytest.fixture
def own(made: Path) -> Iterator[World]:
    """Return a world with a copy of the data, to be spoilt."""
    with new_folder() as folder, quiet(folder) as world:
        subprocess.run(["/bin/cp", "-a", made / "home", folder], check=True)
        yield world


def finish(process: subprocess.Popen[str]) -> None:
    """Let a process end by itself, and wait for it."""
    process.communicate()


def kill(server: Server) -> None:
    """Kill the server's first process and wait until it is dead, though its children may not be."""
    process = os.pidfd_open(server.pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
    finally:
        os.close(process)


def told(process: subprocess.Popen[str]) -> dict[str, int]:
    """Wait until the process uses the server and return what it says of it."""
    assert process.stdout
    found: dict[str, int] = json.loads(process.stdout.readline())
    return found


def ask(server: Server, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    """Run ``work`` with a connection."""

    async def connected() -> Any:
        connection = await asyncpg.connect(server.dsn)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def test_a_first_start_gives_a_database_that_rings_bells(bare: World) -> None:
    server = bare.start()

    async def ring(connection: asyncpg.Connection) -> tuple[str, str, str]:
        rung: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await connection.add_listener("bell", lambda *heard: rung.set_result(str(heard[3])))
        await connection.execute("NOTIFY bell, 'ding'")
        name = await connection.fetchval("SELECT current_database() || ' ' || current_user")
        version = await connection.fetchval("SHOW server_version")
        return await asyncio.wait_for(rung, 10), name, version

    heard, name, version = ask(server, ring)
    assert heard == "ding"
    assert name == "af-memory mediaq" == f"{server.database} {server.user}"
    assert server.version == version.split()[0]
    assert (server.place, server.host) == (bare.place.folder, "127.0.0.1")


def test_a_users_data_is_written_safely_and_the_rest_suits_a_queue(bare: World) -> None:
    server = bare.start(settings={"work_mem": "5MB"})
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "max_connections": "200",
        "jit": "off",
        "search_path": "public",
        "work_mem": "5MB",
        "password_encryption": "scram-sha-256",
    }

    async def shown(connection: asyncpg.Connection) -> dict[str, str]:
        return {name: await connection.fetchval(f"SHOW {name}") for name in wanted}

    assert ask(server, shown) == wanted


def test_a_second_start_finds_data_port_and_password_again(world: World) -> None:
    with world.wish.start() as first:
        ask(first, lambda connection: connection.execute("CREATE TABLE kept ()"))
    assert not world.lives()
    second = world.start()
    assert second.dsn == first.dsn
    assert second.pid != first.pid
    ask(second, lambda connection: connection.execute("SELECT FROM kept"))


def test_a_port_that_was_taken_meanwhile_is_replaced(world: World) -> None:
    with world.wish.start() as first:
        pass
    with socket.create_server(("127.0.0.1", first.port)):
        assert world.start().port != first.port


def test_a_port_taken_between_look_and_start_is_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.wish.start() as first:
        pass
    monkeypatch.setattr(postmaster, "_is_free", lambda _port: True)
    with socket.create_server(("127.0.0.1", first.port)):
        assert world.start().port != first.port


def test_a_wanted_port_is_kept_or_refused(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(Unavailable, match=r"server.log says: .*Address already in use"):
            world.start(port=port)
    assert not world.lives()
    assert world.start(port=port).port == port


def test_a_bad_setting_is_quoted_from_the_log(world: World) -> None:
    with pytest.raises(Unavailable) as caught:
        world.start(settings={"shared_buffers": "lots of it"})
    assert 'invalid value for parameter "shared_buffers": "lots of it"' in caught.value.message
    assert str(world.place.log) in caught.value.message
    assert not world.lives()


def test_the_server_listens_on_loopback_only(world: World) -> None:
    server = world.start(settings={"fsync": "off", "listen_addresses": "*"})

    async def shown(connection: asyncpg.Connection) -> list[str]:
        names = ("listen_addresses", "unix_socket_directories")
        return [await connection.fetchval(f"SHOW {name}") for name in names]

    assert ask(server, shown) == ["127.0.0.1", ""]
    with pytest.raises(OSError, match=r"refused|assign|unreachable"):
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


def test_the_password_is_needed_and_stands_in_one_private_file(world: World) -> None:
    server = world.start()
    password = world.place.password.read_text()
    assert password in server.dsn
    assert len(password) >= 32
    assert stat.S_IMODE(world.place.password.stat().st_mode) == 0o600
    assert world.place.password.stat().st_uid == os.geteuid()
    assert password not in repr(server)
    assert password not in world.place.log.read_text()
    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    assert password not in Path(f"/proc/{server.pid}/environ").read_text()
    wrong = replace(server, dsn=server.dsn.replace(password, "guess"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(wrong, lambda connection: connection.execute("SELECT"))


def test_a_lost_password_is_told_and_leaves_nothing_running(own: World) -> None:
    with own.wish.start():
        pass
    own.place.password.unlink()
    with pytest.raises(Rejected, match=r"put it back into .*/password"):
        own.start()
    assert not own.lives()


def test_several_processes_share_a_server_that_the_last_one_stops(world: World) -> None:
    first, second = world.process(), world.process()
    assert told(first) == told(second)
    with world.wish.start() as third:
        finish(first)
        finish(second)
        assert world.lives()
        ask(third, lambda connection: connection.execute("SELECT"))
    assert not world.lives()


def test_two_uses_by_one_process_are_two(world: World) -> None:
    first, second = world.start(), world.start()
    first.release()
    first.release()
    assert world.lives()
    second.release()
    assert not world.lives()


def test_a_forked_child_does_not_end_its_parents_use(world: World) -> None:
    server = world.start()
    child = os.fork()
    if child == 0:
        server.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert world.lives()


def test_a_killed_user_leaves_the_server_to_the_next_one(world: World) -> None:
    process = world.process()
    before = told(process)
    process.kill()
    process.wait()
    assert world.lives()
    with world.wish.start() as after:
        assert after.pid == before["pid"]
    assert not world.lives()


def test_a_killed_server_recovers_what_was_committed(world: World) -> None:
    server = world.start()
    ask(server, lambda connection: connection.execute("CREATE TABLE committed ()"))
    kill(server)
    again = world.start()
    assert (again.pid != server.pid, again.port) == (True, server.port)
    ask(again, lambda connection: connection.execute("SELECT FROM committed"))


def test_a_killed_server_is_started_again_while_its_backend_still_ends(world: World) -> None:
    server = world.start()

    async def replaced(_: asyncpg.Connection) -> int:
        kill(server)
        return (await asyncio.to_thread(world.start)).pid

    assert ask(server, replaced) != server.pid


@pytest.mark.parametrize("whose", ["nobody", "a zombie", "ourselves"])
def test_a_pid_file_left_by_a_dead_server_is_no_obstacle(world: World, whose: str) -> None:
    with world.wish.start() as before:
        content = (world.place.data / "postmaster.pid").read_text()
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    if whose == "nobody":
        process.wait()
    number = os.getpid() if whose == "ourselves" else process.pid
    _, rest = content.split("\n", 1)
    (world.place.data / "postmaster.pid").write_text(f"{number}\n{rest}")
    after = world.start()
    assert after.pid not in {before.pid, number}
    ask(after, lambda connection: connection.execute("SELECT"))
    process.wait()


def test_a_server_that_somebody_started_by_hand_is_shared(world: World) -> None:
    with world.wish.start() as server:
        command = Path(f"/proc/{server.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    who = account.owner(world.place.data)
    log = locks.open_private(world.place.log)
    try:
        who.launch(command, log=log, keep=log)
    finally:
        os.close(log)
    by_hand = None
    while by_hand is None:
        by_hand = postmaster.find(world.place.data)
    with world.wish.start() as after:
        assert after.pid == by_hand.pid
    assert not world.lives()


def test_a_server_that_does_not_stop_is_told(world: World) -> None:
    server = world.start()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="does not stop"):
            postmaster.stop(world.place, patience=0.05)
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_server_out_of_sight_is_not_started_a_second_time(world: World) -> None:
    with world.wish.start():
        pass
    fd = locks.open_private(world.place.alive)
    try:
        assert locks.acquire(fd)
        with pytest.raises(Unavailable, match="processes that are not seen from here"):
            world.start(timeout=0.05)
    finally:
        os.close(fd)


def test_a_ctrl_c_at_the_terminal_does_not_reach_the_server(world: World) -> None:
    server = world.start()
    assert os.getsid(server.pid) != os.getsid(0)
    assert os.getpgid(server.pid) != os.getpgid(0)


def test_the_server_inherits_its_own_lock_only(world: World) -> None:
    server = world.start()
    held = {str(link.readlink()) for link in Path(f"/proc/{server.pid}/fd").iterdir()}
    assert str(world.place.alive) in held
    assert not held & {str(world.place.users), str(world.place.busy)}
    assert str(Path(f"/proc/{server.pid}/fd/0").readlink()) == "/dev/null"


def wrapped(world: World, script: str) -> Path:
    """Return a folder of programs whose ``initdb`` is ``script``; ``$real`` is the real one."""
    real = next(programs.candidates())
    folder = world.folder / "bin"
    folder.mkdir()
    (folder / "postgres").symlink_to(real / "postgres")
    (folder / "initdb").write_text(f"#!/bin/sh\nreal={real}/initdb\nhere={world.folder}\n{script}")
    (folder / "initdb").chmod(0o755)
    return folder


def test_of_four_processes_that_start_at_once_one_makes_the_data(bare: World) -> None:
    count = bare.folder / "count"
    count.touch()
    count.chmod(0o666)
    bin_dir = wrapped(bare, 'echo once >> "$here/count"\nexec "$real" "$@"\n')
    processes = [bare.process(bin_dir) for _ in range(4)]
    answers = [told(process) for process in processes]
    assert answers == answers[:1] * 4
    assert count.read_text().split() == ["once"]
    for process in processes:
        finish(process)
    assert not bare.lives()


def test_a_start_killed_while_the_data_is_made_does_no_harm(bare: World) -> None:
    begun, over = bare.folder / "begun", bare.folder / "over"
    for pipe in (begun, over):
        os.mkfifo(pipe)
        pipe.chmod(0o666)
    bin_dir = wrapped(bare, '"$real" "$@"\necho $$ > "$here/begun"\nread _ < "$here/over"\n')
    process = bare.process(bin_dir)
    initdb = begun.read_text()
    process.kill()
    process.wait()
    assert not bare.place.data.exists()
    server = bare.start()
    ask(server, lambda connection: connection.execute("SELECT"))
    # Only now may the initdb that outlived its process end.
    assert Path(f"/proc/{initdb.strip()}").exists()
    over.write_text("\n")
    assert {path.name for path in bare.place.folder.iterdir()} == {
        "alive.lock",
        "busy.lock",
        "data",
        "launch.json",
        "password",
        "server.log",
        "users.lock",
    }


def test_data_that_cannot_be_made_is_told_in_the_words_of_initdb(bare: World) -> None:
    bin_dir = wrapped(bare, 'exec "$real" "$@" --wal-segsize=3\n')
    with pytest.raises(Unavailable, match=r"could not be made: initdb: error: .*power of two"):
        bare.start(bin_dir=bin_dir)
    assert not bare.place.data.exists()
    assert not list(bare.place.folder.glob("draft-*"))


def test_a_data_folder_without_data_is_not_touched(bare: World) -> None:
    bare.place.data.mkdir(parents=True)
    (bare.place.data / "precious").touch()
    with pytest.raises(Rejected, match="move it away or restore it"):
        bare.start()
    assert (bare.place.data / "precious").exists()


@only_root
def test_root_becomes_a_user_without_rights(bare: World) -> None:
    server = bare.start()
    status = Path(f"/proc/{server.pid}/status").read_text()
    who = account.choose()
    assert f"Uid:\t{who.uid}\t{who.uid}\t{who.uid}\t{who.uid}\n" in status
    assert f"Gid:\t{who.gid}\t{who.gid}\t{who.gid}\t{who.gid}\n" in status
    assert "Groups:\t \n" in status
    assert bare.place.data.stat().st_uid == who.uid


@only_root
def test_root_runs_existing_data_as_its_owner(own: World) -> None:
    with own.wish.start() as server:
        pass
    nobody = account.choose("nobody")
    for path in (own.place.data, *own.place.data.rglob("*")):
        os.chown(path, nobody.uid, nobody.gid)
    server = own.start(user="postgres" if account.choose() != nobody else None)
    assert Path(f"/proc/{server.pid}").stat().st_uid == nobody.uid


@only_root
def test_a_start_by_root_leaves_a_users_files_to_the_user(own: World) -> None:
    nobody = account.choose("nobody")
    for path in (own.place.folder, *own.place.folder.rglob("*")):
        os.chown(path, nobody.uid, nobody.gid)
    (own.place.folder / "launch.json").unlink()
    own.start()
    assert {path.stat().st_uid for path in own.place.folder.iterdir()} == {nobody.uid}


@only_root
def test_a_user_that_is_not_there_is_named(bare: World) -> None:
    with pytest.raises(Rejected, match="no unprivileged user nemo"):
        bare.start(user="nemo")


@only_root
def test_a_home_that_the_servers_user_cannot_reach_is_left_as_it_is(bare: World) -> None:
    locked = bare.folder / "locked"
    locked.mkdir(mode=0o700)
    with replace(bare.wish, home=locked / "home").start() as server:
        assert server.place.parent == bare.wish.shared
        assert stat.S_IMODE(bare.wish.shared.stat().st_mode) == 0o755
    assert stat.S_IMODE(locked.stat().st_mode) == 0o700
    assert not (locked / "home" / "postgres").exists()
    # The data is found again also when the home could hold it by now.
    locked.chmod(0o755)
    assert bare.start(home=locked / "home").dsn == server.dsn


def locked_wheel(world: World) -> Path:
    """Return the wheel's programs, as in a virtualenv that only root can read."""
    package = next(programs.candidates()).parent.parent
    site = world.folder / "venv"
    site.mkdir(mode=0o700)
    unneeded = shutil.ignore_patterns("include")
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, site / part.name, ignore=unneeded)
    return site / package.name / "pginstall" / "bin"


@only_root
def test_programs_that_only_root_can_read_are_copied_once(bare: World) -> None:
    bin_dir = locked_wheel(bare)
    with replace(bare.wish, bin_dir=bin_dir).start() as server:
        program = Path(f"/proc/{server.pid}/exe").readlink()
    shelf = bare.wish.shared / "programs"
    assert program.is_relative_to(shelf)
    (copy,) = shelf.iterdir()
    for path in (shelf, copy, *copy.rglob("*")):
        mode = path.stat().st_mode
        assert path.stat().st_uid == 0
        assert path.is_symlink() or mode & 0o777 in {0o644, 0o755}
    made = copy.stat().st_ctime_ns
    assert bare.start(bin_dir=bin_dir).dsn == server.dsn
    assert [(found, found.stat().st_ctime_ns) for found in shelf.iterdir()] == [(copy, made)]


@only_root
def test_a_copy_that_does_not_run_is_made_again(bare: World) -> None:
    bin_dir = locked_wheel(bare)
    who = account.choose()
    copy = programs.copied(bin_dir, bare.wish.shared, who)
    (copy / "postgres").write_bytes(b"")
    assert programs.copied(bin_dir, bare.wish.shared, who) == copy
    assert "(PostgreSQL)" in who.run([copy / "postgres", "--version"]).stdout


@only_root
@pytest.mark.parametrize("planted", ["", "programs"])
def test_a_copy_is_not_made_where_somebody_else_can_write(bare: World, planted: str) -> None:
    bin_dir = locked_wheel(bare)
    folder = bare.wish.shared / planted
    folder.mkdir(parents=True)
    who = account.choose()
    os.chown(folder, who.uid, who.gid)
    with pytest.raises(Rejected, match="must be a folder that only user 0 can write to"):
        bare.start(bin_dir=bin_dir)
    assert not list(folder.iterdir())


def test_a_port_stays_ours_although_connections_to_it_linger(world: World) -> None:
    first = world.start()
    with closing(socket.create_connection((first.host, first.port))):
        # Cut by the server's end, the connection lingers on its side.
        first.release()
    assert world.start().port == first.port
