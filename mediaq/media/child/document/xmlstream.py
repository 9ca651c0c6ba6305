"""XML read as a stream by expat: no entity, nothing from outside, no tree in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from xml.parsers import expat

from mediaq.media.child.refusal import Refusal

BLOCK = 256 * 1024
# Nothing that people write is nested so deeply.
MAX_DEPTH = 512


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Read ``size`` bytes or what is left."""
        ...


Start = Callable[[str, dict[str, str]], None]


def read_xml(
    file: Source,
    name: str,
    *,
    start: Start,
    end: Callable[[str], None],
    letters: Callable[[str], None],
    doctype: bool = False,
) -> None:
    """Call ``start``, ``end`` and ``letters`` for what stands in ``file``.

    Names are ``namespace name``, with a space between. Entities are refused; so is a document type
    unless ``doctype`` lets one stand that declares nothing.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth = 0

    def on_start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            msg = f"{name} is nested more than {MAX_DEPTH} deep, the limit for XML"
            raise Refusal(msg)
        start(tag, attributes)

    def on_end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(tag)

    def on_entity(*_: object) -> None:
        msg = f"{name} declares XML entities, which are not expanded here"
        raise Refusal(msg)

    def on_doctype(*_: object) -> None:
        if not doctype:
            msg = f"{name} declares a document type, which its kind of file never has"
            raise Refusal(msg)

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.CharacterDataHandler = letters
    parser.EntityDeclHandler = on_entity
    parser.StartDoctypeDeclHandler = on_doctype
    try:
        while block := file.read(BLOCK):
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        msg = f"{name} holds XML that is damaged in line {error.lineno}"
        raise Refusal(msg) from None
