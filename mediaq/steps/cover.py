"""The cover picture of a recording, as its thumbnail."""

from __future__ import annotations

from mediaq import pictures
from mediaq.kit import Kit, Step, Work
from mediaq.model import Made, Picture, Skip, Value


class Cover(Value):
    """What the child found; ``note`` says why there is no picture, where that is not plain."""

    picture: Picture | None
    note: str | None = None


async def run(work: Work, kit: Kit) -> Made:
    """Store the cover, if the file carries one."""
    found = await kit.media.ask(
        "cover", work.source, Cover, title=work.title, into=str(kit.workspace)
    )
    if found.picture is None:
        why = f"{work.title}: {found.note}" if found.note else f"{work.title} has no cover picture"
        return Made(skipped=Skip(code="no_cover", why=why))
    return Made(files=[await pictures.store(kit, found.picture, "thumbnail")])


STEP = Step("cover", run, ("metadata_extraction",))
