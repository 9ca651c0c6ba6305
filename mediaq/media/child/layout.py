"""The sizes on a contact sheet, computed before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from mediaq.media.child.refusal import Refusal

# WebP ends at 16383 pixels a side; viewers and Pillow get unhappy far above 100 megapixels.
MAX_SIDE = 16383
MAX_AREA = 100_000_000
WIDEST = 6.0
TALLEST = 2.5
MIN_WIDTH = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """One sheet: columns x rows of tiles; a picture is centred in its tile.

    Tiles have the shape of the picture, except where that is extreme.
    """

    columns: int
    rows: int
    tile_width: int
    tile_height: int
    picture_width: int
    picture_height: int

    @property
    def gap(self) -> int:
        """Pixels between tiles."""
        return max(3, round(self.tile_width / 53))

    @property
    def margin(self) -> int:
        """Pixels around the sheet."""
        return self.gap * 2

    @property
    def header(self) -> int:
        """Most pixels that the lines above the tiles take."""
        return self.title_size * 2 + self.text_size * 5 + self.margin

    @property
    def title_size(self) -> int:
        """Letter size of the file name."""
        return max(11, min(44, round(self.width / 38)))

    @property
    def text_size(self) -> int:
        """Letter size of the facts below it."""
        return max(9, round(self.title_size * 0.64))

    @property
    def stamp_size(self) -> int:
        """Letter size of the time in a tile."""
        return max(9, min(42, round(self.tile_width / 22)))

    @property
    def width(self) -> int:
        """Pixels from edge to edge."""
        return self.columns * (self.tile_width + self.gap) - self.gap + 2 * self.margin

    def height(self, rows: int) -> int:
        """Pixels that ``rows`` rows take, with margins and without the header."""
        return rows * (self.tile_height + self.gap) - self.gap + 2 * self.margin

    @property
    def fits(self) -> bool:
        """Tell whether a full sheet stays within the limits."""
        height = self.height(self.rows) + self.header
        return max(self.width, height) <= MAX_SIDE and self.width * height <= MAX_AREA


def lay_out(
    columns: int, rows: int, width: int, shown: tuple[int, int], option: str = "thumb_width"
) -> Layout:
    """Lay out tiles ``width`` wide for a video shown as ``shown``, or refuse too large a sheet.

    ``option`` is what the refusal calls the width.
    """
    layout = _layout(columns, rows, width, shown)
    if layout.fits:
        return layout
    height = layout.height(rows) + layout.header
    way_out = "ask for fewer columns or rows"
    narrower = range(width - 1, MIN_WIDTH - 1, -1)
    fitting = next((w for w in narrower if _layout(columns, rows, w, shown).fits), None)
    if fitting:
        way_out = f"{option} {fitting} would fit, or fewer columns or rows"
    msg = (
        f"a sheet of {columns} x {rows} tiles of {layout.tile_width} x {layout.tile_height}"
        f" would be {layout.width} x {height} pixels; {MAX_SIDE} a side and"
        f" {MAX_AREA // 1_000_000} megapixels are the limit: {way_out}"
    )
    raise Refusal(msg)


def _layout(columns: int, rows: int, width: int, shown: tuple[int, int]) -> Layout:
    ratio = shown[0] / shown[1]
    height = max(1, round(width / min(max(ratio, 1 / TALLEST), WIDEST)))
    across = min(width, max(1, round(height * ratio)))
    down = min(height, max(1, round(width / ratio)))
    return Layout(columns, rows, width, height, across, down)
