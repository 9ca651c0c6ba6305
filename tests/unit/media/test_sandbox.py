"""What decodes foreign bytes reaches nothing but its source, its folder and the libraries."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mediaq.errors import Rejected
from mediaq.media import local, process
from mediaq.media.child import seccomp
from mediaq.media.child.extent import Extent
from mediaq.media.local import LocalMedia
from mediaq.settings import Settings

BOOT = """
import json, os, sys
job = json.loads(sys.stdin.buffer.readline())
sys.path[:] = job["import"]
from mediaq.media.child import entry
def work(job, answers):
    known = {"job": job, "os": os}
    exec(job["code"], known)
    return {"answer": known.get("answer")}
entry._work = work
entry.main(job)
"""

Inside = Callable[..., Awaitable[Any]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    film = tmp_path / "sources" / "film.mp4"
    film.parent.mkdir()
    film.write_text("foreign bytes")
    (film.parent / "canary").write_text("of somebody else")
    return film


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "workspace" / "step"


@pytest.fixture
def inside(source: Path, into: Path) -> Inside:
    """Run code as a work of the child: it finds ``job`` and leaves ``answer``."""

    async def run(code: str, **job: object) -> Any:
        told = await process.run(
            {
                "code": textwrap.dedent(code),
                "into": str(into),
                "canary": str(source.parent / "canary"),
                "worker": os.getpid(),
                **job,
            },
            name="film.mp4",
            source=source,
            seconds=30,
            boot=BOOT,
        )
        return told["answer"]

    return run


@pytest.fixture
async def held() -> dict[str, bool]:
    """What this kernel lets a process give up, as ``mediaq doctor`` tells it."""
    return (await LocalMedia(30).sandbox()).model_dump(include={"files", "network", "processes"})


FORBIDDEN = {
    "files": [
        "open(job['canary'])",
        "open('/etc/passwd')",
        "open('/proc/self/root/etc/passwd')",
        "open('/proc/self/mem', 'r+b')",
        "open(f'/proc/{job[\"worker\"]}/environ')",
        "os.listdir('/')",
        "os.listdir(os.path.dirname(job['source']))",
        "open(job['source'], 'a')",
        "open(job['canary'] + '-new', 'w')",
        "os.unlink(job['canary'])",
        "os.rename(job['canary'], job['into'] + '/mine')",
        "os.link(job['canary'], job['into'] + '/mine')",
        "os.truncate(job['canary'], 0)",
        "os.mkdir('/tmp/mediaq-was-here')",
        "os.symlink('/etc/passwd', job['into'] + '/x'); open(job['into'] + '/x')",
    ],
    "network": [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.create_connection(('127.0.0.1', job['port']))",
    ],
    "processes": [
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "import subprocess; subprocess.run(['true'])",
        "os.kill(job['worker'], 0)",
        "os.chmod(job['canary'], 0)",
        "os.utime(job['canary'], (0, 0))",
        "os.setxattr(job['canary'], 'user.x', b'')",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "os.setuid(1)" if os.getuid() == 0 else "os.setuid(0)",
    ],
}


@pytest.mark.parametrize(
    ("what", "code"),
    [(what, code) for what, codes in FORBIDDEN.items() for code in codes],
    ids=lambda text: text,
)
async def test_what_a_decoder_needs_not_is_forbidden(
    inside: Inside, held: dict[str, bool], source: Path, what: str, code: str
) -> None:
    tried = "try:\n"
    tried += textwrap.indent(code.replace("; ", "\n"), "    ")
    tried += "\n    answer = 'did it'\nexcept OSError as error:\n    answer = error.errno\n"
    tried += "except ValueError:\n    answer = 1\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        answer = await inside(tried, port=listener.getsockname()[1])
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert answer in ({errno.EPERM, errno.EACCES, errno.EXDEV} if held[what] else {"did it"})
    if held[what]:
        assert (source.parent / "canary").read_text() == "of somebody else"
        assert len(list(source.parent.iterdir())) == 2


async def test_a_thread_is_confined_like_the_one_that_started_it(inside: Inside) -> None:
    code = """
    import threading
    answer = []
    def look():
        for path in (job["canary"], job["source"]):
            try:
                answer.append(open(path).read())
            except PermissionError:
                answer.append("no")
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    """
    assert await inside(code) == ["no", "foreign bytes"]


async def test_the_workspace_and_temporary_files_in_it_can_be_written(
    inside: Inside, into: Path
) -> None:
    code = """
    import tempfile
    with open(job["into"] + "/made", "w") as file:
        file.write("made")
    os.mkdir(job["into"] + "/folder")
    os.rename(job["into"] + "/made", job["into"] + "/folder/made")
    answer = tempfile.NamedTemporaryFile().name
    """
    assert Path(await inside(code)).is_relative_to(into)
    assert (into / "folder" / "made").read_text() == "made"


async def test_what_a_job_names_as_readable_can_be_read(
    inside: Inside, source: Path, tmp_path: Path
) -> None:
    model = tmp_path / "models" / "weights"
    model.parent.mkdir()
    model.write_text("weights")
    code = "answer = open(job['readable'][0] + '/weights').read()"
    assert await inside(code, readable=[str(model.parent)]) == "weights"


async def test_libraries_load_after_the_door_is_shut(inside: Inside) -> None:
    code = """
    import zoneinfo, decimal, sqlite3, PIL.Image, PIL.ImageFont, av, yarl
    PIL.Image.init()
    answer = sorted(os.listdir(os.path.dirname(av.__file__)))
    """
    assert "__init__.py" in await inside(code)


async def test_a_checkout_shows_its_package_and_nothing_else(inside: Inside) -> None:
    root = Path(process.__file__).parents[2]
    code = """
    open(job["root"] + "/mediaq/errors.py")
    try:
        answer = open(job["root"] + "/pyproject.toml").read()
    except PermissionError:
        answer = "no"
    """
    assert await inside(code, root=str(root)) == "no"


@pytest.mark.parametrize(
    ("code", "limits", "says"),
    [
        ("while True: pass", {"CPU": 1}, r"^film\.mp4 took more processor time to decode than"),
        ("bytearray(1 << 30)", {"AS": 1 << 29}, "needs more memory to decode than is allowed"),
        (
            "file = open(job['into'] + '/big', 'wb')\nwhile True: file.write(bytes(1 << 20))",
            {"FSIZE": 1 << 20},
            "would make a file larger than",
        ),
    ],
)
async def test_a_limit_of_the_kernel_ends_in_a_sentence_that_names_it(
    inside: Inside, code: str, limits: dict[str, int], says: str
) -> None:
    with pytest.raises(Rejected, match=says):
        await inside(code, limits=process.LIMITS | limits)


async def test_the_child_steps_back_for_the_worker(inside: Inside) -> None:
    code = """
    answer = [os.nice(0), int(open("/proc/self/oom_score_adj").read())]
    """
    assert await inside(code) == [os.nice(0) + 5, 1000]


async def test_a_foreign_working_folder_is_not_searched_for_modules(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    monkeypatch.syspath_prepend(str(source.parent))
    (source.parent / "av.py").write_text("raise SystemExit(77)")
    assert (await LocalMedia(30).sandbox()).files


def test_the_filter_has_a_number_for_each_call_on_each_architecture() -> None:
    for column, _ in enumerate(seccomp.MACHINES):
        program = seccomp._program(column, 1, forks=False)
        assert len(program) % 8 == 0
        numbers = [call[column] for call in seccomp.REFUSED if call[column] is not None]
        assert len(set(numbers)) == len(numbers)


FORKS = """
import os, socket, sys
sys.path.insert(0, sys.argv[1])
from mediaq.media.child import sandbox
sandbox.confine({"NOFILE": 64}, forks=True)
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    for forbidden in (lambda: os.execv(sys.executable, ["python"]), socket.socket):
        try:
            forbidden()
        except PermissionError:
            os.write(writer, b"refused ")
    os._exit(0)
os.waitpid(child, 0)
print(os.read(reader, 100).decode())
"""


def test_what_a_work_forks_is_confined_as_it_is() -> None:
    root = str(Path(__file__).parents[3])
    told = subprocess.run(
        [sys.executable, "-c", FORKS, root], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.split() == ["refused", "refused"]


def test_the_limits_that_a_child_gets_are_those_of_the_settings() -> None:
    media = local.media(Settings())
    assert media.extent == Extent()
    assert media.seconds == Settings().decode_timeout
    other = Settings(max_duration=1, max_pixels=2, max_frames=3, max_media_streams=4)
    assert local.media(other).extent == Extent(duration=1, pixels=2, frames=3, streams=4)
