"""Still pictures: an allow-list of formats, a bound on pixels, upright, in plain colours."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from mediaq.media.child.document.words import line
from mediaq.media.child.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediaq.media.child.document.bounds import Bounds

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "HEIF")
NAMES = {"MPO": "JPEG (MPO)", "JPEG2000": "JPEG 2000", "HEIF": "HEIC"}
# What libraries raise when a picture is damaged.
DAMAGE = (OSError, ValueError, SyntaxError, IndexError, TypeError, EOFError, RuntimeError)
LIGHT, DARK = (255, 255, 255), (204, 204, 204)
SQUARE = 8
FACTS = {
    "Make": "camera_make",
    "Model": "camera_model",
    "LensModel": "lens",
    "Software": "software",
    "Artist": "author",
    "Copyright": "copyright",
    "ImageDescription": "description",
    "DateTimeOriginal": "taken",
    "ExposureTime": "exposure_seconds",
    "FNumber": "f_number",
    "ISOSpeedRatings": "iso",
    "FocalLength": "focal_length_mm",
}
TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}


def open_picture(path: str, name: str, bounds: Bounds) -> Image.Image:
    """Open a picture without reading its pixels, or say why it cannot be."""
    with contextlib.suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)
    # The bound is ours, checked for every page that is turned to, before it is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        picture = Image.open(path, formats=[f for f in FORMATS if _known(f)])
        _check(picture, name, bounds)
    except UnidentifiedImageError:
        msg = f"{name} is a picture that cannot be read here: it is damaged or of an unknown kind"
        raise Refusal(msg) from None
    except DAMAGE:
        msg = f"{name} is a damaged picture"
        raise Refusal(msg) from None
    return picture


def pages_of(picture: Image.Image) -> int:
    """Count pages or frames."""
    try:
        return max(1, int(getattr(picture, "n_frames", 1)))
    except DAMAGE:
        return 1


def page_of(picture: Image.Image, number: int, bounds: Bounds) -> Image.Image:
    """Decode one page: upright, three colours, sRGB, what is transparent on a checker board."""
    try:
        picture.seek(number)
        _check(picture, "it", bounds)
        upright = ImageOps.exif_transpose(picture)
        return _plain(upright)
    except DAMAGE:
        msg = "is damaged"
        raise Refusal(msg) from None


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """Scale down until the longer side has ``side`` pixels; a smaller one stays as it is."""
    if max(picture.size) <= side:
        return picture
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def metadata(picture: Image.Image, *, gps: bool) -> dict[str, Any]:
    """Read size, colours, EXIF and, where asked for, the place."""
    form = picture.format or ""
    exif = picture.getexif()
    turned = exif.get(ExifTags.Base.Orientation, 1)
    turn = TURNS.get(turned, 0) if isinstance(turned, int) else 0
    width, height = picture.size if turn % 180 == 0 else picture.size[::-1]
    facts: dict[str, Any] = {
        "format": NAMES.get(form, form),
        "pages": pages_of(picture),
        "width": width,
        "height": height,
        "rotation": turn,
        "color_mode": picture.mode,
        "icc_profile": _profile(picture.info.get("icc_profile")),
        "has_alpha": picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info,
        "animated": form == "WEBP" and pages_of(picture) > 1,
    }
    dpi = picture.info.get("dpi")
    if dpi and all(0 < float(d) < 100_000 for d in dpi):  # noqa: PLR2004 - beyond is nonsense
        facts["dpi"] = round(float(dpi[0]), 1)
    facts |= dict(_facts(exif))
    if gps:
        facts["gps"] = _place(exif.get_ifd(ExifTags.IFD.GPSInfo))
    return {key: value for key, value in facts.items() if value is not None}


def _known(form: str) -> bool:
    Image.init()
    return form in Image.OPEN


def _check(picture: Image.Image, name: str, bounds: Bounds) -> None:
    if picture.width * picture.height > bounds.pixels:
        msg = (
            f"{name} has {picture.width} x {picture.height} pixels;"
            f" {bounds.pixels // 1_000_000} megapixels is the limit"
        )
        raise Refusal(msg)


def _plain(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode in {"I;16", "I;16B", "I;16L", "I", "F"}:
        low, high = picture.getextrema()
        spread = max(1.0, float(high) - float(low))  # type: ignore[arg-type]
        picture = picture.convert("F").point(lambda v: (v - float(low)) * (255 / spread))  # type: ignore[arg-type]
        return picture.convert("L").convert("RGB")
    if picture.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        paper = checker(clear.size)
        paper.paste(clear, mask=clear.getchannel("A"))
        return paper
    if profile and picture.mode in {"RGB", "CMYK", "L"}:
        with contextlib.suppress(ImageCms.PyCMSError, *DAMAGE):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            same = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if same is not None:
                return same
    return picture.convert("RGB")


def checker(size: tuple[int, int]) -> Image.Image:
    """Draw the board on which transparent pictures are shown."""
    tile = Image.new("RGB", (2 * SQUARE, 2 * SQUARE), LIGHT)
    tile.paste(DARK, (0, 0, SQUARE, SQUARE))
    tile.paste(DARK, (SQUARE, SQUARE, 2 * SQUARE, 2 * SQUARE))
    board = Image.new("RGB", size)
    row = Image.new("RGB", (size[0], 2 * SQUARE))
    for x in range(0, size[0], 2 * SQUARE):
        row.paste(tile, (x, 0))
    for y in range(0, size[1], 2 * SQUARE):
        board.paste(row, (0, y))
    return board


def _facts(exif: Image.Exif) -> Iterator[tuple[str, Any]]:
    tags: dict[int, Any] = dict(exif)
    with contextlib.suppress(*DAMAGE):
        tags |= exif.get_ifd(ExifTags.IFD.Exif)
    for tag, value in tags.items():
        ours = FACTS.get(ExifTags.TAGS.get(tag, ""))
        if ours is None:
            continue
        if isinstance(value, bytes):
            value = value.decode("latin-1")  # noqa: PLW2901 - the same in letters
        if isinstance(value, str):
            yield ours, line(value) or None
        else:
            yield ours, _number(value[0] if isinstance(value, tuple) and value else value)


def _number(value: object) -> float | None:
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        number = float(value)  # type: ignore[arg-type]
        return round(number, 6) if abs(number) < 1e12 else None  # noqa: PLR2004 - no NaN, no nonsense
    return None


def _place(tags: dict[int, Any]) -> dict[str, float] | None:
    """Read degrees north and east, and metres above the sea."""
    found: dict[str, float] = {}
    for name, ref, key, negative in (
        ("latitude", 1, 2, "S"),
        ("longitude", 3, 4, "W"),
    ):
        parts = [_number(part) for part in tags.get(key, ())] if key in tags else []
        if len(parts) != 3 or None in parts:  # noqa: PLR2004 - degrees, minutes, seconds
            return None
        degrees = sum(part / 60**i for i, part in enumerate(parts) if part is not None)
        found[name] = round(-degrees if tags.get(ref) == negative else degrees, 7)
    height = _number(tags.get(6))
    if height is not None:
        found["altitude_m"] = -height if tags.get(5) in {1, b"\x01"} else height
    return found


def _profile(data: bytes | None) -> str | None:
    """Name the colour profile."""
    if not data:
        return None
    with contextlib.suppress(ImageCms.PyCMSError, *DAMAGE):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        return line(ImageCms.getProfileDescription(profile)) or "unnamed"
    return "damaged"
