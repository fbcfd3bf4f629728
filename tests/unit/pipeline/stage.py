"""One worker between a scripted Google and a store that only listens: an answer goes in, a settlement comes out."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from app.broker.in_process import InProcessBroker
from app.clock import Clock
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import TokenInfo
from app.limits.permits import Api, Permit, Wait
from app.limits.spent import SpentBudgets
from app.limits.waiters import Tenant
from app.models.job import HeldTask, Stage, Work
from app.models.settlement import Settled, Settlement, SettleOptions
from app.pipeline.accounts import AccountWorker
from app.pipeline.leases import LeaseKeeper
from app.pipeline.locations import LocationWorker
from app.pipeline.owners import TokenOwners
from app.pipeline.refreshing import TokenRefresher
from app.pipeline.reviews import ReviewWorker
from app.pipeline.tools import Tools, WorkerOptions
from app.pipeline.worker import Worker
from app.retry.policy import ExponentialBackoffPolicy
from app.store.settle import settle
from app.store.tasks import claim, let_go
from tests.support.clock import ManualClock

NOW = 1_700_000_000.0

WORKERS: dict[Stage, type[Worker[Any]]] = {
    Stage.ACCOUNTS: AccountWorker,
    Stage.LOCATIONS: LocationWorker,
    Stage.REVIEWS: ReviewWorker,
}

RESOURCES = {Stage.ACCOUNTS: "accounts", Stage.LOCATIONS: "accounts/1", Stage.REVIEWS: "locations/1"}


def held(stage: Stage = Stage.REVIEWS, **changes: Any) -> HeldTask:
    """A claimed task in the middle of a job's walk; of the reviews stage that of a verified location."""
    values: dict[str, Any] = {
        "task_id": 7,
        "version": 2,
        "stage": stage,
        "tenant": "default",
        "job_id": "job-1",
        "resource": RESOURCES[stage],
        "account": "accounts/1",
        "title": "Shop",
        "cursor": None,
        "walk": 0,
        "pages": 0,
        "restarts": 0,
        "missing": 0,
        "attempt": 0,
        "crashes": 1,
        "project": "project-1",
        "pages_settled": 3,
        "credential_version": 1,
        "sealed_token": b"sealed",
    }
    if stage is Stage.REVIEWS:
        values |= {"location_no": 1, "location_verified": True}
    return HeldTask(**(values | changes))


def work_of(task: HeldTask) -> Work:
    return Work(
        task.task_id, task.version - 1, task.stage, task.tenant, task.job_id, task.resource, task.account, task.title
    )


def error(
    kind: ErrorKind, status: int | None = None, reason: str = "", retry_after: float | None = None
) -> GoogleAPIError:
    return GoogleAPIError(kind, reason or f"http_{status}", "Google said so.", status=status, retry_after=retry_after)


