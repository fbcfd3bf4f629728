"""What people do to a job: stop it, hold it, let it go on, give it a new token."""

from collections.abc import Callable

import structlog

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.views import JobView
from app.store import control
from app.store.audit import audited
from app.store.control import ResealGrant
from app.store.database import Database, Transaction
from app.telemetry.events import Event

log = structlog.get_logger(__name__)


class JobControl:
    """Each method answers the job as it stands afterwards, and raises JobNotFoundError or IllegalTransitionError.

    `by` did it: that is written down in the same transaction. `wake` tells the scheduler that there is work.
    `token_wait` is for how many seconds a job in `dlq` keeps a token.
    """

    def __init__(self, database: Database, wake: Callable[[], None], *, token_wait: float = 3600.0) -> None:
        self._database = database
        self._wake = wake
        self._token_wait = token_wait

    async def cancel(self, tenant: str, job_id: str, by: Origin = SYSTEM) -> JobView:
        """Ends the job at once and wipes its token; what it has fetched stays. Pages in flight are dropped."""
        job = await self._change(control.cancel, AuditEntry(tenant, Action.JOB_CANCEL, job_id, by))
        log.info(Event.JOB_CANCELLED, job_id=job_id)
        return job

    async def pause(self, tenant: str, job_id: str, by: Origin = SYSTEM) -> JobView:
        """No page is begun any more; those in flight are kept."""
        job = await self._change(control.pause, AuditEntry(tenant, Action.JOB_PAUSE, job_id, by))
        log.info(Event.JOB_PAUSED, job_id=job_id)
        return job

    async def resume(self, tenant: str, job_id: str, by: Origin = SYSTEM) -> JobView:
        """A paused job goes on at the pages where it stopped."""
        job = await self._change(control.resume, AuditEntry(tenant, Action.JOB_RESUME, job_id, by))
        log.info(Event.JOB_RESUMED, job_id=job_id)
        self._wake()
        return job

    async def replace_token(
        self,
        tenant: str,
        job_id: str,
        key_id: str,
        sealed: bytes,
        sealed_grant: bytes | None = None,
        *,
        reseal_grant: ResealGrant | None = None,
        by: Origin = SYSTEM,
    ) -> JobView:
        """Go on with another token, or with what one is asked for by, sealed for this tenant and job under the key
        `key_id`. `reseal_grant` brings a grant that stays to that key."""
        entry = AuditEntry(tenant, Action.JOB_REPLACE_TOKEN, job_id, by, {"grant": sealed_grant is not None})
        job = await self._database.write(
            audited(control.replace_token, entry),
            tenant,
            job_id,
            key_id,
            sealed,
            token_wait=self._token_wait,
            sealed_grant=sealed_grant,
            reseal_grant=reseal_grant,
        )
        log.info(Event.JOB_GOT_TOKEN, job_id=job_id)
        self._wake()
        return job

    async def _change(self, change: Callable[[Transaction, str, str], JobView], entry: AuditEntry) -> JobView:
        """What the entry says, done and written down together."""
        return await self._database.write(audited(change, entry), entry.tenant, entry.subject)
