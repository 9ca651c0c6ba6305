"""What went wrong, told by what happens next: a request is rejected for good, or tried again."""

from __future__ import annotations


class MediaqError(Exception):
    """A failure that mediaq understands; its text is one sentence for the person who asked.

    ``details`` are facts for whoever looks closer (limits, ffmpeg's decisive lines); they are
    stored in ``error_details`` and never hold a secret.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Rejected(MediaqError):
    """The input or the request is wrong; trying again would end the same way."""


class Unavailable(MediaqError):
    """Something outside may heal by itself; the request goes back to the queue.

    ``retry_after`` is the least time in seconds to wait, when the other side named one.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, **details: object
    ) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after
