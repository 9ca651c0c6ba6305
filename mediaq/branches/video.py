"""Video: metadata first, then frames and contact sheets, and a storyboard if asked for."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import contact_sheets, metadata, storyboard

BRANCH = Branch(
    "video",
    {
        metadata.STEP: (),
        contact_sheets.STEP: (metadata.STEP,),
        storyboard.STEP: (metadata.STEP,),
    },
)
