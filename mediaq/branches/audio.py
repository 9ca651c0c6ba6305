"""Audio: metadata first, then the cover beside what is heard, what is said, what that says."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import (
    audio_analysis,
    cover,
    metadata,
    summary,
    text_analysis,
    transcription,
)

BRANCH = Branch(
    "audio",
    {
        metadata.STEP: (),
        cover.STEP: (metadata.STEP,),
        audio_analysis.STEP: (metadata.STEP,),
        transcription.STEP: (metadata.STEP, audio_analysis.STEP),
        text_analysis.STEP: (transcription.STEP,),
        summary.STEP: (text_analysis.STEP,),
    },
)
