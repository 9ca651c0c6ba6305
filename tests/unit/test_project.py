"""The project's own promises: small modules, SQL in one place, locks with hashes."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from mediaq import db

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted((ROOT / "mediaq").rglob("*.py"))
LOCKS = sorted(ROOT.glob("requirements*.lock"))
LINES = 250
LONG = {
    # The columns that other services know, and what is made for them: a list, not logic.
    "model.py",
    # The settings, one after the other.
    "settings.py",
    # The scenes of the sample video: a list of drawings.
    "media/scenery.py",
}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_small_and_says_what_it_is(module: Path) -> None:
    text = module.read_text()
    name = module.relative_to(ROOT / "mediaq").as_posix()
    assert len(text.splitlines()) <= LINES or name in LONG
    assert ast.get_docstring(ast.parse(text))


def test_sql_stands_in_the_query_file_only() -> None:
    statement = re.compile(
        r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|NOTIFY)\s"
    )
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not statement.match(node.value) or "embedded" in module.parts, module


def test_every_named_query_is_used() -> None:
    text = "".join(module.read_text() for module in MODULES)
    for name in db.queries():
        assert f'"{name}"' in text, name


def test_the_triggers_of_the_flow_stand_in_one_file() -> None:
    """Others start nothing: checks before a row, writes to a view, a bell for workers, a date."""
    made = {
        (file.name, table)
        for file in (ROOT / "schema").glob("*.sql")
        for how, table in re.findall(
            r"^CREATE TRIGGER \w+\s+([A-Z ]+?) ON ([\w.]+)", file.read_text(), re.MULTILINE
        )
        if how.startswith("AFTER")
    }
    assert {file for file, table in made if table != "mediaq.queues"} == {"0003_flow.sql"}
    assert ("0004_queues.sql", "mediaq.queues") in made


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_with_hashes_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)
    pins = re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE)
    assert len(pins) > 30
    for block in re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    wanted = {
        "requirements.lock": [*project["project"]["dependencies"], *extras["embedded"]],
        "requirements-dev.lock": [
            *project["project"]["dependencies"],
            *(asked for extra in extras.values() for asked in extra),
            *(asked for group in groups.values() for asked in group),
        ],
    }
    for lock in LOCKS:
        pinned = set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))
        for asked in wanted[lock.name]:
            name = re.match(r"[a-z0-9-]+", asked)
            assert name is not None
            assert name[0] in pinned | {"mediaq"}, asked
