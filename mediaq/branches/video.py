"""Video: metadata first, then contact sheets beside scenes and motion."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import contact_sheets, metadata, scenes

BRANCH = Branch(
    "video",
    {
        metadata.STEP: (),
        contact_sheets.STEP: (metadata.STEP,),
        scenes.STEP: (metadata.STEP,),
    },
)
