"""How Excel shows a number: as a date or time where the cell's format says so."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mediaq.media.child.document.archive import Archive

# Built-in formats of dates and times (ECMA-376 part 1, 18.8.30).
DATES = frozenset({*range(14, 18), 22, *range(27, 32), 34, 35, 36, *range(50, 59)})
TIMES = frozenset({*range(18, 22), 32, 33, 45, 46, 47})
# What is quoted, escaped or in brackets in a format means no date; brackets with hours do.
SILENT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
# Excel takes 1900 for a leap year, so that its days count from here on since March of that year.
EPOCHS = {False: datetime(1899, 12, 30), True: datetime(1904, 1, 1)}  # noqa: DTZ001 - sheets know no zones
LAST_DAY = 2_958_466
DIGITS = 15


class Formats:
    """Which cells of a file hold dates: by the number of their style."""

    def __init__(self, archive: Archive) -> None:
        self.since_1904 = False
        self._kinds: list[str] = []
        self._codes: dict[int, str] = {}
        self._inside: list[str] = []
        for part in ("xl/workbook.xml", "xl/styles.xml"):
            archive.read(part, start=self._start, end=self._end, letters=lambda _: None)

    def shown(self, value: str, style: str) -> str:
        """Write a number as the cell shows it; dates as ISO 8601."""
        try:
            number = float(value)
        except ValueError:
            return value
        index = int(style) if style.isdigit() else 0
        kind = self._kinds[index] if index < len(self._kinds) else ""
        if not kind or not 0 <= number < LAST_DAY:
            return f"{number:.{DIGITS}g}" if len(value) > DIGITS and "." in value else value
        when = EPOCHS[self.since_1904] + timedelta(seconds=round(number * 86400))
        if kind == "time" and number < 1:
            return when.strftime("%H:%M:%S")
        whole = number == int(number)
        return when.date().isoformat() if whole else when.isoformat(sep=" ")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        own = tag.rpartition(" ")[2]
        self._inside.append(own)
        code = attributes.get("numFmtId", "")
        if own == "workbookPr":
            self.since_1904 = attributes.get("date1904") in {"1", "true"}
        elif own == "numFmt" and code.isdigit():
            self._codes[int(code)] = _kind(attributes.get("formatCode", ""))
        elif own == "xf" and "cellXfs" in self._inside:
            number = int(code) if code.isdigit() else 0
            built_in = "date" if number in DATES else "time" if number in TIMES else ""
            self._kinds.append(self._codes.get(number, built_in))

    def _end(self, _tag: str) -> None:
        self._inside.pop()


def _kind(code: str) -> str:
    """Tell a format by its letters."""
    bare = SILENT.sub("", code.split(";", maxsplit=1)[0]).lower()
    if "general" in bare or not re.search(r"[ydhs]|mm", bare):
        return ""
    return "date" if re.search(r"[yd]", bare) else "time"
