"""Telling text from other bytes, and the kinds of text from each other."""

from __future__ import annotations

import codecs
import csv
import re

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Bytes below a space that stand in texts: tab, line ends, form feed, escape.
LAYOUT = frozenset(b"\t\n\r\f\x1b\x08")
# More control bytes than this share, and it is no text in an unknown encoding.
CONTROL_SHARE = 0.002

PLAYLISTS = (
    (re.compile(r"#EXTM3U"), "an HLS or M3U playlist"),
    (re.compile(r"ffconcat version"), "a playlist of ffmpeg's concat"),
    (re.compile(r"\[playlist\]", re.IGNORECASE), "a PLS playlist"),
    (re.compile(r"v=0\s*[\r\n]+o="), "a session description (SDP)"),
)
XML_PLAYLISTS = {
    "mpd": "a DASH playlist",
    "smoothstreamingmedia": "a Smooth Streaming playlist",
    "smil": "a SMIL playlist",
    "asx": "an ASX playlist",
    "playlist": "an XSPF playlist",
}
XML_START = re.compile(r"<(?:\?xml|!DOCTYPE|!--|[A-Za-z_])", re.IGNORECASE)
SKIPPED = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", re.DOTALL)
ELEMENT = re.compile(r"<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_HTML = "html head body title meta div p table h1 h2 h3 span article section main ul ol"
HTML = frozenset(_HTML.split())
HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,40}):[ \t]")
_MAIL_HEADERS = (
    "from to subject date received return-path message-id mime-version delivered-to content- "
    "type reply-to cc dkim-signature x-mailer"
)
MAIL_HEADERS = frozenset(_MAIL_HEADERS.split())
MARKDOWN = (
    re.compile(r"^#{1,6} \S", re.MULTILINE),
    re.compile(r"^(```|~~~)", re.MULTILINE),
    re.compile(r"\[[^\]\n]+\]\([^)\s]+\)"),
    re.compile(r"^\s{0,3}[-*+] \S.*\n(?:.*\n)?\s{0,3}[-*+] \S", re.MULTILINE),
    re.compile(r"^\|?\s*:?-{3,}:?\s*\|", re.MULTILINE),
    re.compile(r"\*\*\S[^*\n]*\*\*"),
    re.compile(r"^(=|-){4,}$", re.MULTILINE),
)
TABLE_LINES = 3
MARKS = 2


def encoding(head: bytes, *, whole: bool) -> str | None:
    """Name the encoding of text, ``unknown-8bit`` when only that it is text can be told; else None.

    ``whole`` says that ``head`` is all there is, so that nothing is cut off at its end.
    """
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    controls = sum(byte < 0x20 and byte not in LAYOUT for byte in head)  # noqa: PLR2004 - a space
    if b"\0" in head or controls > len(head) * CONTROL_SHARE:
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return "unknown-8bit"
    return "utf-8"


def playlist(text: str) -> str | None:
    """Say which playlist a text is: it names other files, and is never opened as media."""
    start = text.lstrip("\ufeff \t\r\n")
    for pattern, what in PLAYLISTS:
        if pattern.match(start):
            return what
    return XML_PLAYLISTS.get(_root(start).lower())


def form(text: str, name: str) -> str:
    """Tell the kind of text; the name decides only where the text itself does not."""
    start = text.lstrip("\ufeff \t\r\n")
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    root = _root(start).lower()
    if root == "svg":
        return "svg"
    page = re.match(r"<!doctype\s+html|<html[\s>]", start, re.IGNORECASE)
    if page or (root in HTML and suffix not in {"md", "markdown", "txt"}):
        return "html"
    if _is_mail(start):
        return "eml"
    if suffix in {"md", "markdown"}:
        return "markdown"
    if suffix in {"csv", "tsv"} or (suffix != "txt" and _is_table(text)):
        return "csv"
    marks = sum(pattern.search(text) is not None for pattern in MARKDOWN)
    return "markdown" if marks >= MARKS and suffix in {"", "txt", "text"} else "text"


def _root(start: str) -> str:
    """Name the first element of a text that begins as XML or HTML."""
    if not XML_START.match(start):
        return ""
    element = ELEMENT.match(SKIPPED.sub("", start).lstrip())
    return element[2] if element else ""


def _is_mail(start: str) -> bool:
    """Tell a message by its header lines (RFC 5322): at least three that mails have."""
    names: list[str] = []
    for line in start.splitlines()[:100]:
        if line[:1] in {" ", "\t"} and names:
            continue
        header = HEADER.match(line)
        if not header:
            if line.startswith("From ") and not names:
                continue
            break
        names.append(header[1].lower())
    return len(MAIL_HEADERS.intersection(names)) > MARKS


def _is_table(text: str) -> bool:
    """Tell separated values by lines that all have the same number of fields."""
    lines = [line for line in text.splitlines()[:21] if line.strip()][:20]
    if len(lines) < TABLE_LINES:
        return False
    for separator, least in ((",", 3), (";", 3), ("\t", 2)):
        counts = {len(row) for row in csv.reader(lines, delimiter=separator)}
        if len(counts) == 1 and counts.pop() >= least:
            return True
    return False
