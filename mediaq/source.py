"""What an attempt works on: the source, brought to this disk, and the kind of media it is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from mediaq import fetch
from mediaq.errors import Rejected
from mediaq.kit import Media
from mediaq.model import Kind, Request
from mediaq.settings import Settings


async def bring(
    request: Request, settings: Settings, uploads: Path, workspace: Path
) -> tuple[Path, str]:
    """Bring the source here and say its name; a media_path goes before a media_url."""
    limit = settings.max_source_bytes
    if request.media_path is not None:
        roots = (*settings.media_roots, uploads)
        path = await asyncio.to_thread(fetch.from_path, request.media_path, roots, max_bytes=limit)
        # A name that is not UTF-8 could be stored in no row.
        return path, path.name.encode(errors="replace").decode()
    url = request.media_url or ""
    title = fetch.name_of(url)
    path = await fetch.from_url(
        url,
        workspace / _plain_name(title),
        max_bytes=limit,
        seconds=settings.fetch_timeout,
        allow=settings.fetch_allow,
    )
    return path, title


async def kind_of(request: Request, path: Path, title: str, media: Media) -> Kind:
    """Tell what the source is; a film or a recording that was announced is found out by its probe.

    Raises :class:`Rejected` when it is nothing we know, or not the document that was announced.
    """
    if request.media_type in {"video", "audio"}:
        return Kind(media_type=request.media_type, form=request.media_type)
    kind = await media.kind(path, title)
    if request.media_type not in {"auto", kind.media_type}:
        msg = f"{title} is {kind.media_type} ({kind.form}), not a {request.media_type}"
        raise Rejected(msg)
    return kind


def _plain_name(title: str) -> str:
    """A file name that means nothing to a shell or a decoder, still telling what the file is."""
    return re.sub(r"[^A-Za-z0-9._-]|^[.-]", "_", title)[-80:]
