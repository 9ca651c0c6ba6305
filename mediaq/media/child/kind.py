"""What a file is, told from its content; the name only breaks a tie between kinds of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mediaq.media.child import signature, writing
from mediaq.media.child.container import no_film, open_media, readable_films
from mediaq.media.child.refusal import Refusal

KNOWN = "video, audio, PDF, images, text, Markdown, HTML, docx, xlsx, pptx, csv and e-mail"
# A GIF or PNG with more than one picture is shown over time, and the decoder of films reads both;
# other pictures in pictures (WebP, TIFF, HEIF) are pages.
MOVING = frozenset({"gif", "png"})


def kind(job: dict[str, Any], _tell: object) -> dict[str, Any]:
    """Tell the source's kind with the fields of ``mediaq.model.Kind``."""
    path, name = job["source"], job["name"]
    with Path(path).open("rb") as file:
        head = file.read(signature.HEAD)
        whole = not file.read(1)
    if not head:
        msg = f"{name} is empty"
        raise Refusal(msg)
    if signature.is_pdf(head):
        return _document("pdf")
    image = signature.picture(head)
    if image is not None and not (image in MOVING and _moves(path)):
        return _document("image")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        form, what = signature.archived(path)
        if form is None:
            raise _refused(name, what)
        return _document(form)
    encoding = None if image else writing.encoding(head, whole=whole)
    if encoding is not None:
        return _document(_form(name, head, encoding))
    return _media(path, name, head)


def _form(name: str, head: bytes, encoding: str) -> str:
    """Tell the kind of a text; a playlist would make a decoder open the files that it names."""
    text = head.decode("latin-1" if encoding == "unknown-8bit" else encoding, "ignore")
    if not text.strip():
        msg = f"{name} holds nothing but blanks"
        raise Refusal(msg)
    what = writing.playlist(text)
    if what is not None:
        msg = f"{name} is {what}: it names other files, which mediaq does not open; send the film"
        raise Refusal(msg)
    return writing.form(text, name)


def _media(path: str, name: str, head: bytes) -> dict[str, Any]:
    try:
        with open_media(path, name) as container:
            if readable_films(container):
                return {"media_type": "video", "form": container.format.name}
            if container.streams.audio:
                return {"media_type": "audio", "form": container.format.name}
            if container.streams.video:
                raise no_film(container, name)
            long_name = container.format.long_name
    except Refusal as refusal:
        what = signature.seems(path, head)
        if what:
            raise _refused(name, what) from None
        msg = f"{refusal.message}; mediaq analyses {KNOWN}"
        raise Refusal(msg) from None
    msg = f"{name} holds neither pictures nor sound ({long_name})"
    raise Refusal(msg)


def _moves(path: str) -> bool:
    """Look for a second picture."""
    from PIL import Image

    try:
        with Image.open(path, formats=("GIF", "PNG")) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _document(form: str) -> dict[str, Any]:
    return {"media_type": "document", "form": form}


def _refused(name: str, what: str) -> Refusal:
    return Refusal(f"{name} seems to be {what}, which mediaq does not analyse; it analyses {KNOWN}")
