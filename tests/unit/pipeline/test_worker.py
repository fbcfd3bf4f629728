"""The loop of a worker: claims, permits, pages, room for others, and an orderly stop."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from app.broker.base import Delivery
from app.google.errors import ErrorKind
from app.google.pages import AccountsPage, ReviewsPage, TokenInfo
from app.limits.permits import Wait
from app.models.job import DEFAULT_PROJECT, HeldTask, Stage, TaskStatus, Work
from app.models.settlement import Move, Settled
from app.pipeline.owners import ASK_AGAIN_SECONDS
from app.pipeline.tools import TokenUnreadableError
from app.pipeline.worker import MOST_CRASHES
from app.store.database import StoreUnavailableError
from app.store.settle import JobEndedMeanwhileError
from app.store.tasks import let_go
from tests.support.clock import ManualClock, settle_loop
from tests.unit.pipeline.stage import NOW, Bench, ListeningQuota, ListeningStore, ScriptedGoogle, error, held, work_of

PAGE = ReviewsPage([], 500, 4.0, "p2")
LAST = ReviewsPage([], 0, None, None)


def kept(cursor: str | None = "p2", version: int = 3, status: TaskStatus = TaskStatus.HELD, **more: Any) -> Settled:
    return Settled(Move(status, cursor, pages=1), version, **more)


async def test_an_old_copy_of_a_message_calls_nobody() -> None:
    task = held()
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), ListeningStore(task))
    old = work_of(task)._replace(version=0)
    await bench.settlements(1, old, old)
    assert bench.google.asked == [("accounts/1", "locations/1", None)]


@pytest.mark.parametrize(
    "forged", [work_of(held())._replace(job_id="job-9"), work_of(held())._replace(tenant="tenant-9")]
)
async def test_a_message_that_names_another_jobs_task_calls_nobody(forged: Work) -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(held()))
    await _take_until_let_go(bench, forged)
    assert bench.google.asked == []


async def test_a_message_on_another_stages_topic_calls_nobody() -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(replace(held(), stage=Stage.ACCOUNTS)))
    await _take_until_let_go(bench, work_of(held()))
    assert bench.google.asked == []


async def _take_until_let_go(bench: Bench, forged: Work) -> None:
    """The task that a forged message claimed goes back under the version of its claim."""
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([forged])
    async with asyncio.timeout(10):
        while not bench.store.let_go:
            await settle_loop()
    await bench.worker.stop(5)
    await running
    assert bench.store.let_go == [[(held().task_id, held().version)]]
    assert bench.store.settlements == []


async def test_a_stop_in_the_moment_of_a_delivery_begins_nothing() -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(held()))
    consumer = bench.broker.consumer(Stage.REVIEWS)
    receive, stops = consumer.receive, []

    async def received_as_the_stop_comes(room: int) -> list[Delivery]:
        deliveries = await receive(room)
        stops.append(asyncio.create_task(bench.worker.stop(5)))  # runs before whoever waits for this answer
        return deliveries

    with patch.object(consumer, "receive", received_as_the_stop_comes):
        await bench.broker.publish([work_of(held())])
        await asyncio.wait_for(bench.worker.run(), 10)
        await asyncio.gather(*stops)
    assert bench.store.tasks, "nothing was claimed"


async def test_a_task_goes_on_page_after_page_under_the_version_of_each_settle() -> None:
    store = ListeningStore(held())
    store.settled = [kept("p2", 3, new_reviews=2, total=120), kept("p3", 4, new_reviews=1)]
    pages = [PAGE, PAGE._replace(next_page_token="p3"), PAGE._replace(next_page_token="p4")]
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(*pages), store)
    settlements = await bench.settlements(3)
    assert [asked[2] for asked in bench.google.asked] == [None, "p2", "p3"]
    assert settlements[-1].task.version == 4
    assert settlements[-1].task.location_fetched == 3
    assert settlements[-1].task.location_total == 120
    assert settlements[-1].task.pages_settled == 5


async def test_a_settle_that_was_dropped_ends_the_work_on_its_task() -> None:
    store = ListeningStore(held())
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(PAGE), store)
    await bench.settlements()
    assert len(bench.google.asked) == 1


async def test_a_job_that_ended_during_the_settle_drops_it() -> None:
    store = DyingStore(held(), JobEndedMeanwhileError())
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(PAGE), store)
    await bench.settlements()
    assert len(bench.google.asked) == 1


class DyingStore(ListeningStore):
    """Answers settlements with these errors first."""

    def __init__(self, task: HeldTask, *errors: Exception) -> None:
        super().__init__(task)
        self.raised = list(errors)

    async def write(self, work: Any, *arguments: Any) -> Any:
        answer = await super().write(work, *arguments)
        if isinstance(answer, Settled) and self.raised:
            raise self.raised.pop(0)
        return answer


async def test_a_store_that_is_away_is_asked_again_and_google_is_not() -> None:
    clock = ManualClock()
    store = DyingStore(held(), StoreUnavailableError("away"), StoreUnavailableError("away"))
    store.errors = [StoreUnavailableError("away")]
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), store, clock=clock)
    running = asyncio.create_task(bench.settlements(3))
    for _ in range(3):
        await settle_loop()
        assert clock.sleepers == 1
        await clock.advance(0.5)
    settlements = await running
    assert settlements[0] is settlements[1] is settlements[2]
    assert len(bench.google.asked) == 1


async def test_a_settle_whose_answer_was_lost_does_not_leave_its_task_to_its_lease() -> None:
    """It was committed after all: the task is held under the next version, and let go."""
    clock = ManualClock()
    store = DyingStore(held(), StoreUnavailableError("the connection broke"))
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(PAGE), store, clock=clock)
    running = asyncio.create_task(bench.settlements(2))
    await clock.advance(0.5)
    await running
    assert store.let_go == [[(7, 3)]]


async def test_a_claim_whose_answer_was_lost_does_not_leave_its_tasks_to_their_leases() -> None:
    clock = ManualClock()
    store = ListeningStore(held())
    store.errors = [StoreUnavailableError("the connection broke")]
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), store, clock=clock)
    lost = work_of(held(task_id=8))
    running = asyncio.create_task(bench.settlements(1, lost))
    await clock.advance(0.5)
    await running
    assert store.let_go == [[(8, 2)]]


class StoreAwayForLettingGo(ListeningStore):
    """Takes back what was claimed in doubt at the second try."""

    def __init__(self, *tasks: HeldTask) -> None:
        super().__init__(*tasks)
        self.refusals = 1

    async def write(self, work: Any, *arguments: Any) -> Any:
        if work is let_go and self.refusals:
            self.refusals -= 1
            raise StoreUnavailableError("away again")
        return await super().write(work, *arguments)


async def test_what_was_claimed_is_worked_on_although_the_store_is_away_for_what_is_in_doubt() -> None:
    clock = ManualClock()
    store = StoreAwayForLettingGo(held())
    store.errors = [StoreUnavailableError("the connection broke")]
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), store, clock=clock)
    running = asyncio.create_task(bench.settlements(1, work_of(held()), work_of(held(task_id=8))))
    for _ in range(2):
        await settle_loop()
        await clock.advance(0.5)
    (settlement,) = await asyncio.wait_for(running, 10)
    assert settlement.task.task_id == 7
    assert store.let_go == [[(8, 2)]]


async def test_a_settle_that_is_dropped_without_doubt_lets_nothing_go() -> None:
    store = ListeningStore(held())
    await Bench(Stage.REVIEWS, ScriptedGoogle(PAGE), store).settlements()
    assert store.let_go == []


def _five_pages() -> tuple[ListeningStore, ScriptedGoogle]:
    store = ListeningStore(held())
    store.settled = [kept(f"p{number + 2}", number + 3) for number in range(4)]
    return store, ScriptedGoogle(*(PAGE._replace(next_page_token=f"p{number + 2}") for number in range(5)))


async def test_when_its_turn_is_over_a_task_makes_room_for_the_work_of_another_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.pipeline.worker.TURN_SECONDS", 0.0)
    store, google = _five_pages()
    bench = Bench(Stage.REVIEWS, google, store, concurrency=1)
    settlement, *_ = await bench.settlements(1, work_of(held(job_id="job-2", task_id=8)))
    assert (settlement.move.status, settlement.move.cursor) == (TaskStatus.WAITING, "p2")


async def test_within_its_turn_a_task_goes_on_though_others_wait() -> None:
    store, google = _five_pages()
    bench = Bench(Stage.REVIEWS, google, store, concurrency=1)
    settlements = await bench.settlements(4, work_of(held(job_id="job-2", task_id=8)))
    assert {settlement.move.status for settlement in settlements[:4]} == {TaskStatus.HELD}


async def test_alone_a_task_goes_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.pipeline.worker.TURN_SECONDS", 0.0)
    store, google = _five_pages()
    bench = Bench(Stage.REVIEWS, google, store, concurrency=1)
    settlements = await bench.settlements(4, work_of(held(job_id="job-1", task_id=9)))
    assert {settlement.move.status for settlement in settlements[:4]} == {TaskStatus.HELD}


async def test_a_task_that_would_wait_long_for_quota_goes_back_and_its_budget_is_remembered() -> None:
    quota = ListeningQuota(Wait(NOW + 40.0, "the minute is spent"))
    task = held(attempt=2, cursor="p2")
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(task), quota)
    (settlement,) = await bench.settlements()
    assert (settlement.move.status, settlement.move.attempt, settlement.move.cursor) == (TaskStatus.WAITING, 2, "p2")
    assert settlement.waiting == ("the minute is spent", 40.0)
    assert settlement.calls == 0
    assert bench.google.asked == []
    assert list(bench.spent.waits("reviews")) == ["project-1"]


async def test_a_permit_that_is_no_longer_good_is_given_back_and_another_taken() -> None:
    quota = ListeningQuota()
    quota.invalid = 2
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), ListeningStore(held()), quota)
    await bench.settlements()
    assert quota.answers == ["released", "released", "succeeded"]
    assert len(bench.google.asked) == 1


async def test_a_page_that_was_begun_too_often_is_dead_without_another_try() -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(held(crashes=MOST_CRASHES + 1)))
    (settlement,) = await bench.settlements()
    assert settlement.move.status is TaskStatus.DEAD
    assert settlement.move.error is not None
    assert settlement.move.error.type == "crash_loop"
    assert bench.google.asked == []


async def test_as_many_begins_as_are_allowed_are_tried() -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(LAST), ListeningStore(held(crashes=MOST_CRASHES)))
    (settlement,) = await bench.settlements()
    assert settlement.move.status is TaskStatus.DONE


class NoKey:
    def open(self, task: HeldTask) -> str:
        raise TokenUnreadableError("its key is gone")


async def test_a_token_nobody_can_open_waits_for_another() -> None:
    bench = Bench(Stage.REVIEWS, ScriptedGoogle(), ListeningStore(held(cursor="p2")), tokens=NoKey())
    (settlement,) = await bench.settlements()
    assert settlement.token_problem is not None
    assert (settlement.token_problem.type, settlement.move.cursor) == ("token_unreadable", "p2")


async def test_the_first_step_of_a_job_asks_whose_quota_it_spends() -> None:
    google = ScriptedGoogle(AccountsPage([], None), token_info=TokenInfo("project-9", 3599))
    task = held(Stage.ACCOUNTS, project=None, pages_settled=0)
    bench = Bench(Stage.ACCOUNTS, google, ListeningStore(task))
    (settlement,) = await bench.settlements()
    assert (settlement.project, settlement.token_expires_at) == ("project-9", NOW + 3599)
    assert settlement.calls == 2


@pytest.mark.parametrize("info", [error(ErrorKind.TRANSIENT, 503), error(ErrorKind.THROTTLED, 429)])
async def test_a_step_whose_project_could_not_be_asked_for_uses_the_default_and_does_not_keep_it(info: Any) -> None:
    google = ScriptedGoogle(AccountsPage([], None), token_info=info)
    task = held(Stage.ACCOUNTS, project=None, pages_settled=0)
    (settlement,) = await Bench(Stage.ACCOUNTS, google, ListeningStore(task)).settlements()
    assert (settlement.project, settlement.calls) == (None, 2)
    assert settlement.move.status is TaskStatus.DONE


async def test_while_its_project_is_not_known_a_job_waits_no_longer_than_until_it_is_asked_for_again() -> None:
    quota = ListeningQuota(Wait(NOW + 3600.0, "the day is spent"))
    google = ScriptedGoogle(token_info=error(ErrorKind.TRANSIENT, 503))
    bench = Bench(Stage.REVIEWS, google, ListeningStore(held(project=None)), quota)
    (settlement,) = await bench.settlements()
    assert settlement.waiting == ("the day is spent", ASK_AGAIN_SECONDS)
    assert list(bench.spent.waits("reviews")) == [DEFAULT_PROJECT]


@pytest.mark.parametrize("info", [TokenInfo(None, None), error(ErrorKind.REFUSED, 404)])
async def test_a_project_that_nobody_tells_is_the_default_one(info: Any) -> None:
    google = ScriptedGoogle(AccountsPage([], None), token_info=info)
    task = held(Stage.ACCOUNTS, project=None, pages_settled=0)
    (settlement,) = await Bench(Stage.ACCOUNTS, google, ListeningStore(task)).settlements()
    assert (settlement.project, settlement.token_expires_at) == (DEFAULT_PROJECT, None)
    assert settlement.move.status is TaskStatus.DONE


async def test_a_token_that_tokeninfo_refuses_fails_the_job_before_a_call_is_spent() -> None:
    google = ScriptedGoogle(token_info=error(ErrorKind.UNAUTHENTICATED, 400))
    task = held(Stage.ACCOUNTS, project=None, pages_settled=0)
    quota = ListeningQuota()
    (settlement,) = await Bench(Stage.ACCOUNTS, google, ListeningStore(task), quota).settlements()
    assert settlement.job_problem is not None
    assert quota.answers == []


class SlowGoogle(ScriptedGoogle):
    """Answers when the test says so."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.asked_once = asyncio.Event()
        self.go = asyncio.Event()

    async def list_reviews(self, token: str, account: str, location: str, cursor: str | None) -> Any:
        self.asked_once.set()
        await self.go.wait()
        return await super().list_reviews(token, account, location, cursor)


