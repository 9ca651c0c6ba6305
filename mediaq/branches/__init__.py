"""The branches: which steps a kind of media goes through, and what each step needs."""

from __future__ import annotations

from mediaq.branches import audio, document, video
from mediaq.errors import Rejected
from mediaq.kit import Branch
from mediaq.model import MediaType

BRANCHES = (video.BRANCH, audio.BRANCH, document.BRANCH)


def of(media_type: MediaType) -> Branch:
    """Find the branch of a media type; :class:`Rejected` when there is none yet."""
    for branch in BRANCHES:
        if media_type == branch.media_type:
            return branch
    known = ", ".join(branch.media_type for branch in BRANCHES)
    msg = f"{media_type} is not analysed by this version of mediaq, which knows {known}"
    raise Rejected(msg)
