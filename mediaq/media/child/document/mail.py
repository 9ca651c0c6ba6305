"""E-mail messages: headers that people read, the text, and the names of what is attached."""

from __future__ import annotations

from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from mediaq.media.child.document.bounds import Bounds
from mediaq.media.child.document.extract import Extract, Part
from mediaq.media.child.document.markup import read_markup
from mediaq.media.child.document.words import line
from mediaq.media.child.refusal import Refusal

HEADERS = ("From", "To", "Cc", "Date", "Subject")
MAX_BYTES = 64 * 1024 * 1024
MAX_PARTS = 1000


def read_eml(path: str, name: str, bounds: Bounds) -> Extract:
    """Read a message; what is attached is listed and not opened."""
    message = _open(path, name)
    extract = Extract("part")
    facts = extract.facts
    facts["subject"] = _header(message, "Subject")
    facts["author"] = _header(message, "From")
    facts["to"] = _header(message, "To")
    facts["created"] = _date(message)
    attached = []
    bodies: dict[str, list[str]] = {"plain": [], "html": []}
    for count, part in enumerate(message.walk()):
        if count > MAX_PARTS:
            extract.notes.append(f"Only the first {MAX_PARTS:,} parts were read, the limit.")
            break
        if part.is_multipart():
            continue
        if part.get_content_disposition() == "attachment" or part.get_filename():
            attached.append(
                {
                    "name": line(part.get_filename() or "unnamed", 255),
                    "mime_type": part.get_content_type(),
                }
            )
        elif part.get_content_maintype() == "text" and part.get_content_subtype() in bodies:
            bodies[part.get_content_subtype()].append(_text(part)[: bounds.text_chars])
    facts["attached"] = attached
    shown = [f"{key}: {value}" for key in HEADERS if (value := _header(message, key))]
    extract.parts.append(Part(1, "\n".join(shown), title="headers"))
    if any(text.strip() for text in bodies["plain"]):
        extract.parts.append(Part(2, "\n\n".join(bodies["plain"]), title="message"))
    for text in bodies["html"]:
        page = Extract("part")
        read_markup(text, page)
        extract.links |= page.links
        extract.tables += page.tables
        if not any(one.strip() for one in bodies["plain"]):
            extract.parts.append(Part(2, page.parts[0].text, title="message"))
    return extract


def _open(path: str, name: str) -> EmailMessage:
    if Path(path).stat().st_size > MAX_BYTES:
        msg = f"{name} is larger than {MAX_BYTES // 1024**2} MiB, the limit for messages"
        raise Refusal(msg)
    try:
        with Path(path).open("rb") as file:
            message = BytesParser(policy=policy.default).parse(file)
    except (MessageError, ValueError, LookupError, RecursionError):
        msg = f"{name} is a damaged message"
        raise Refusal(msg) from None
    assert isinstance(message, EmailMessage)  # noqa: S101 - what the policy makes
    return message


def _header(message: EmailMessage, key: str) -> str:
    """Read a header; the library trips over some that are damaged."""
    try:
        return line(str(message.get(key, "")))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        return ""


def _date(message: EmailMessage) -> str | None:
    try:
        when: Any = message["date"]
        return when.datetime.isoformat() if when and when.datetime else None
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None


def _text(part: Any) -> str:  # noqa: ANN401 - the library's own message
    try:
        return str(part.get_content())
    except (MessageError, LookupError, ValueError, TypeError, AttributeError):
        data = part.get_payload(decode=True)
        return data.decode("latin-1") if isinstance(data, bytes) else ""
