"""Audio: metadata first, then the cover beside what is heard, then what is said."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import audio_analysis, cover, metadata, transcription

BRANCH = Branch(
    "audio",
    {
        metadata.STEP: (),
        cover.STEP: (metadata.STEP,),
        audio_analysis.STEP: (metadata.STEP,),
        transcription.STEP: (metadata.STEP, audio_analysis.STEP),
    },
)
