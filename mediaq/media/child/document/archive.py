"""Zip archives whose sizes are checked twice: as declared, and as they stream out."""

from __future__ import annotations

import zipfile
import zlib
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Self

from mediaq.media.child.document.xmlstream import Start, read_xml
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

MAX_FILES = 10_000
# Text in XML shrinks to a tenth or so; 200 times is no document. Small parts may do as they like.
MAX_RATIO = 200
SMALL = 1024 * 1024
DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError)
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships Relationship"


class Archive:
    """An office file; everything read from it counts against one bound."""

    def __init__(self, path: str, name: str, most: int) -> None:
        self.name = name
        self._most = most
        self._read = 0
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGE:
            msg = f"{name} is a damaged archive"
            raise Refusal(msg) from None
        listed = self._zip.infolist()
        if len(listed) > MAX_FILES:
            msg = f"{name} holds {len(listed):,} files; {MAX_FILES:,} is the limit"
            raise Refusal(msg)
        declared = sum(one.file_size for one in listed)
        if declared > most:
            how = f"would unpack to {declared / 1024**2:,.0f} MiB"
            raise self._too_large(how)
        for one in listed:
            if one.file_size > SMALL and one.file_size > MAX_RATIO * max(1, one.compress_size):
                msg = (
                    f"{name} holds {one.filename[:80]!r}, which unpacks to more than {MAX_RATIO}"
                    " times its size, the limit"
                )
                raise Refusal(msg)
        spans = sorted((one.header_offset, one.compress_size) for one in listed)
        for (start, size), (following, _) in pairwise(spans):
            if start + size > following:
                msg = f"{name} is an archive whose files overlap"
                raise Refusal(msg)
        self._names = set(self._zip.namelist())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._zip.close()

    def __contains__(self, part: str) -> bool:
        return part in self._names

    def names(self, start: str, end: str) -> list[str]:
        """List parts by how their names start and end."""
        return sorted(n for n in self._names if n.startswith(start) and n.endswith(end))

    def read(
        self,
        part: str,
        *,
        start: Start,
        end: Callable[[str], None],
        letters: Callable[[str], None],
    ) -> None:
        """Read an XML part as a stream; a part that is not there holds nothing."""
        if part not in self._names:
            return
        try:
            with self._zip.open(part) as file:
                counted = _Counted(file, self._count)
                read_xml(counted, self.name, start=start, end=end, letters=letters)
        except DAMAGE:
            msg = f"{self.name} is a damaged archive: {part} cannot be unpacked"
            raise Refusal(msg) from None

    def relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Read where a part's relations lead: by id, the kind's last word and the target."""
        folder, _, own = part.rpartition("/")
        found: dict[str, tuple[str, str]] = {}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == RELATIONS:
                kind = attributes.get("Type", "").rpartition("/")[2]
                target = attributes.get("Target", "")
                if attributes.get("TargetMode") != "External":
                    target = _within(folder, target)
                found[attributes.get("Id", "")] = (kind, target)

        rels = f"{folder}/_rels/{own}.rels" if folder else f"_rels/{own}.rels"
        self.read(rels, start=start, end=_nothing, letters=_nothing)
        return found

    def _count(self, size: int) -> None:
        self._read += size
        if self._read > self._most:
            how = "unpacks to more than it says"
            raise self._too_large(how)

    def _too_large(self, how: str) -> Refusal:
        return Refusal(f"{self.name} {how}; {self._most / 1024**2:,.0f} MiB is the limit")


class _Counted:
    """A stream that tells how much was read of it."""

    def __init__(self, file: IO[bytes], count: Callable[[int], None]) -> None:
        self._file = file
        self._count = count

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes or what is left."""
        block = self._file.read(size)
        self._count(len(block))
        return block


def _within(folder: str, target: str) -> str:
    """Resolve a target as a path within the archive."""
    parts = [] if target.startswith("/") else [part for part in folder.split("/") if part]
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _nothing(_: str) -> None: ...
