"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com), made by its library.

A tenant's secrets are derived from the service's sealing keys: there is nothing to store, to copy or to lose beside
these. Each message is signed with all of them, so that receivers may change to the newest at their leisure while
sealing keys are changed.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from app.credentials import SealingKey

_PURPOSE = b"review-fetcher: webhook secret of tenant "


class WebhookSigner:
    """Knows the secrets of every tenant. `keys`: the sealing keys, newest first."""

    def __init__(self, keys: Sequence[SealingKey]) -> None:
        self._keys = tuple(keys)

    def secrets(self, tenant: str) -> list[str]:
        """`whsec_…`, one for each sealing key, in their order."""
        derived = (hmac.digest(key.secret, _PURPOSE + tenant.encode(), "sha256") for key in self._keys)
        return [f"whsec_{base64.b64encode(secret).decode()}" for secret in derived]

    def headers(self, tenant: str, message_id: str, body: bytes, now: float) -> dict[str, str]:
        """The three headers by which a receiver tells that the message is ours, and of now (epoch seconds)."""
        seconds = int(now)
        at = datetime.fromtimestamp(seconds, UTC)
        text = body.decode()
        signatures = [Webhook(secret).sign(message_id, at, text) for secret in self.secrets(tenant)]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(signatures),
        }
