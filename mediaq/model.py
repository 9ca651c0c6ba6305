"""The values that cross floors: request, options, step results, files, sheets, events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

MediaType = Literal["video", "audio", "document", "auto"]
Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
ResultType = Literal[
    "transcription",
    "vision_analysis",
    "summary",
    "classification",
    "object_detection",
    "scene_detection",
    "audio_analysis",
    "text_analysis",
    "face_detection",
    "motion_analysis",
    "metadata_extraction",
]
Provider = Literal["minimax", "deepgram", "groq", "openai", "google", "anthropic", "internal"]
FileType = Literal[
    "frame",
    "contact_sheet",
    "audio",
    "transcription",
    "document",
    "thumbnail",
    "preview",
    "original",
    "processed",
    "archive",
]
EventName = Literal[Status, "step.finished", "progress", "deleted"]
DeliveryOutcome = Literal["delivered", "retried", "stopped", "given_up"]
PictureFormat = Literal["jpeg", "webp", "png"]
Wanted = ResultType | Literal["contact_sheets"]
"""What a client may choose of the analysis."""

TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})
LAST: frozenset[str] = TERMINAL | {"deleted"}
"""Events after which whoever follows a request has nothing to wait for."""


class Value(BaseModel):
    """A frozen value; a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _whole(value: object) -> object:
    """Take 5.0 for 5, as JSON and SQL do."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(strict=True), BeforeValidator(_whole)]
"""A JSON number without a fraction; no text and no boolean."""


Grid = Annotated[str, Field(pattern=r"^([1-9]|1[0-9]|20)x([1-9]|1[0-9]|20)$")]
"""Columns x rows."""


class Storyboard(Value):
    """Sprite sheets for players: a frame every so many seconds, each so many pixels wide.

    ``interval_seconds`` None leaves it to the length of the video. ``grid`` is one sprite sheet.
    """

    model_config = ConfigDict(strict=True)

    interval_seconds: Annotated[float, Field(ge=0.1, le=86400)] | None = None
    width: Annotated[Whole, Field(ge=32, le=640)] = 160
    grid: Grid = "10x10"


def _storyboard(value: object) -> object:
    """Take true for the defaults and false for none."""
    if value is None:
        msg = "storyboard must be true, false or an object"
        raise ValueError(msg)
    return ({} if value else None) if isinstance(value, bool) else value


class Options(Value):
    """What a client may ask of the analysis, as a worker reads it from a row.

    The insert trigger refuses everything else, for every client, in its own words.

    ``want`` chooses what is made; None is all that can be. ``grid`` is columns x rows of one sheet.
    ``frames`` is the total number of frames over all sheets; ``interval_seconds`` asks for one
    frame every so many seconds instead. Neither given: one full sheet. ``exact`` decodes forward
    to the wanted time instead of taking the nearest keyframe. ``timeout_seconds`` shortens or
    lengthens the time limit of one attempt.
    ``storyboard`` asks for sprite sheets, ``gps`` lets metadata say where a picture was taken,
    ``language`` is what is spoken or written, where that is known. ``max_parallel`` is how many
    requests of the same ``group_key`` run at once.
    """

    model_config = ConfigDict(strict=True)

    want: Annotated[tuple[Wanted, ...], Field(min_length=1, strict=False)] | None = None
    grid: Grid = "2x3"
    frames: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    interval_seconds: Annotated[float, Field(ge=0.001, le=86400)] | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=86400)] | None = None
    thumb_width: Annotated[Whole, Field(ge=32, le=1920)] = 320
    format: PictureFormat = "jpeg"
    timestamps: bool = True
    exact: bool = False
    storyboard: Annotated[Storyboard | None, BeforeValidator(_storyboard)] = None
    gps: bool = False
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    max_parallel: Annotated[Whole, Field(ge=1, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Options:
        if self.frames is not None and self.interval_seconds is not None:
            msg = "give frames or interval_seconds, not both"
            raise ValueError(msg)
        return self

    @property
    def columns(self) -> int:
        """Tiles side by side on a sheet."""
        return int(self.grid.split("x")[0])

    @property
    def rows(self) -> int:
        """Tiles one above the other on a sheet."""
        return int(self.grid.split("x")[1])


class NewRequest(Value):
    """What a client may say of a request; the database fills in and checks the rest."""

    media_type: MediaType = "auto"
    media_url: str | None = None
    media_path: str | None = None
    prompt: str | None = None
    options: JsonValue = {}
    user_metadata: dict[str, Any] = {}
    priority: int = 0
    run_after: datetime | None = None
    group_key: str | None = None
    callback_url: str | None = None
    created_by: str | None = None
    source_endpoint: str | None = None
    idempotency_key: str | None = None


class Accepted(Value):
    """What the database answers to a new request; ``replayed`` when it was asked before."""

    request_id: UUID
    status: Status
    media_type: MediaType
    created_at: datetime
    replayed: bool = Field(default=False, exclude=True)


class Request(Value):
    """The part of a request row that an attempt works on."""

    request_id: UUID
    attempt: int
    failed_attempts: int
    media_type: MediaType
    media_url: str | None
    media_path: str | None
    prompt: str | None
    options: Options


class Kind(Value):
    """What a file turned out to be; ``form`` is the kind of document, such as pdf or image."""

    media_type: Literal["video", "audio", "document"]
    form: str


class Stream(Value):
    """One stream of a media file, as the container declares it."""

    index: int
    kind: str
    codec: str | None = None
    profile: str | None = None
    language: str | None = None
    bit_rate: int | None = None
    duration_seconds: float | None = None
    # video
    width: int | None = None
    height: int | None = None
    pixel_format: str | None = None
    fps: float | None = None
    rotation: int | None = None
    sample_aspect_ratio: str | None = None
    attached_picture: bool = False
    # audio
    sample_rate: int | None = None
    channels: int | None = None
    channel_layout: str | None = None
    tags: dict[str, str] = {}


class Chapter(Value):
    """A part of a film or a recording with a name; times are the container's."""

    title: str | None = None
    start_seconds: float
    end_seconds: float


