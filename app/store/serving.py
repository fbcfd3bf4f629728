"""What one pass of the scheduler releases of a stage: what is out already, tasks chosen job by job, then written."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, func, literal_column, select, update

from app.models.job import Stage, TaskStatus, Work
from app.store.database import HotStatement, Transaction
from app.store.schema import OUT, status_in, status_is, tasks
from app.store.shares import Claim
from app.store.turns import Job, waits

RELEASE_SECONDS = 300.0
"""A released task that nobody claimed for so long was lost on its way: five minutes are ample for a topic whose lag is
bounded by the window, and a second copy does no harm."""


class Out:
    """Tasks with workers (`held`), and released ones that are not claimed yet; by tenant, the latter by job too."""

    def __init__(self, transaction: Transaction, stage: Stage) -> None:
        self.held = Counter[str]()
        self.released = Counter[str]()
        self.of_job = Counter[str]()
        for status, tenant, job_id, count in _count_out.execute(transaction, {"stage": stage.value}):
            if status == TaskStatus.HELD:
                self.held[tenant] += count
            else:
                self.released[tenant] += count
                self.of_job[job_id] = count

    def claim(self, tenant: str, weight: int) -> Claim:
        released = self.released[tenant]
        return Claim(weight, released, released + self.held[tenant])


class Serving:
    """`served`: tenant → the last of its jobs that had its turn."""

    def __init__(self, transaction: Transaction, stage: Stage, per_job: int, out: Out) -> None:
        self._transaction = transaction
        self._stage = stage
        self._per_job = per_job
        self._out = out
        self._chosen: defaultdict[str, list[Any]] = defaultdict(list)
        self._traceparents: dict[str, str | None] = {}
        self.served: dict[str, str] = {}

    def ready(self, found: Iterable[Job], closed: Collection[str]) -> list[Job]:
        """Those that can be served now."""
        now = self._transaction.now
        return [job for job in found if job.due and not job.is_kept_back(closed, now) and self._room_of(job) > 0]

    def serve(self, tenant: str, ready: list[Job], wanted: int) -> int:
        """A fair share of each of the tenant's jobs first; what small ones leave of it is for those that have more.

        Those that had their turn go to the end of `ready`.
        """
        in_turn, taken = ready[:wanted], 0
        for share in (max(1, wanted // len(in_turn)), self._per_job):
            for job in in_turn:
                taken += self._take(job, min(share, self._room_of(job), wanted - taken))
        self.served[tenant] = in_turn[-1].id
        ready[:] = ready[wanted:] + in_turn
        return taken

    def written(self, weights: dict[str, int]) -> list[Work]:
        """Release what was taken; each piece of work tells the weight of its tenant."""
        rows = [row for of_job in self._chosen.values() for row in of_job]
        if rows:
            ids = {f"task{number}": row.id for number, row in enumerate(rows)}
            lost_at = self._transaction.now + RELEASE_SECONDS
            _mark_released(len(ids)).execute(self._transaction, ids | {"lost_at": lost_at})
        return [self._work(row, weights[row.tenant]) for row in rows]

    def _room_of(self, job: Job) -> int:
        return self._per_job - self._out.of_job[job.id]

    def _take(self, job: Job, most: int) -> int:
        """The job's tasks that have been due longest, locked."""
        if most <= 0:
            return 0
        chosen = self._chosen[job.id]
        self._traceparents[job.id] = job.traceparent
        values = {"stage": self._stage.value, "tenant": job.tenant, "job": job.id, "now": self._transaction.now}
        rows = _due_longest.execute(self._transaction, values | {"most": most + len(chosen)})
        known = {row.id for row in chosen}
        new = [row for row in rows if row.id not in known][:most]
        chosen += new
        self._out.of_job[job.id] += len(new)
        return len(new)

    def _work(self, row: Any, weight: int) -> Work:
        told = (row.tenant, row.job_id, row.resource, row.account, row.title)
        return Work(row.id, row.version + 1, self._stage, *told, weight, self._traceparents[row.job_id])


_count_out = HotStatement(
    select(tasks.c.status, tasks.c.tenant, tasks.c.job_id, func.count())
    .where(tasks.c.stage == bindparam("stage"), status_in(tasks.c.status, OUT))
    .group_by(tasks.c.status, tasks.c.tenant, tasks.c.job_id)
)

_TOLD = ("id", "version", "tenant", "job_id", "resource", "account", "title")
_of_job = (tasks.c.tenant == bindparam("tenant"), tasks.c.job_id == bindparam("job"))
_due_longest = HotStatement(
    select(*(tasks.c[name] for name in _TOLD))
    .where(waits, *_of_job, tasks.c.due_at <= bindparam("now"))
    .order_by(tasks.c.due_at, tasks.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
"""On its own: as a subquery of the update PostgreSQL may ask it several times, and then releases too much."""


@lru_cache(maxsize=256)
def _mark_released(count: int) -> HotStatement:
    return HotStatement(
        update(tasks)
        .where(
            tasks.c.id.in_([bindparam(f"task{number}") for number in range(count)]),
            status_is(tasks.c.status, TaskStatus.WAITING),
        )
        .values(
            status=literal_column(f"'{TaskStatus.RELEASED.value}'"),
            version=tasks.c.version + 1,
            lease_until=bindparam("lost_at"),
        )
    )