async def test_a_stop_lets_the_page_in_flight_settle_and_its_task_go_back() -> None:
    google = SlowGoogle(PAGE)
    bench = Bench(Stage.REVIEWS, google, ListeningStore(held()))
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([work_of(held())])
    await google.asked_once.wait()
    stopping = asyncio.create_task(bench.worker.stop(5))
    await settle_loop()
    assert not stopping.done()
    google.go.set()
    await stopping
    await running
    (settlement,) = bench.store.settlements
    assert settlement.page
    assert (settlement.move.status, settlement.move.cursor) == (TaskStatus.WAITING, "p2")
    assert bench.tools().leases.count == 0


async def test_a_stop_begins_nothing_more_though_places_become_free() -> None:
    google = SlowGoogle(PAGE, PAGE)
    first, second = held(), held(task_id=8)
    bench = Bench(Stage.REVIEWS, google, ListeningStore(first, second), concurrency=1)
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([work_of(first), work_of(second)])
    await google.asked_once.wait()
    stopping = asyncio.create_task(bench.worker.stop(5))
    await settle_loop()
    google.go.set()
    await stopping
    await running
    await settle_loop()
    assert len(google.asked) == len(bench.store.settlements) == 1


async def test_a_claim_under_way_at_a_stop_is_waited_for() -> None:
    google = ScriptedGoogle(PAGE)
    store = SlowClaims(held())
    bench = Bench(Stage.REVIEWS, google, store)
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([work_of(held())])
    await store.asked.wait()
    stopping = asyncio.create_task(bench.worker.stop(5))
    await settle_loop()
    store.go.set()
    await stopping
    await running
    assert [settlement.move.status for settlement in store.settlements] == [TaskStatus.WAITING]