class Probe(Value):
    """What a media file says of itself: the ``metadata_extraction`` result.

    ``width`` and ``height`` are as displayed: rotation and sample aspect ratio applied.
    ``duration_seconds`` is None when neither the container nor its streams tell.
    """

    container: str
    container_name: str
    duration_seconds: float | None = None
    size_bytes: int
    bit_rate: int | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    streams: tuple[Stream, ...]
    tags: dict[str, str]
    chapters: tuple[Chapter, ...] = ()


class Frame(Value):
    """One picture taken from a video and where it came from.

    ``wanted_seconds`` is the even time asked for, ``seconds`` the frame's real time; ``instead_of``
    says what was wrong with the frame that this one replaces.
    """

    path: Path
    number: int
    wanted_seconds: float
    seconds: float
    width: int
    height: int
    instead_of: Literal["black", "blank", "faded", "repeated", "blurred"] | None = None


class Sheet(Value):
    """One contact sheet on disk; sizes in pixels, ``columns`` and ``rows`` as drawn."""

    path: Path
    number: int
    frame_count: int
    columns: int
    rows: int
    width: int
    height: int


class Picture(Value):
    """A picture on disk; sizes in pixels."""

    path: Path
    width: int
    height: int


class Preview(Picture):
    """A moving picture on disk."""

    duration_seconds: float


class SheetSet(Value):
    """Everything the frame taker made of one video, still in the workspace.

    ``interval_seconds`` is the distance of wanted times, ``method`` is ``keyframes`` or
    ``exact``, ``notes`` says in sentences what was left out and why.
    """

    frames: tuple[Frame, ...]
    sheets: tuple[Sheet, ...]
    thumbnail: Picture
    preview: Preview | None = None
    tile_width: int
    tile_height: int
    interval_seconds: float
    method: Literal["keyframes", "exact"]
    notes: tuple[str, ...] = ()


class Sandbox(Value):
    """What a decoding child was kept from when it tried, and the version of Landlock, 0 for none.

    ``files`` are all but its source and the libraries, ``processes`` is the start of another.
    """

    files: bool
    network: bool
    processes: bool
    landlock: int


class Stored(Value):
    """Bytes that a storage backend holds."""

    file_path: str
    size_bytes: int
    sha256: str
    location: Literal["local", "r2", "s3", "gcs"]
    remote_url: str | None = None


class MadeFile(Value):
    """A row for ``media_files``; ``name`` is unique within the step and links sheets to files."""

    name: str
    file_type: FileType
    stored: Stored
    mime_type: str
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_number: int | None = None
    sequence_order: int | None = None
    metadata: dict[str, Any] = {}


class MadeSheet(Value):
    """A row for ``contact_sheets``; ``file`` names the :class:`MadeFile` with its picture.

    ``frame_interval_seconds`` is None where tiles are pages.
    """

    file: str
    grid_cols: int
    grid_rows: int
    frame_count: int
    frames_per_sheet: int
    sheet_number: int
    total_sheets: int
    frame_interval_seconds: float | None
    image_width: int
    image_height: int
    thumbnail_width: int
    thumbnail_height: int
    metadata: dict[str, Any] = {}


class MadeResult(Value):
    """A row for ``media_analysis_results``."""

    result_type: ResultType
    provider: Provider = "internal"
    model_name: str | None = None
    content: str
    content_json: dict[str, Any]
    confidence_score: Decimal | None = None
    metadata: dict[str, Any] = {}


class Skip(Value):
    """Why a step made nothing: a word for programs and a sentence for people."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    why: str


class Made(Value):
    """Everything one step made; it is recorded in one transaction.

    ``skipped`` says why it is nothing: the step is done all the same, and is not tried again.
    """

    files: Sequence[MadeFile] = ()
    sheets: Sequence[MadeSheet] = ()
    results: Sequence[MadeResult] = ()
    skipped: Skip | None = None


class Event(Value):
    """One row of ``mediaq.events``.

    ``event`` is a status, ``step.finished``, ``progress``, or ``deleted`` with the last status.
    """

    event_id: int
    request_id: UUID
    event: str
    status: Status
    media_type: MediaType
    attempt: int
    at: datetime
    error: str | None = None
    data: dict[str, Any] = {}
