"""``mediaq retry``."""

from __future__ import annotations

from mediaq.cli import selection

command = selection.command(
    "retry",
    "retried",
    ("failed", "cancelled"),
    "Ask again for what failed or was cancelled: the requests named, or all that a filter finds.",
)
