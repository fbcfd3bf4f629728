"""The leader's work of data protection: jobs whose retention is over, and orders to erase, in short transactions.

All of it stands in the store, so whoever leads next goes on where this one stopped.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import RowMapping

from app.clock import Clock
from app.crash import CrashPoint, crash_point
from app.models.erasure import ErasureKind, review_key
from app.store.database import Database, StoreUnavailableError
from app.store.erase_tenant import erase_tenant_step
from app.store.erasures import finish_order, job_is_there, open_order
from app.store.retention import hide_outdated
from app.store.reviewers import (
    Found,
    begin_leg,
    erase_letters_of,
    erase_reviews,
    look_for_review,
    look_for_reviewer,
    note_leg,
    older_jobs_run,
)
from app.store.sweep import sweep_step
from app.telemetry.events import Event

LOOK_SECONDS = 5.0
"""Between two looks for something to do."""

BACKLOG_SECONDS = 0.05
"""Between two turns while there is more: pages settle in between."""

ROWS_A_COMMIT = 500

JOBS_A_COMMIT = 50

log = structlog.get_logger(__name__)


class Erasing:
    """`retention_days`: for tenants that have none of their own, 0 keeps everything. `publishes`: reviews go to a
    topic, whose readers learn what was erased; `announce` wakes the publisher. `leading`: whether it is our turn.
    `swept` is told when a turn went well."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        retention_days: int,
        *,
        publishes: bool,
        announce: Callable[[], None],
        leading: Callable[[], bool] = lambda: True,
        swept: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._days = retention_days
        self._publishes = publishes
        self._announce = announce
        self._leading = leading
        self._swept = swept

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            more = self._leading() and await self._tried()
            await self._clock.sleep(BACKLOG_SECONDS if more else LOOK_SECONDS)

    async def _tried(self) -> bool:
        try:
            more = await self.turn()
        except StoreUnavailableError as error:
            log.warning(Event.ERASING_STORE_AWAY, cause=str(error))
            return False
        self._swept()
        return more

    async def turn(self) -> bool:
        """Some of all there is to do. Whether there is more to do at once."""
        return any([await self._hide(), await self._carry_out(), await self._sweep()])

    async def _hide(self) -> bool:
        """Of each tenant some."""
        after: str | None = None
        full = False
        while True:
            done = await self._database.write(
                hide_outdated, self._days, after, JOBS_A_COMMIT, publishes=self._publishes
            )
            crash_point(CrashPoint.JOBS_HIDDEN)
            full = full or done.hidden == JOBS_A_COMMIT
            after = done.after
            if after is None:
                return full

    async def _sweep(self) -> bool:
        step = await self._database.write(sweep_step, ROWS_A_COMMIT, publishes=self._publishes)
        crash_point(CrashPoint.ROWS_SWEPT)
        if step.reviews and self._publishes:
            self._announce()
        return step.more

    async def _carry_out(self) -> bool:
        """A step of each order. Whether one of them goes on at once."""
        more, after = False, 0
        while (order := await self._database.read(open_order, after)) is not None:
            after = order["id"]
            more = await self._step(order, ErasureKind(order["kind"])) or more
        return more

    async def _step(self, order: RowMapping, kind: ErasureKind) -> bool:
        number, tenant, subject = order["id"], order["tenant"], order["subject"]
        match kind:
            case ErasureKind.JOB:
                left = waits = await self._database.read(job_is_there, subject)
            case ErasureKind.TENANT:
                left = await self._database.write(erase_tenant_step, number, tenant, ROWS_A_COMMIT)
                waits = False
            case ErasureKind.REVIEWER:
                left, waits = await self._step_of_reviewer(order)
            case ErasureKind.REVIEW:
                left, waits = await self._step_of_review(order)
        if not left:
            await self._database.write(finish_order, number, kind)
            log.info(Event.ERASURE_DONE, erasure=number, kind=kind.value, tenant=tenant)
        return left and not waits

    async def _step_of_reviewer(self, order: RowMapping) -> tuple[bool, bool]:
        """Look a piece further. Whether something is left, and whether it is only what open jobs may still bring."""
        number, tenant, reached, upto = order["id"], order["tenant"], order["reached"], order["upto"]
        if reached >= upto:
            older = await self._database.read(older_jobs_run, tenant, order["created_at"])
            upto = await self._database.write(begin_leg, number, reached)
            return older or upto > reached, upto == reached
        look = await self._database.read(look_for_reviewer, tenant, order["subject"], (reached, upto), ROWS_A_COMMIT)
        await self._erase(number, look.found)
        await self._database.write(note_leg, number, look.reached, upto)
        return True, False

    async def _step_of_review(self, order: RowMapping) -> tuple[bool, bool]:
        """The same of one review."""
        key = review_key(order["subject"])
        if key is None:
            return False, False
        older = await self._database.read(older_jobs_run, order["tenant"], order["created_at"])
        found = await self._database.read(look_for_review, order["tenant"], key, ROWS_A_COMMIT)
        await self._erase(order["id"], found)
        await self._database.write(erase_letters_of, order["tenant"], key.location, [key.review_id])
        return older or bool(found), not found

    async def _erase(self, order: int, found: Sequence[Found]) -> None:
        """A transaction for each location: the rows of one job are all that it takes."""
        by_location: dict[int, list[int]] = defaultdict(list)
        for review in found:
            by_location[review.location_no].append(review.seq)
        for location_no, numbers in by_location.items():
            await self._database.write(erase_reviews, order, location_no, numbers, tombstones=self._publishes)
            crash_point(CrashPoint.ROWS_SWEPT)
        if found and self._publishes:
            self._announce()
