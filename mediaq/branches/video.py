"""Video: metadata first, then sheets and scenes beside what is heard and said."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import (
    audio_analysis,
    contact_sheets,
    metadata,
    scenes,
    storyboard,
    summary,
    text_analysis,
    transcription,
)

BRANCH = Branch(
    "video",
    {
        metadata.STEP: (),
        contact_sheets.STEP: (metadata.STEP,),
        storyboard.STEP: (metadata.STEP,),
        scenes.STEP: (metadata.STEP,),
        audio_analysis.STEP: (metadata.STEP,),
        transcription.STEP: (metadata.STEP, audio_analysis.STEP),
        text_analysis.STEP: (transcription.STEP,),
        summary.STEP: (text_analysis.STEP,),
    },
)
