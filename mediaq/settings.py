"""The settings, read once from the environment and passed on as one frozen value."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mediaq import dsn as dsns
from mediaq.errors import Rejected

GIB = 1024**3

QUEUES = ("video", "audio", "document", "auto", "files", "webhooks")
"""Each media type is a queue; the others remove the files of deleted requests and call webhooks."""

_PREFIX = "MEDIAQ_"

Names = Annotated[tuple[str, ...], NoDecode]
Folders = Annotated[tuple[Path, ...], NoDecode]


class Database(BaseModel):
    """Where PostgreSQL is, and which spelling of the environment said so."""

    model_config = ConfigDict(frozen=True)

    dsn: SecretStr
    source: str
    password_file: Path | None = None

    @property
    def address(self) -> str:
        """``user@host:port/name``, fit to be shown: the password is left out."""
        return dsns.shown(self.dsn.get_secret_value())

    @property
    def psql(self) -> str | None:
        """The shell line that opens this database in psql, where a file holds the password."""
        if self.password_file is None:
            return None
        url = shlex.quote(dsns.without_password(self.dsn.get_secret_value()))
        return f"PGPASSWORD=$(cat {shlex.quote(str(self.password_file))}) psql {url}"


class Settings(BaseSettings):
    """Every setting; the environment variable is ``MEDIAQ_`` and the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("mediaq", appauthor=False)),
        description="Folder of the embedded PostgreSQL and of the default storage.",
    )
    storage_dir: Path | None = Field(
        default=None, description="Folder of uploads, outputs and temp; default HOME/storage."
    )
    media_roots: Folders = Field(
        default=(),
        description=f"Folders that media_path may point into, separated by '{os.pathsep}'; "
        "the storage's uploads folder always counts.",
    )
    max_source_bytes: int = Field(
        default=20 * GIB, gt=0, description="Largest source file, local or downloaded, in bytes."
    )
    fetch_timeout: float = Field(
        default=1800, gt=0, description="Longest download of a source, in seconds."
    )
    fetch_allow: Names = Field(
        default=(),
        description="Hosts, addresses or networks that media_url and callback_url may reach "
        "although they are private, separated by commas.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(
        default=8001,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("MEDIAQ_PORT", "PORT"),
        description="Port that the API listens on; PORT is read too.",
    )
    max_streams: int = Field(
        default=5000, ge=0, description="Event streams that one API process keeps open at once."
    )
    queues: Names = Field(
        default=(),
        description="Queues that a worker serves, separated by commas: video, audio, document, "
        "auto, webhooks (calls callback_urls), files (removes what deleted requests stored); "
        "default all.",
    )
    concurrency: int = Field(default=2, ge=1, le=64, description="Requests a worker runs at once.")
    max_attempts: int = Field(
        default=5, ge=1, le=100, description="Attempts before trouble becomes failure."
    )
    retry_delay: float = Field(
        default=5,
        gt=0,
        description="Seconds before the first retry; doubles each time, with jitter.",
    )
    retry_delay_max: float = Field(
        default=3600, gt=0, description="Longest wait before a retry, in seconds."
    )
    drain_timeout: float = Field(
        default=30, ge=0, description="Seconds that a stopping worker gives to running requests."
    )
    attempt_timeout: float = Field(
        default=3600, ge=1, description="Longest attempt at a request, in seconds."
    )
    heartbeat: float = Field(
        default=10, gt=0, description="Seconds between a worker's signs of life."
    )
    stalled_after: float = Field(
        default=30,
        gt=0,
        description="Seconds without a sign of life until a worker counts as dead.",
    )
    decode_timeout: float = Field(
        default=900, gt=0, description="Longest run of one decoding child process, in seconds."
    )
    max_duration: float = Field(
        default=168 * 3600, gt=0, description="Longest film or recording, in seconds."
    )
    max_pixels: int = Field(
        default=64 * 1024 * 1024, gt=0, description="Most pixels of one picture or frame."
    )
    max_frames: int = Field(default=10_000_000, gt=0, description="Most frames of one file.")
    max_media_streams: int = Field(
        default=200, gt=0, le=1000, description="Most streams (video, audio, …) of one file."
    )
    max_pages: int = Field(
        default=2000, ge=1, description="Most pages of a document that are read for text."
    )
    max_previews: int = Field(
        default=100, ge=1, le=10_000, description="Most pages of a document that are drawn."
    )
    max_ocr_pages: int = Field(
        default=50, ge=0, description="Most pages without text that are read by their looks."
    )
    max_picture_pixels: int = Field(
        default=100_000_000, ge=1, description="Most pixels of a picture that is decoded."
    )
    max_expanded_bytes: int = Field(
        default=GIB // 2, ge=1, description="Most bytes that an office file may unpack to."
    )
    max_text_chars: int = Field(
        default=2_000_000, ge=1, description="Most characters of text that are kept of a document."
    )
    page_timeout: float = Field(
        default=20, gt=0, description="Longest that one page of a document may take, in seconds."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secrets that sign webhooks, separated by spaces; default: not signed.",
    )
    webhook_secret_file: Path | None = Field(
        default=None, description="File with the same; one of the two."
    )
    webhook_timeout: float = Field(
        default=15, gt=0, description="Longest call of a callback_url, in seconds."
    )
    webhook_retry_delay: float = Field(
        default=5, gt=0, description="Seconds before a call is repeated; doubles, with jitter."
    )
    webhook_retry_for: float = Field(
        default=86400, ge=0, description="Seconds after the end in which calls are repeated."
    )
    keep_requests_days: float | None = Field(
        default=None,
        ge=0,
        le=100_000,
        description="Days that ended requests are kept; default for ever.",
    )
    keep_events_days: float = Field(
        default=30, ge=0, le=100_000, description="Days that events can be read again."
    )
    keep_jobs_days: float = Field(
        default=7, ge=0, le=100_000, description="Days that finished jobs of the queue are kept."
    )
    keep_workers_days: float = Field(
        default=1, ge=0, le=100_000, description="Days that workers without a heartbeat are kept."
    )
    ffmpeg: Path | None = Field(default=None, description="Path of ffmpeg; default: found.")
    whisper_model: str | None = Field(
        default=None,
        description="Speech model: a folder with a faster-whisper model, or the name of one on the "
        "Hugging Face hub, fetched when the worker starts; default the one of mediaq[local].",
    )
    pg_bin_dir: Path | None = Field(
        default=None, description="Folder of the embedded server's binaries; default: found."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="How logs look; auto is text on a terminal, JSON elsewhere."
    )
    pool_size: int = Field(
        default=5,
        ge=1,
        validation_alias=AliasChoices("MEDIAQ_POOL_SIZE", "MEDIA_ANALYSIS_DB_POOL_SIZE"),
        description="Database connections kept open by one process.",
    )
    max_overflow: int = Field(
        default=10,
        ge=0,
        validation_alias=AliasChoices("MEDIAQ_MAX_OVERFLOW", "MEDIA_ANALYSIS_DB_MAX_OVERFLOW"),
        description="Database connections beyond the pool size under load.",
    )

    @field_validator("queues", "fetch_allow", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("media_roots", mode="before")
    @classmethod
    def _by_path_separator(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part) for part in value.split(os.pathsep) if part)
        return value

    @field_validator("queues")
    @classmethod
    def _known_queues(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in QUEUES:
                msg = f"there is no queue {name!r}; the queues are {', '.join(QUEUES)}"
                raise ValueError(msg)
        return value

    @field_validator("home", "storage_dir")
    @classmethod
    def _plain_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not str(value).isprintable():
            msg = "the path must not hold line breaks or control characters"
            raise ValueError(msg)
        return value and value.absolute()

    @property
    def storage(self) -> Path:
        """The storage folder in force."""
        return self.storage_dir or self.home / "storage"


def read() -> Settings:
    """Read the settings from the environment.

    Raises :class:`Rejected` for a value that does not fit and for a ``MEDIAQ_*`` name that is
    none, with the nearest name that is one. Values are not repeated: they may be secrets.
    """
    known = [name.removeprefix(_PREFIX) for name in variables() if name.startswith(_PREFIX)]
    for name in os.environ:
        if name.startswith(_PREFIX) and name not in variables():
            near = difflib.get_close_matches(name.removeprefix(_PREFIX), known, n=1)
            hint = f"did you mean {_PREFIX}{near[0]}?" if near else "see deploy/env.example for all"
            msg = f"{name} is not a setting of mediaq; {hint}"
            raise Rejected(msg)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = str(first["loc"][0])
        field = variables().get(place, place)
        name = next(n for n, of in variables().items() if of == field and os.environ.get(n))
        msg = f"{name} does not fit: {first['msg'].lower()}"
        raise Rejected(msg) from None


def variables() -> dict[str, str]:
    """Name every environment variable of :class:`Settings`, with the field that it fills."""
    names: dict[str, str] = {}
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [_PREFIX + field.upper()]
        names |= {str(choice): field for choice in choices}
    return names


# Prefix and what follows it, in the order of `dsn.of_parts`; the first one found wins.
SPELLINGS = (
    ("MEDIA_ANALYSIS_DB_", ("HOST", "PORT", "NAME", "USER", "PASSWORD")),
    ("DB_", ("HOST", "PORT", "NAME", "USER", "PASSWORD")),
    ("PG", ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")),
)


def database(environ: Mapping[str, str]) -> Database | None:
    """Find the database's address; None when nothing names one.

    ``DATABASE_URL`` goes first, then the spellings of ``MEDIA_ANALYSIS_DB_*``, ``DB_*`` and
    libpq's ``PG*``. One spelling is taken whole: what another says is not added to it. (A user or
    password that it leaves out, the driver looks for as psql does.) Raises :class:`Rejected` for
    an address that cannot be read, without repeating it.
    """
    source = "DATABASE_URL"
    try:
        if url := environ.get(source, "").strip():
            return Database(dsn=SecretStr(dsns.of_url(url)), source=source)
        for prefix, keys in SPELLINGS:
            source = f"{prefix}*"
            values = [environ.get(prefix + key, "") for key in keys]
            if any(values):
                return Database(dsn=SecretStr(dsns.of_parts(*values)), source=source)
    except ValueError as error:
        msg = f"{source}: {error}"
        raise Rejected(msg) from None
    return None
