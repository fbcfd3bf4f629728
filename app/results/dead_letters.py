"""Work that was given up: seen, and tried again."""

from collections.abc import Callable
from functools import partial

import structlog

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.views import (
    CauseList,
    DeadLetterFilter,
    DeadLetterHistory,
    DeadLetterList,
    RedriveRequest,
    RedriveResult,
)
from app.store.audit import audited
from app.store.database import Database
from app.store.letters import count_causes, list_dead_letters, read_dead_letter
from app.store.redrive import MAX_REDRIVES, count_matches, match_dead_letters, redrive
from app.telemetry.events import Event

log = structlog.get_logger(__name__)

LETTERS_A_COMMIT = 50
"""Redriving everything is many short transactions: pages of running jobs settle in between."""


class DeadLetters:
    """The tenant's dead letters. `wake` tells the scheduler that there is work.

    Work that was redriven `max_redrives` times and died again is parked: left alone until somebody insists.
    """

    def __init__(self, database: Database, wake: Callable[[], None], max_redrives: int = MAX_REDRIVES) -> None:
        self._database = database
        self._wake = wake
        self._max_redrives = max_redrives

    async def page(
        self,
        tenant: str,
        which: DeadLetterFilter | None,
        limit: int,
        cursor: str | None,
        *,
        parked: bool | None = None,
    ) -> DeadLetterList:
        """Newest first; those redriven are left out until they die again. Raises BadCursorError."""
        return await self._database.read(
            list_dead_letters,
            tenant,
            which,
            parked=parked,
            max_redrives=self._max_redrives,
            limit=limit,
            cursor=cursor,
        )

    async def one(self, tenant: str, letter_id: int) -> DeadLetterHistory:
        """One letter and the earlier ones of the same work. Raises DeadLetterNotFoundError."""
        return await self._database.read(read_dead_letter, tenant, letter_id, self._max_redrives)

    async def causes(self, tenant: str, job_id: str | None = None) -> CauseList:
        """How many there are of each cause, of the tenant or of one of its jobs."""
        return await self._database.read(count_causes, tenant, job_id, self._max_redrives)

    async def redrive(self, tenant: str, request: RedriveRequest, by: Origin = SYSTEM) -> RedriveResult:
        """Try again what the request names. A `dlq` job goes on; one whose token was wiped asks for a new one.

        Each of its transactions writes down what it did for `by`. Letters that are written meanwhile are not included:
        a task that dies at once again does not keep this going.
        """
        if request.dry_run:
            return await self._would_redrive(tenant, request)
        matched = redriven = parked = 0
        before: int | None = None
        while found := await self._database.read(
            match_dead_letters, tenant, request, before, LETTERS_A_COMMIT, max_redrives=self._max_redrives
        ):
            before = found[-1].id
            matched += len(found)
            wanted = [letter.id for letter in found if request.include_parked or not letter.parked]
            parked += len(found) - len(wanted)
            if wanted:
                interval = 1 / request.rate if request.rate else 0.0
                entry = partial(_entry, tenant, request, by)
                redriven += await self._database.write(audited(redrive, entry), tenant, wanted, interval, redriven)
        if redriven:
            log.info(Event.DEAD_LETTERS_REDRIVEN, count=redriven)
            self._wake()
        return RedriveResult(matched=matched, redriven=redriven, parked=parked)

    async def _would_redrive(self, tenant: str, request: RedriveRequest) -> RedriveResult:
        matched, parked = await self._database.read(count_matches, tenant, request, self._max_redrives)
        return RedriveResult(matched=matched, redriven=0, parked=0 if request.include_parked else parked)


def _entry(tenant: str, request: RedriveRequest, by: Origin, redriven: int) -> AuditEntry | None:
    """What one transaction of a redrive has done; about one job or one letter it is named."""
    if not redriven:
        return None
    job_id = request.filter.job_id if request.filter else None
    letter = str(request.ids[0]) if request.ids and len(request.ids) == 1 else ""
    detail: dict[str, object] = {"redriven": redriven, "include_parked": request.include_parked}
    return AuditEntry(tenant, Action.DEAD_LETTERS_REDRIVE, job_id or letter, by, detail)
