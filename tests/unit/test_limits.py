"""The limit on open files is raised as far as it may be."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from mediaq import limits
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(limits.open_files(wanted), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "told"),
    [
        (64, 256, 128, "128 (128, 256)"),
        (64, 256, 512, "256 (256, 256)"),
        (64, 256, 32, "64 (64, 256)"),
    ],
)
def test_no_more_files_are_asked_for_than_needed_and_allowed(
    soft: int, hard: int, wanted: int, told: str
) -> None:
    arguments = map(str, (soft, hard, wanted))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == told
