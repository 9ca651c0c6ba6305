"""The work ``document_metadata``: what a document says of itself, and its checksum."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaq.media.child.document import damage
from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.readers import reader

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = {
    "docx": "Word (docx)",
    "xlsx": "Excel (xlsx)",
    "pptx": "PowerPoint (pptx)",
    "html": "HTML",
    "eml": "e-mail",
    "csv": "separated values",
    "markdown": "Markdown",
    "text": "plain text",
    "svg": "SVG",
}


def document_metadata(job: dict[str, Any], tell: Callable[[float, str], None]) -> dict[str, Any]:
    """Answer with the fields of ``mediaq.steps.document_metadata.DocumentMetadata``."""
    path, form = job["source"], job["form"]
    with damage.refused(job["name"]):
        facts = _facts(path, job["name"], form, Bounds(**job["bounds"]), gps=job["gps"])
    tell(0.5, "computing the checksum")
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, 2)
    facts.setdefault("format", FORMATS.get(form, form))
    return {"form": form, "size_bytes": size, "sha256": digest, **facts}


def _facts(path: str, name: str, form: str, bounds: Bounds, *, gps: bool) -> dict[str, Any]:
    if form == "pdf":
        from mediaq.media.child.document import pdf

        with contextlib.closing(pdf.open_pdf(path, name)) as document:
            return pdf.metadata(document)
    if form == "image":
        from mediaq.media.child.document import pictures

        return pictures.metadata(pictures.open_picture(path, name, bounds), gps=gps)
    if form in {"docx", "xlsx", "pptx"}:
        from mediaq.media.child.document.core import properties

        return properties(path, name, bounds)
    if form == "svg":
        from mediaq.media.child.document import svg

        return {"external_references": len(svg.look(path, name).outside)}
    read = reader(form)(path, name, bounds)
    if form == "csv" and read.tables:
        return read.facts | {"rows": read.tables[0].rows, "columns": read.tables[0].columns}
    return read.facts
