"""What a file is, told from its content and never from its name."""

from __future__ import annotations

from typing import Any

from mediaq.media.child.container import no_film, open_media, readable_films
from mediaq.media.child.refusal import Refusal


def kind(job: dict[str, Any], _tell: object) -> dict[str, Any]:
    """Tell the source's kind with the fields of ``mediaq.model.Kind``."""
    with open_media(job["source"], job["name"]) as container:
        if readable_films(container):
            return {"media_type": "video", "form": container.format.name}
        if container.streams.audio:
            return {"media_type": "audio", "form": container.format.name}
        if container.streams.video:
            raise no_film(container, job["name"])
    msg = f"{job['name']} holds neither pictures nor sound ({container.format.long_name})"
    raise Refusal(msg)
