"""Which tasks are released next: shared between tenants by weight, and round robin over the jobs of each.

So a flood of one tenant's jobs does not hold up another's, and a small job overtakes a huge one. Nothing here depends
on how many tasks wait: tenants and jobs are found one by one in an index (`app.store.turns`), and of each job only as
many tasks are read as are released; a paused job with a million tasks costs one look.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import bindparam, func, select, tuple_, update

from app.models.job import DEFAULT_PROJECT, Stage, TaskStatus, Work
from app.store.database import HotStatement, Transaction
from app.store.schema import jobs, status_is, tasks
from app.store.serving import Out, Serving
from app.store.shares import Claim, divide
from app.store.turns import MOST_PLACES, Job, Looked, Place, Turn, look

SAME_WAIT_SECONDS = 1.0
"""Waits of a job that end so close to each other are told as one."""

SOON_SECONDS = 3.0
"""A wait that ends so soon is left to end: work is released a moment before its quota opens."""

START = Place()


class Window(NamedTuple):
    """How many tasks of a stage may be out and not yet claimed: of all jobs together, and of one job.

    Each replica makes it for its own slots. How many replicas there are shows in what they hold (`widened`).
    """

    total: int
    per_job: int

    def widened(self, held: int) -> "Window":
        """For replicas that hold `held` tasks together: as many again are at hand, however many replicas there are.

        One job may have no more than these, all of them four times as many: a small job's task is released behind one
        round of a huge job's tasks, not behind all of them.
        """
        return Window(max(self.total, 4 * held), max(self.per_job, held))


class QuotaWait(NamedTuple):
    """Why nothing of a Google project's jobs can be released, in words for people, and for how many seconds."""

    reason: str
    seconds: float


NO_WAITS: Mapping[str, QuotaWait] = MappingProxyType({})


class Released(NamedTuple):
    """The tasks released, for the broker; where the next pass goes on; whether the round is over."""

    works: list[Work]
    place: Place
    complete: bool


def release(
    transaction: Transaction,
    stage: Stage,
    window: Window,
    place: Place = START,
    closed: Mapping[str, QuotaWait] = NO_WAITS,
    *,
    elsewhere: Collection[str] = (),
) -> Released:
    """Release due tasks of running jobs, beginning with the tenants and jobs that follow `place`.

    The round ends when the window is full, or when every tenant was looked at, and of each either a job that can be
    served or every job. Tasks of jobs whose Google project is among `closed` stay: its quota is spent, and they could
    only come back. The jobs are told so; and that a wait is over before its time, unless their project is among
    those that wait `elsewhere`, at another stage.
    The caller hands them to the broker after the commit; what is lost between the two is found by `reclaim_expired`.
    """
    out = Out(transaction, stage)
    window = window.widened(out.held.total())
    room = window.total - out.released.total()
    if room <= 0:
        return Released([], place.anew(), complete=True)
    looked, all_seen = look(transaction, stage, place)
    _tell_all(transaction, looked.values(), closed, elsewhere)
    weights = {tenant: of.weight for tenant, of in looked.items()}
    serving = Serving(transaction, stage, window.per_job, out)
    ready = {tenant: serving.ready(of.jobs, closed) for tenant, of in looked.items()}
    _share(serving, {tenant: out.claim(tenant, weights[tenant]) for tenant, jobs in ready.items() if jobs}, ready, room)
    works = serving.written(weights)
    full = len(works) >= room
    turns = {tenant: _turn_after(of, ready[tenant], serving.served.get(tenant)) for tenant, of in looked.items()}
    last = _last_tenant(looked, serving.served if full else {}) or place.tenants.after
    through = full or (all_seen and all(of.all_seen or ready[tenant] for tenant, of in looked.items()))
    began = last if through else place.tenants.began
    return Released(works, Place(Turn(last, began), _kept(place.jobs, turns)), complete=through)


