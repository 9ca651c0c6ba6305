"""Documents: what they say of themselves, their text and what is in it, their pages."""

from __future__ import annotations

from mediaq.kit import Branch
from mediaq.steps import document_metadata, previews, summary, text_analysis

BRANCH = Branch(
    "document",
    {
        document_metadata.STEP: (),
        previews.STEP: (),
        text_analysis.STEP: (),
        summary.STEP: (text_analysis.STEP,),
    },
)
