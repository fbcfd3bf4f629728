"""What people see of a job's messages, and what they do with them."""

import structlog

from app.models.webhooks import WebhookList, WebhookSecrets, WebhookView
from app.store.database import Database
from app.store.webhooks import list_webhooks, resend
from app.telemetry.events import Event
from app.webhooks.signing import WebhookSigner

log = structlog.get_logger(__name__)


class Webhooks:
    """The tenant's messages and secrets."""

    def __init__(self, database: Database, signer: WebhookSigner) -> None:
        self._database = database
        self._signer = signer

    async def of_job(self, tenant: str, job_id: str) -> WebhookList:
        """The newest first. Raises JobNotFoundError."""
        return await self._database.read(list_webhooks, tenant, job_id)

    async def resend(self, tenant: str, job_id: str, webhook_id: int) -> WebhookView:
        """Send the message once more, delivered or not. Raises JobNotFoundError, WebhookNotFoundError."""
        webhook = await self._database.write(resend, tenant, job_id, webhook_id)
        log.info(Event.WEBHOOK_RESENT, job_id=job_id, message_id=webhook.message_id)
        return webhook

    def secrets(self, tenant: str) -> WebhookSecrets:
        """What the tenant's receivers verify by."""
        return WebhookSecrets(secrets=self._signer.secrets(tenant))
