"""The wheel carries all it needs: installed alone, outside the checkout, it migrates a database."""

from __future__ import annotations

import asyncio
import os
import sys
import zipfile
from pathlib import Path

import asyncpg

from mediaq.settings import Database

ROOT = Path(__file__).parent.parent.parent
UV = Path(sys.executable).with_name("uv")


async def run(*words: object, cwd: Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_the_wheel_migrates_from_a_clean_environment(
    tmp_path: Path, empty_database: Database
) -> None:
    await run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("mediaq", "schema"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                name = file.relative_to(ROOT).as_posix()
                assert (name if folder == "mediaq" else f"mediaq/{name}") in packed

    await run(UV, "venv", "--quiet", "--python", sys.executable, "clean", cwd=tmp_path)
    python = tmp_path / "clean" / "bin" / "python"
    install = (UV, "pip", "install", "--quiet", "--python", python)
    await run(*install, "--require-hashes", "-r", ROOT / "requirements.lock", cwd=tmp_path)
    await run(*install, "--no-deps", wheel, cwd=tmp_path)

    mediaq = python.with_name("mediaq")
    url = empty_database.dsn.get_secret_value()
    assert "worker" in await run(mediaq, "--help", cwd=tmp_path)
    applied = await run(mediaq, "migrate", cwd=tmp_path, DATABASE_URL=url)
    assert "apply mediaq/0003_flow.sql" in applied
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM media_analysis_requests") == 0
    await connection.close()