class ScriptedGoogle:
    """Answers each call with the next of its answers: a page, or an error that is raised."""

    def __init__(self, *answers: Any, token_info: Any = None) -> None:
        self.answers = list(answers)
        self.info = token_info or TokenInfo("project-9", 3599)
        self.asked: list[tuple[Any, ...]] = []

    async def token_info(self, token: str) -> Any:
        self.asked.append(("token_info",))
        return self._raised_or(self.info)

    async def list_accounts(self, token: str, cursor: str | None) -> Any:
        return self._next("accounts", cursor)

    async def list_locations(self, token: str, account: str, cursor: str | None) -> Any:
        return self._next(account, cursor)

    async def list_reviews(self, token: str, account: str, location: str, cursor: str | None) -> Any:
        return self._next(account, location, cursor)

    def _next(self, *asked: Any) -> Any:
        self.asked.append(asked)
        return self._raised_or(self.answers.pop(0))

    @staticmethod
    def _raised_or(answer: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ListeningQuota:
    """Gives leave for everything, unless `wait` says otherwise, and remembers how each permit was answered."""

    def __init__(self, wait: Wait | None = None) -> None:
        self.wait = wait
        self.invalid = 0
        self.answers: list[str] = []

    async def acquire(self, project: str, api: str, *, max_wait: float, tenant: Tenant) -> Permit | Wait:
        return self.wait or Permit(project, api, 0.0, 0)

    def still_valid(self, permit: Permit) -> bool:
        self.invalid -= 1
        return self.invalid < 0

    async def throttled(self, permit: Permit, retry_after: float | None) -> Wait:
        self.answers.append("throttled")
        return Wait(NOW + (retry_after or 1.0), "Google said so")

    async def succeeded(self, permit: Permit) -> None:
        self.answers.append("succeeded")

    def released(self, permit: Permit) -> None:
        self.answers.append("released")


class ListeningStore:
    """Grants the claims of `tasks`, and takes settlements; `settled` answers them (by default: dropped)."""

    def __init__(self, *tasks: HeldTask) -> None:
        self.tasks = {(task.task_id, task.version - 1): task for task in tasks}
        self.settlements: list[Settlement] = []
        self.settled: list[Settled] = []
        self.let_go: list[list[tuple[int, int]]] = []
        self.changed = asyncio.Event()
        self.errors: list[Exception] = []

    async def write(self, work: Any, *arguments: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        if work is claim:
            return [task for key in arguments[0] if (task := self.tasks.pop(key, None)) is not None]
        if work is let_go:
            self.let_go.append(sorted(arguments[0]))
            return len(arguments[0])
        assert work is settle
        self.settlements.append(arguments[0])
        self.changed.set()
        return self.settled.pop(0) if self.settled else Settled(None)


class Silent:
    """An observer with nothing to say."""

    def called(self, task: HeldTask, api: Api, error: GoogleAPIError | None, seconds: float) -> None: ...

    def settled(self, settlement: Settlement, settled: Settled, seconds: float) -> None: ...


class OneToken:
    def open(self, task: HeldTask) -> str:
        return "ya29.token-for-tests"


@dataclass
class Bench:
    """A worker of a stage, with everything around it in a test's hands."""

    stage: Stage
    google: ScriptedGoogle
    store: ListeningStore
    quota: ListeningQuota = field(default_factory=ListeningQuota)
    tokens: Any = field(default_factory=OneToken)
    exchange: Any = None
    clock: Clock = field(default_factory=ManualClock)
    concurrency: int = 4
    woken: int = 0

    def __post_init__(self) -> None:
        self.broker = InProcessBroker()
        self.spent = SpentBudgets(self.clock, {})
        self.policy = ExponentialBackoffPolicy(random=lambda: 0.0)
        self.worker = WORKERS[self.stage](self.tools())

    def tools(self) -> Tools:
        return Tools(
            database=cast(Any, self.store),
            broker=self.broker,
            google=cast(Any, self.google),
            quota=cast(Any, self.quota),
            spent_budgets=self.spent,
            tokens=self.tokens,
            refresher=TokenRefresher(cast(Any, self.exchange), self.clock, self._wake),
            owners=TokenOwners(cast(Any, self.google), self.clock),
            policy=self.policy,
            leases=LeaseKeeper(cast(Any, self.store), self.clock, "test"),
            clock=self.clock,
            wake=self._wake,
            announce=lambda: None,
            observer=Silent(),
            options=WorkerOptions(self.concurrency, 900_000, SettleOptions(announce=False, token_wait=3600.0)),
        )

    def _wake(self) -> None:
        self.woken += 1

    async def settlements(self, count: int = 1, *more: Work) -> list[Settlement]:
        """Publish the tasks and run the worker until it has settled so often."""
        works = [Work(key[0], key[1], *work_of(task)[2:]) for key, task in self.store.tasks.items()]
        running = asyncio.create_task(self.worker.run())
        await self.broker.publish([*works, *more])
        while len(self.store.settlements) < count:
            self.store.changed.clear()
            await self.store.changed.wait()
        await self.worker.stop(5)
        await running
        return self.store.settlements


async def settlement_of_answer(task: HeldTask, answer: Any, quota: ListeningQuota | None = None) -> Settlement:
    """What the task's stage makes of one answer of Google's."""
    bench = Bench(task.stage, ScriptedGoogle(answer), ListeningStore(task), quota or ListeningQuota())
    (settlement,) = await bench.settlements()
    return settlement
