"""Signatures and secrets, against the specification's own words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from mediaq.delivery import headers, signers
from mediaq.errors import Rejected
from mediaq.settings import Settings

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_" + "QUJD" * 12


def given(text: str) -> Settings:
    return Settings(webhook_secret=SecretStr(text))


def test_calls_are_signed_with_every_secret() -> None:
    written = headers("msg_1", '{"a": "ü"}', signers(given(f"{OLD} {NEW}")))
    assert len(written["webhook-signature"].split(" ")) == 2
    for secret in (OLD, NEW):
        assert Webhook(secret).verify('{"a": "ü"}', written) == {"a": "ü"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify('{"a": "u"}', written)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify('{"a": "ü"}', written | {"webhook-id": "msg_2"})


def test_the_time_is_that_of_the_call_in_seconds() -> None:
    told = int(headers("msg_1", "{}", ())["webhook-timestamp"])
    assert abs(told - datetime.now(UTC).timestamp()) < 5


def test_without_a_secret_calls_are_not_signed() -> None:
    assert signers(Settings()) == ()
    assert "webhook-signature" not in headers("msg_1", "{}", ())


def test_the_specifications_own_example_is_signed_as_it_says() -> None:
    (signer,) = signers(given(OLD))
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_may_stand_in_a_file_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{OLD}\n{NEW}\n")
    assert len(signers(Settings(webhook_secret_file=file))) == 2


@pytest.mark.parametrize(
    "secret", ["hunter2", "whsec_", "whsec_aHVudGVyMg==", "whsec_" + "QUJD" * 30, f"{OLD},{NEW}"]
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(Rejected, match="MEDIAQ_WEBHOOK_SECRET does not fit") as refused:
        signers(given(secret))
    assert secret == "whsec_" or secret not in refused.value.message
    assert "openssl rand" in refused.value.message


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"MEDIAQ_WEBHOOK_SECRET_FILE: .* cannot be read"):
        signers(Settings(webhook_secret_file=tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Rejected, match="it is not text"):
        signers(Settings(webhook_secret_file=tmp_path / "binary"))


def test_two_places_for_the_secret_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="not both"):
        signers(Settings(webhook_secret=SecretStr(OLD), webhook_secret_file=tmp_path))
