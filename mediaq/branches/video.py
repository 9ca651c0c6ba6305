"""Video: metadata first, then frames and contact sheets."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import contact_sheets, metadata

BRANCH = Branch(
    "video",
    {
        metadata.STEP: (),
        contact_sheets.STEP: (metadata.STEP,),
    },
)
