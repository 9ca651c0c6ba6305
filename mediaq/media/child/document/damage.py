"""What a library says of a damaged document, as a refusal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refused(name: str) -> Iterator[None]:
    """Refuse ``name`` where a library stumbles over it; what this machine lacks is let through."""
    try:
        yield
    except (RuntimeError, OSError, SyntaxError) as error:
        # Pillow's and pdfium's own have no number; those of the system have one.
        if getattr(error, "errno", None) is not None:
            raise
        msg = f"{name} cannot be read to its end, it is damaged: {error}"
        raise Refusal(msg) from None
