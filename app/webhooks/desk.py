"""What people see of a job's messages, and what they do with them."""

import structlog

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.webhooks import WebhookList, WebhookSecrets, WebhookView
from app.store.audit import audited, note
from app.store.database import Database
from app.store.webhooks import list_webhooks, resend
from app.telemetry.events import Event
from app.webhooks.signing import WebhookSigner

log = structlog.get_logger(__name__)


class Webhooks:
    """The tenant's messages and secrets. `by` did it: that is written down in the same transaction."""

    def __init__(self, database: Database, signer: WebhookSigner) -> None:
        self._database = database
        self._signer = signer

    async def of_job(self, tenant: str, job_id: str) -> WebhookList:
        """The newest first. Raises JobNotFoundError."""
        return await self._database.read(list_webhooks, tenant, job_id)

    async def resend(self, tenant: str, job_id: str, webhook_id: int, by: Origin = SYSTEM) -> WebhookView:
        """Send the message once more, delivered or not. Raises JobNotFoundError, WebhookNotFoundError."""
        entry = AuditEntry(tenant, Action.WEBHOOK_RESEND, job_id, by, {"webhook": webhook_id})
        webhook = await self._database.write(audited(resend, entry), tenant, job_id, webhook_id)
        log.info(Event.WEBHOOK_RESENT, job_id=job_id, message_id=webhook.message_id)
        return webhook

    async def secrets(self, tenant: str, by: Origin = SYSTEM) -> WebhookSecrets:
        """What the tenant's receivers verify by. Nobody learns it unnoticed."""
        await self._database.write(note, AuditEntry(tenant, Action.WEBHOOK_SECRETS, "", by))
        return WebhookSecrets(secrets=self._signer.secrets(tenant))
