"""Receivers verify messages by the library of the specification, with any secret that is in force."""

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.credentials import KEY_BYTES, SealingKey
from app.webhooks.signing import WebhookSigner

OLD = SealingKey("2023", b"o" * KEY_BYTES)
NEW = SealingKey("2024", b"n" * KEY_BYTES)
BODY = '{"type":"review_fetch.completed","data":{"message":"Größe 🙂"}}'.encode()


def now() -> float:
    return datetime.now(UTC).timestamp()


def test_a_message_is_signed_with_every_key_so_that_keys_can_be_changed() -> None:
    before, during = WebhookSigner([OLD]), WebhookSigner([NEW, OLD])
    headers = during.headers("default", "msg_1", BODY, now())
    for secret in (*before.secrets("default"), during.secrets("default")[0]):
        assert Webhook(secret).verify(BODY, headers)["type"] == "review_fetch.completed"
    assert during.secrets("default")[1:] == before.secrets("default")


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "tenant", "key"])
def test_what_was_changed_or_is_of_another_does_not_verify(changed: str) -> None:
    signer = WebhookSigner([OLD if changed == "key" else NEW])
    headers = signer.headers("acme" if changed == "tenant" else "default", "msg_1", BODY, now())
    if changed == "webhook-id":
        headers[changed] = "msg_2"
    elif changed == "webhook-timestamp":
        headers[changed] = str(int(headers[changed]) + 1)
    (secret,) = WebhookSigner([NEW]).secrets("default")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" " if changed == "body" else BODY, headers)


def test_a_secret_has_the_specified_form_and_says_nothing_of_the_key() -> None:
    (secret,) = WebhookSigner([NEW]).secrets("default")
    assert secret.startswith("whsec_")
    assert len(secret) == len("whsec_") + 44
    assert len({WebhookSigner([NEW]).secrets(tenant)[0] for tenant in ("default", "acme", "")}) == 3
    assert "bm5u" not in secret  # the key in base64
