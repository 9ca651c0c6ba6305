"""Tell a request's end to its callback_url: signed, and again over a day until it is heard.

Signed as https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
says.
"""

from __future__ import annotations

import base64
import binascii
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
import structlog
from standardwebhooks import Webhook
from yarl import URL

from mediaq import db, guard, outbox
from mediaq.errors import Rejected
from mediaq.outbox import Due, Outcome
from mediaq.patience import insist
from mediaq.settings import Settings

DELIVER = "mediaq.deliver"
"""The task's name, as the database queues it."""

LONGEST_DELAY = 4 * 3600
"""Longest wait in seconds before a delivery is tried again."""

KEPT_BYTES = 2000
"""How much of an answer's body is read and kept."""

INSIST_SECONDS = 300
"""How long an outcome is recorded again while the database is away."""

SECRET_BYTES = range(24, 65)
"""How long a secret may be, by the specification."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the deliveries of this process share; with no ``signers`` they are not signed."""

    settings: Settings
    pool: db.Pool
    signers: Sequence[Webhook]

    async def deliver(self, event_id: int, attempt: int) -> None:
        """Make one attempt to deliver an end, and record what came of it.

        Returns quietly when the request is gone or the attempt was made before. A process that
        dies in between makes it again, under the same webhook-id.
        """
        due = await outbox.due(self.pool, event_id, attempt)
        if due is None:
            log.debug("delivery.skipped", event_id=event_id, attempt=attempt)
            return
        started = time.monotonic()
        came = self._judge(await self._call(due), due, attempt)
        took = round((time.monotonic() - started) * 1000)
        log.info(
            "delivery.made",
            outcome=came.outcome,
            request_id=str(due.message.data.request_id),
            webhook_id=due.webhook_id,
            attempt=attempt,
            status=came.status_code,
            error=came.error,
        )
        # Twice is once; not at all means that the receiver is called again.
        await insist(
            lambda: outbox.record(self.pool, due, attempt, _shown(due.url), took, came),
            told="delivery.unrecorded",
            seconds=INSIST_SECONDS,
        )

    async def _call(self, due: Due) -> Answer:
        """Send one POST; whatever happens is an answer."""
        body = due.message.model_dump_json()
        door = guard.Guard(self.settings.fetch_allow)
        seconds = self.settings.webhook_timeout
        try:
            async with (
                door.session(seconds=seconds) as session,
                door.request(
                    session,
                    "POST",
                    guard.http_url(due.url),
                    headers=headers(due.webhook_id, body, self.signers),
                    data=body.encode(),
                ) as response,
            ):
                return Answer(
                    response.status,
                    await _beginning(response),
                    guard.retry_after(response.headers.get("Retry-After", "")),
                )
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
            return Answer(error="callback_url is not a usable http(s) address", final=True)
        except TimeoutError:
            return Answer(error=f"no answer within {seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            if door.refused and isinstance(error, aiohttp.ClientConnectorError):
                sentence = f"callback_url leads to {door.refused}, an address that is not allowed"
                return Answer(error=f"{sentence} (MEDIAQ_FETCH_ALLOW)", final=True)
            return Answer(error=guard.plain(error))

    def _judge(self, answer: Answer, due: Due, attempt: int) -> Outcome:
        """Decide what an answer means and when to call again, if at all.

        409 is how n8n's waiting executions answer: "finished already" when nobody waits any more,
        as after a delivery whose answer was lost, and "running already" when it is too early.
        """
        status, text = answer.status, answer.text
        over = status == HTTPStatus.CONFLICT and "finished already" in text.lower()
        if over or (status and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES):
            return Outcome(outcome="delivered", status_code=status, response=text)
        error = answer.error or f"the receiver answered {status}"
        if status and HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            error += "; redirects are not followed"
        final = answer.final or status == HTTPStatus.GONE
        left = self.settings.webhook_retry_for - _age(due.message.timestamp)
        delay = None if final or left <= 0 else min(self._delay(attempt, answer), left)
        return Outcome(
            outcome="stopped" if final else "given_up" if delay is None else "retried",
            status_code=status,
            error=error,
            response=text,
            delay=delay,
        )

    def _delay(self, attempt: int, answer: Answer) -> float:
        """Seconds until the next call: doubling, with "equal jitter" so that herds spread.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        delay = min(self.settings.webhook_retry_delay * 2.0 ** (attempt - 1), LONGEST_DELAY)
        delay = delay / 2 + random.uniform(0, delay / 2)  # noqa: S311 - jitter, not a secret
        return max(delay, answer.retry_after or 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status and the beginning of a body, or an ``error`` in words."""

    status: int | None = None
    text: str = ""
    retry_after: float | None = None
    error: str = ""
    final: bool = False


def headers(webhook_id: str, body: str, signers: Sequence[Webhook]) -> dict[str, str]:
    """Write a call's headers; one signature per secret, so that receivers can change theirs."""
    now = datetime.now(UTC)
    written = {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
    }
    if signers:
        signatures = (signer.sign(webhook_id, now, body) for signer in signers)
        written["webhook-signature"] = " ".join(signatures)
    return written


def signers(settings: Settings) -> tuple[Webhook, ...]:
    """Read the secrets; :class:`Rejected` for one that is none, without repeating it."""
    given, file = settings.webhook_secret, settings.webhook_secret_file
    if given is not None and file is not None:
        msg = "give MEDIAQ_WEBHOOK_SECRET or MEDIAQ_WEBHOOK_SECRET_FILE, not both"
        raise Rejected(msg)
    text, name = given.get_secret_value() if given else "", "MEDIAQ_WEBHOOK_SECRET"
    if file is not None:
        name += "_FILE"
        try:
            text = file.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            msg = f"{name}: {file} cannot be read: {reason}"
            raise Rejected(msg) from None
    return tuple(Webhook(_key(secret, name)) for secret in text.split())


def _key(secret: str, name: str) -> bytes:
    found = re.fullmatch(r"whsec_([A-Za-z0-9+/]+)={0,2}", secret)
    try:
        key = base64.b64decode(found[1] + "==") if found else b""
    except binascii.Error:
        key = b""
    if len(key) not in SECRET_BYTES:
        msg = (
            f"{name} does not fit: a secret is whsec_ and 24 to 64 random bytes in base64;"
            " `echo whsec_$(openssl rand -base64 32)` makes one"
        )
        raise Rejected(msg)
    return key


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Read the beginning of a body; the status counts although the rest never comes."""
    read = bytearray()
    try:
        while chunk := await response.content.read(KEPT_BYTES - len(read)):
            read += chunk
    except (aiohttp.ClientError, TimeoutError):
        pass
    return read.decode(errors="replace").replace("\0", "")


def _age(at: datetime) -> float:
    return (datetime.now(UTC) - at).total_seconds()


def _shown(url: str) -> str:
    """An address without the user and password that it may hold."""
    try:
        return str(URL(url).with_user(None))
    except ValueError:
        return url.partition("@")[2] or url
