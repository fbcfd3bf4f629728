"""Work that was given up: seen, and tried again."""

from collections.abc import Callable

import structlog

from app.models.views import DeadLetterList, RedriveRequest, RedriveResult
from app.store.database import Database
from app.store.reads import list_dead_letters
from app.store.redrive import match_dead_letters, redrive
from app.telemetry.events import Event

log = structlog.get_logger(__name__)

LETTERS_A_COMMIT = 50
"""Redriving everything is many short transactions: pages of running jobs settle in between."""


class DeadLetters:
    """The tenant's dead letters. `wake` tells the scheduler that there is work."""

    def __init__(self, database: Database, wake: Callable[[], None]) -> None:
        self._database = database
        self._wake = wake

    async def page(
        self, tenant: str, cause: str | None, job_id: str | None, limit: int, cursor: str | None
    ) -> DeadLetterList:
        """Newest first; those redriven are left out until they die again. Raises BadCursorError."""
        return await self._database.read(list_dead_letters, tenant, cause, job_id, limit=limit, cursor=cursor)

    async def redrive(self, tenant: str, request: RedriveRequest) -> RedriveResult:
        """Try again what the request names. A `dlq` job goes on; one whose token was wiped asks for a new one.

        Letters that are written meanwhile are not included: a task that dies at once again does not keep this going.
        """
        matched = redriven = 0
        newest: int | None = None
        while ids := await self._database.read(match_dead_letters, tenant, request, newest, LETTERS_A_COMMIT):
            newest = ids[-1]
            matched += len(ids)
            if not request.dry_run:
                redriven += await self._database.write(redrive, tenant, ids)
        if redriven:
            log.info(Event.DEAD_LETTERS_REDRIVEN, count=redriven)
            self._wake()
        return RedriveResult(matched=matched, redriven=redriven)