class SlowClaims(ListeningStore):
    def __init__(self, task: HeldTask) -> None:
        super().__init__(task)
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def write(self, work: Any, *arguments: Any) -> Any:
        if self.tasks:
            self.asked.set()
            await self.go.wait()
        return await super().write(work, *arguments)


async def test_what_outlasts_the_grace_of_a_stop_is_cut_off_and_given_back() -> None:
    google = SlowGoogle(PAGE)
    bench = Bench(Stage.REVIEWS, google, ListeningStore(held(cursor="p2", attempt=1)))
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([work_of(held())])
    await google.asked_once.wait()
    await bench.worker.stop(0.0)
    await running
    (settlement,) = bench.store.settlements
    assert (settlement.move.status, settlement.move.cursor) == (TaskStatus.WAITING, "p2")
    assert (settlement.move.attempt, settlement.waiting, settlement.page) == (1, None, False)
    assert bench.quota.answers == ["released"]


async def test_a_store_that_is_away_does_not_hold_up_a_stop() -> None:
    google = SlowGoogle(PAGE)
    bench = Bench(Stage.REVIEWS, google, ListeningStore(held()))
    running = asyncio.create_task(bench.worker.run())
    await bench.broker.publish([work_of(held())])
    await google.asked_once.wait()
    bench.store.errors = [StoreUnavailableError("away")] * 9
    await bench.worker.stop(0.0)
    await running
    assert bench.store.settlements == []


async def test_a_task_that_breaks_off_takes_no_other_with_it() -> None:
    google = ScriptedGoogle(ZeroDivisionError(), LAST)
    bench = Bench(Stage.REVIEWS, google, ListeningStore(held(), held(task_id=8)))
    (settlement,) = await bench.settlements()
    assert settlement.task.task_id == 8
    assert sorted(bench.quota.answers) == ["released", "succeeded"]


async def test_new_work_and_work_that_waits_wake_the_scheduler() -> None:
    store = ListeningStore(held(Stage.ACCOUNTS))
    store.settled = [Settled(Move(TaskStatus.DONE), 3, new_tasks=1)]
    bench = Bench(Stage.ACCOUNTS, ScriptedGoogle(AccountsPage([], None)), store)
    await bench.settlements()
    assert bench.woken == 2
