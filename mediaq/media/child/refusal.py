"""The one way the child says no."""

from __future__ import annotations


class Refusal(Exception):
    """The input or the options are wrong; the text is one sentence for the person who asked."""

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
