"""What clients read: a request with its results, files, sheets and steps, and the queue's depth."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from mediaq.model import DeliveryOutcome, FileType, MediaType, Provider, ResultType, Status


class ResultView(BaseModel):
    """One result as clients read it."""

    result_id: UUID
    result_type: ResultType
    provider: Provider
    model_name: str | None
    content: str | None
    content_json: Any
    confidence: float | None
    processing_time_ms: int | None
    token_count: int | None
    cost_usd: Decimal | None
    metadata: Any
    created_at: datetime | None


class FileView(BaseModel):
    """One stored file as clients read it."""

    file_id: UUID
    file_type: FileType
    file_path: str
    file_name: str | None
    file_size_bytes: int | None
    mime_type: str | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    frame_number: int | None
    sequence_order: int | None
    checksum: str | None
    storage_location: str | None
    remote_url: str | None
    metadata: Any
    created_at: datetime | None


class SheetView(BaseModel):
    """One contact sheet as clients read it; ``file_path`` is that of its picture."""

    contact_sheet_id: UUID
    file_id: UUID | None
    file_path: str | None
    grid_cols: int
    grid_rows: int
    frame_count: int
    frames_per_sheet: int
    sheet_number: int | None
    total_sheets: int | None
    frame_interval_seconds: float | None
    image_width: int | None
    image_height: int | None
    thumbnail_width: int | None
    thumbnail_height: int | None
    generation_method: str | None
    metadata: Any
    created_at: datetime | None


class StepView(BaseModel):
    """One finished step; ``skipped``, a word, and ``why``, a sentence, when it made nothing."""

    step: str
    attempt: int
    finished_at: datetime
    duration_ms: int
    skipped: str | None
    why: str | None


class AttemptView(BaseModel):
    """One attempt; ``outcome`` is None while it runs, ``worker`` is host:pid."""

    attempt: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error_class: str | None
    error_message: str | None
    traceback: str | None


class DeliveryView(BaseModel):
    """One call of the request's ``callback_url``."""

    webhook_id: str
    event: Status
    attempt: int
    started_at: datetime
    duration_ms: int
    outcome: DeliveryOutcome
    status_code: int | None
    error: str | None
    next_at: datetime | None


class RequestView(BaseModel):
    """A request as clients read it."""

    request_id: UUID
    media_type: MediaType
    status: Status
    prompt: str | None
    media_url: str | None
    media_path: str | None
    options: dict[str, Any]
    priority: int
    run_after: datetime | None
    group_key: str | None
    attempt: int
    failed_attempts: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    processing_time_ms: int | None
    confidence_score: float | None
    model_used: str | None
    error_message: str | None
    error_details: Any
    user_metadata: Any
    created_by: str | None
    source_endpoint: str | None
    callback_url: str | None
    provider_chain: Any
    api_costs: Any


class Detail(RequestView):
    """A request with everything that was made of it."""

    results: list[ResultView]
    files: list[FileView]
    contact_sheets: list[SheetView]
    steps: list[StepView]
    attempts: list[AttemptView]
    deliveries: list[DeliveryView]


class QueueDepth(BaseModel):
    """How much waits and runs, and for how long the oldest waits."""

    pending: int
    processing: int
    oldest_pending_seconds: float
