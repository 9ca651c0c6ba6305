"""What a document says of itself: format, pages, author, dates, camera; and its checksum."""

from __future__ import annotations

from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, MadeResult, Value


class Place(Value):
    """Where a picture was taken, in degrees and metres."""

    latitude: float
    longitude: float
    altitude_m: float | None = None


class Attached(Value):
    """A file that a message carries; it is not opened."""

    name: str
    mime_type: str


class DocumentMetadata(Value):
    """The ``metadata_extraction`` result of a document; what it does not say is left out.

    Everything but ``form``, ``size_bytes``, ``sha256`` and what is measured (``width``, ``height``,
    ``pages`` of a PDF or picture, ``rows``, ``columns``, ``encoding``) is what the file claims.
    """

    form: str
    format: str
    size_bytes: int
    sha256: str
    pages: int | None = None
    slides: int | None = None
    words: int | None = None
    rows: int | None = None
    columns: int | None = None
    separator: str | None = None
    encoding: str | None = None
    declared_language: str | None = None
    title: str | None = None
    author: str | None = None
    subject: str | None = None
    keywords: str | None = None
    description: str | None = None
    creator: str | None = None
    producer: str | None = None
    company: str | None = None
    last_modified_by: str | None = None
    created: str | None = None
    modified: str | None = None
    to: str | None = None
    attached: tuple[Attached, ...] | None = None
    # PDF
    page_width_mm: float | None = None
    page_height_mm: float | None = None
    tagged: bool | None = None
    encrypted: bool | None = None
    attachments: int | None = None
    form_fields: str | None = None
    macros: bool | None = None
    external_references: int | None = None
    # pictures
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    color_mode: str | None = None
    icc_profile: str | None = None
    has_alpha: bool | None = None
    animated: bool | None = None
    dpi: float | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    software: str | None = None
    copyright: str | None = None
    taken: str | None = None
    exposure_seconds: float | None = None
    f_number: float | None = None
    iso: float | None = None
    focal_length_mm: float | None = None
    gps: Place | None = None


async def run(work: Work, kit: Kit) -> Made:
    """Read what the source says of itself; where a picture was taken only when that was asked."""
    told = await kit.media.ask(
        "document_metadata",
        work.source,
        DocumentMetadata,
        title=work.title,
        progress=kit.progress,
        form=work.kind.form,
        gps=work.request.options.gps,
    )
    return Made(
        results=(
            MadeResult(
                result_type="metadata_extraction",
                content=describe(told),
                content_json=told.model_dump(mode="json", exclude_none=True),
            ),
        ),
    )


def describe(told: DocumentMetadata) -> str:
    """Say in one line what a document is."""
    parts = [told.format]
    for count, one in ((told.pages, "page"), (told.slides, "slide"), (told.rows, "row")):
        if count:
            parts.append(f"{count:,} {one}" + ("s" if count > 1 else ""))
    if told.columns:
        parts.append(f"{told.columns:,} column" + ("s" if told.columns > 1 else ""))
    if told.width:
        parts.append(f"{told.width}x{told.height}")
    if told.page_width_mm:
        parts.append(f"{told.page_width_mm:g} x {told.page_height_mm:g} mm")
    parts += [text for text in (told.title or told.subject, told.author) if text]
    return ", ".join(parts)


STEP = Step("document_metadata", run, ("metadata_extraction",))