def _share(serving: Serving, claims: Mapping[str, Claim], ready: Mapping[str, list[Job]], room: int) -> None:
    """Divide the room; what a tenant cannot use of its share is divided among the others."""
    average = sum(claim.weight for claim in claims.values()) / max(1, len(claims))
    while claims:
        short = set()
        taken = {}
        for tenant, wanted in divide(claims, room, average).items():
            taken[tenant] = serving.serve(tenant, ready[tenant], wanted)
            if taken[tenant] < wanted:
                short.add(tenant)
        if not short:
            return
        room -= sum(taken.values())
        claims = {name: claim.more(taken.get(name, 0)) for name, claim in claims.items() if name not in short}


def _turn_after(of: Looked, ready: Collection[Job], served: str | None) -> Turn:
    """Where the tenant's next pass goes on: behind the last job that had its turn, or behind all looked at."""
    if served is not None:
        return Turn(served, served)
    if ready:  # it has its share already
        return of.turn.anew()
    last = of.jobs[-1].id if of.jobs else of.turn.after
    return Turn(last, last if of.all_seen else of.turn.began)


def _last_tenant(looked: Collection[str], served: Collection[str]) -> str | None:
    """The last one looked at; where there was no room for all, the last one served."""
    names = [tenant for tenant in looked if not served or tenant in served]
    return names[-1] if names else None


def _kept(before: Mapping[str, Turn], turns: Mapping[str, Turn]) -> dict[str, Turn]:
    """The places remembered, the newest last; those of most tenants are the same for long."""
    kept = {tenant: turn for tenant, turn in before.items() if tenant not in turns} | dict(turns)
    for tenant in list(kept)[: max(0, len(kept) - MOST_PLACES)]:
        del kept[tenant]
    return kept


def unrelease(transaction: Transaction, works: Collection[Work]) -> None:
    """The broker did not take these: they wait again, and copies that got through nevertheless are worthless."""
    transaction.connection.execute(
        update(tasks)
        .where(
            tuple_(tasks.c.id, tasks.c.version).in_([(work.task_id, work.version) for work in works]),
            status_is(tasks.c.status, TaskStatus.RELEASED),
        )
        .values(status=TaskStatus.WAITING.value, version=tasks.c.version + 1, lease_until=None)
    )


def next_due(transaction: Transaction) -> float | None:
    """When, in seconds since 1970, the next task becomes due that is not due yet."""
    due: float | None = _next_due.execute(transaction, {"now": transaction.now}).scalar()
    return due


_next_due = HotStatement(
    select(func.min(tasks.c.due_at)).where(
        status_is(tasks.c.status, TaskStatus.WAITING), tasks.c.due_at > bindparam("now")
    )
)


def _tell_all(
    transaction: Transaction, looked: Iterable[Looked], closed: Mapping[str, QuotaWait], elsewhere: Collection[str]
) -> None:
    """By their ids, as whoever else locks several jobs."""
    due = [job for of in looked for job in of.jobs if job.due]
    for job in sorted(due, key=lambda job: job.id):
        if job.project is not None and job.project in closed:
            _tell(transaction, job, closed[job.project])
        elif (job.project or DEFAULT_PROJECT) not in (*closed, *elsewhere):
            _tell_of_end(transaction, job)


def _tell(transaction: Transaction, job: Job, wait: QuotaWait) -> None:
    """Why nothing of the job happens, where people look: once for each wait, which is never timed to the millisecond
    twice."""
    until = transaction.now + wait.seconds
    if (job.waiting_until or 0.0) >= until - SAME_WAIT_SECONDS:
        return
    transaction.connection.execute(
        update(jobs).where(jobs.c.id == job.id).values(waiting_reason=wait.reason, waiting_until=until)
    )


def _tell_of_end(transaction: Transaction, job: Job) -> None:
    """The limits are others than when the job was told of its wait: nothing keeps it back any more."""
    if (job.waiting_until or 0.0) <= transaction.now + SOON_SECONDS:
        return
    transaction.connection.execute(update(jobs).where(jobs.c.id == job.id).values(waiting_until=transaction.now))
