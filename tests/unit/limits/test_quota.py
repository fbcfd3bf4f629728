"""What a worker sees of the quota: permits, waits, closings and re-openings."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import structlog
from structlog.testing import capture_logs

from app.limits.permits import Api, Permit, Wait
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.telemetry.events import Event
from app.telemetry.logging import job_context
from tests.support.clock import ManualClock, settle_loop
from tests.unit.limits.ledger import assert_kept
from tests.unit.limits.memory_store import MemoryBudgetStore

DEFAULTS = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300)
SMALL = Limits(bucket_capacity=2.2, refill_rate=1.0)  # two at once, with room for their time to Google
OFF = Limits()
Make = Callable[..., SharedQuota]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryBudgetStore:
    return MemoryBudgetStore(clock)


@pytest.fixture
async def make(store: MemoryBudgetStore, clock: ManualClock) -> AsyncIterator[Make]:
    made: list[SharedQuota] = []

    def build(limits: Limits, holder: str = "a", random: float = 0.5) -> SharedQuota:
        made.append(SharedQuota(store, dict.fromkeys(Api, limits), holder, clock, lambda: random))
        return made[-1]

    yield build
    store.away, store.delay = False, 0.0
    for quota in made:
        await quota.close()


async def permit(quota: SharedQuota, project: str = "p", max_wait: float = 2.0) -> Permit:
    answer = await quota.acquire(project, Api.REVIEWS, max_wait=max_wait)
    assert isinstance(answer, Permit), answer
    return answer


async def wait(quota: SharedQuota, max_wait: float = 0.0) -> Wait:
    answer = await quota.acquire("p", Api.REVIEWS, max_wait=max_wait)
    assert isinstance(answer, Wait), answer
    return answer


async def test_without_limits_calls_ask_nobody_after_the_first(make: Make, store: MemoryBudgetStore) -> None:
    quota = make(OFF)
    for _ in range(1000):
        await permit(quota)
    assert store.changes == 0
    assert store.reads == 1


async def test_a_share_serves_many_calls_with_one_store_call(make: Make, store: MemoryBudgetStore) -> None:
    quota = make(Limits(bucket_capacity=100, refill_rate=10.0))
    given = await asyncio.gather(*(permit(quota) for _ in range(20)))
    assert len(given) == 20
    assert store.changes == 1


async def test_those_who_would_wait_too_long_hear_until_when(
    make: Make, clock: ManualClock, store: MemoryBudgetStore
) -> None:
    store.ahead = 500.0
    quota = make(SMALL)
    await permit(quota)
    await permit(quota)
    answer = await wait(quota, max_wait=0.5)
    assert clock.now() + 0.8 < answer.until < clock.now() + 1.3
    assert "bucket" in answer.reason
    changes = store.changes
    assert await wait(quota, max_wait=0.5) == answer
    assert store.changes == changes  # what is known is not asked again


async def test_who_can_wait_gets_the_permit_when_it_is_due(make: Make, clock: ManualClock) -> None:
    quota = make(SMALL)
    await permit(quota)
    await permit(quota)
    waiting = asyncio.create_task(permit(quota))
    await clock.advance(0.8)
    assert not waiting.done()
    await clock.advance(0.3)
    assert waiting.done()


async def test_the_queue_is_first_come_first_served(make: Make, clock: ManualClock) -> None:
    quota = make(SMALL)
    order: list[int] = []

    async def call(number: int) -> None:
        await permit(quota, max_wait=100)
        order.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(12)]
    await clock.advance(30)
    assert order == list(range(12))
    await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_loses_nothing_and_blocks_nobody(make: Make, clock: ManualClock) -> None:
    quota = make(SMALL)
    await permit(quota)
    await permit(quota)
    first, second = (asyncio.create_task(permit(quota, max_wait=10)) for _ in range(2))
    await settle_loop()
    first.cancel()
    await clock.advance(1.2)
    assert first.cancelled()
    assert second.done()


async def test_a_permit_whose_taker_was_cancelled_goes_to_the_next(make: Make, clock: ManualClock) -> None:
    quota = make(OFF)
    await quota.throttled(await permit(quota), 5.0)
    await clock.advance(5.01)
    probe = await permit(quota)
    first, second = (asyncio.create_task(permit(quota)) for _ in range(2))
    await settle_loop()
    quota.released(probe)  # gives the next permit to the first, who has not run since
    first.cancel()
    await settle_loop()
    assert first.cancelled()
    assert second.done()


async def test_a_store_that_is_away_gives_no_shares_and_says_so(
    make: Make, store: MemoryBudgetStore, clock: ManualClock
) -> None:
    quota = make(DEFAULTS)
    store.away = True
    answer = await wait(quota, max_wait=2.0)
    assert "cannot be reached" in answer.reason
    changes = store.changes
    await wait(quota, max_wait=2.0)
    assert store.changes == changes
    store.away = False
    await clock.advance(1.1)
    await permit(quota)


async def test_what_is_logged_for_all_who_wait_names_no_job(make: Make, store: MemoryBudgetStore) -> None:
    """The task that serves them is started by whoever comes first."""
    store.away = True
    quota = make(DEFAULTS)
    with job_context("the-first"), capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged:
        await wait(quota, max_wait=2.0)
    assert [(line["event"], line.get("job_id")) for line in logged] == [(Event.BUDGET_STORE_AWAY, None)]


async def test_a_restart_does_not_refill(make: Make, store: MemoryBudgetStore, clock: ManualClock) -> None:
    first = make(Limits(bucket_capacity=5.1, refill_rate=0.1))
    for _ in range(5):
        await permit(first)
    await first.close()
    await wait(make(Limits(bucket_capacity=5.1, refill_rate=0.1), "b"))


async def test_closing_returns_what_was_not_used(make: Make, store: MemoryBudgetStore) -> None:
    first = make(DEFAULTS)
    await asyncio.gather(*(permit(first) for _ in range(10)))
    await asyncio.gather(*(permit(first) for _ in range(1)))
    await first.close()
    await first.close()
    windows = {window.name: window.spent for window in (await first.snapshot())[0].windows}
    assert windows["minute"] == 11


async def test_an_idle_process_returns_the_rest_of_its_share(make: Make, clock: ManualClock) -> None:
    quota = make(DEFAULTS)
    await asyncio.gather(*(permit(quota) for _ in range(10)))
    await permit(quota)
    await clock.advance(5)
    windows = {window.name: window.spent for window in (await quota.snapshot())[0].windows}
    assert windows["minute"] == 11


async def test_projects_and_apis_have_budgets_of_their_own(make: Make) -> None:
    quota = make(Limits(bucket_capacity=1, refill_rate=0.01))
    await permit(quota, "p")
    await permit(quota, "q")
    assert isinstance(await quota.acquire("p", Api.ACCOUNTS, max_wait=0), Permit)
    await wait(quota)


# --- 429


async def test_a_429_closes_the_budget_for_every_process(make: Make, clock: ManualClock) -> None:
    here, there = make(OFF, "a"), make(OFF, "b")
    await permit(there)
    answer = await here.throttled(await permit(here), 30.0)
    assert answer.until == clock.now() + 30
    assert "30 seconds" in answer.reason
    assert not here.is_open("p", "reviews")
    assert await wait(here) == answer
    await clock.advance(1.1)
    await permit(there)  # starts the look for news
    await settle_loop()
    assert await wait(there) == answer
    assert await wait(make(OFF, "started later")) == answer


async def test_a_closed_budget_hands_out_no_shares_either(make: Make) -> None:
    here, there = make(DEFAULTS, "a"), make(DEFAULTS, "b")
    await here.throttled(await permit(here), 30.0)
    assert "429" in (await wait(there, max_wait=2.0)).reason


async def test_a_closing_holds_here_while_the_store_is_away(make: Make, store: MemoryBudgetStore) -> None:
    quota = make(OFF)
    given = await permit(quota)
    store.away = True
    answer = await quota.throttled(given, 10.0)
    assert await wait(quota) == answer


async def test_retry_after_is_capped_at_an_hour(make: Make, clock: ManualClock) -> None:
    quota = make(OFF)
    assert (await quota.throttled(await permit(quota), 86_400.0)).until == clock.now() + 3600


async def test_64_calls_in_flight_are_one_event(make: Make, clock: ManualClock, store: MemoryBudgetStore) -> None:
    quota = make(OFF, random=0.9)
    given = [await permit(quota) for _ in range(64)]
    await clock.advance(0.1)
    waits = await asyncio.gather(*(quota.throttled(one, None) for one in given))
    assert {answer.until for answer in waits} == {clock.now() + 0.9}  # uniform(0, 1 s · 2⁰), once


async def test_a_429_that_always_asks_for_0_seconds_backs_off_all_the_same(make: Make, clock: ManualClock) -> None:
    quota = make(OFF, random=0.9)
    lengths = []
    for _ in range(7):
        answer = await quota.throttled(await permit(quota), 0.0)
        lengths.append(round(answer.until - clock.now(), 3))
        await clock.advance(answer.until - clock.now() + 0.001)
    assert lengths == [0.1, 0.1, 3.6, 7.2, 14.4, 28.8, 57.6]


async def test_a_429_that_asks_for_a_second_each_time_is_believed_each_time(make: Make, clock: ManualClock) -> None:
    quota = make(OFF, random=0.9)
    for _ in range(7):
        answer = await quota.throttled(await permit(quota), 1.0)
        assert answer.until == pytest.approx(clock.now() + 1.0)
        await clock.advance(1.001)


async def test_a_closing_is_heard_of_after_the_databases_clock_was_set_back(
    make: Make, clock: ManualClock, store: MemoryBudgetStore
) -> None:
    here, there = make(OFF, "a"), make(OFF, "b")
    await permit(there)
    await here.throttled(await permit(here), 2.0)
    await clock.advance(2.1)
    assert isinstance(await there.acquire("p", Api.REVIEWS, max_wait=0.0), Permit)  # which looks for news
    await settle_loop()
    await clock.advance(1.1)
    store.ahead = -30.0
    answer = await here.throttled(await permit(here), 20.0)
    assert answer.until == pytest.approx(clock.now() + 20)
    await permit(there)
    await settle_loop()
    assert (await wait(there)).until == pytest.approx(clock.now() + 20)


async def test_a_429_after_the_reopening_waits_longer(make: Make, clock: ManualClock) -> None:
    quota = make(OFF, random=0.9)
    lengths = []
    for _ in range(9):
        answer = await quota.throttled(await permit(quota), None)
        lengths.append(round(answer.until - clock.now(), 3))
        await clock.advance(answer.until - clock.now() + 0.001)
    assert lengths == [0.9, 1.8, 3.6, 7.2, 14.4, 28.8, 57.6, 57.6, 57.6]


async def test_an_old_call_that_comes_back_after_the_reopening_closes_nothing(make: Make, clock: ManualClock) -> None:
    quota = make(OFF, random=0.9)
    slow, quick = await permit(quota), await permit(quota)
    await quota.throttled(quick, None)
    await clock.advance(1)
    assert (await quota.throttled(slow, None)).until <= clock.now()
    assert quota.is_open("p", "reviews")


async def test_a_closed_permit_is_not_sent_any_more(make: Make, clock: ManualClock) -> None:
    quota = make(OFF)
    early, late = await permit(quota), await permit(quota)
    assert quota.still_valid(late)
    await quota.throttled(early, 5.0)
    assert not quota.still_valid(late)


async def test_a_permit_that_got_old_is_not_sent_any_more(make: Make, clock: ManualClock) -> None:
    quota = make(OFF)
    given = await permit(quota)
    await clock.advance(60)
    assert not quota.still_valid(given)


async def permits_at_once(quota: SharedQuota, clock: ManualClock) -> list[Permit]:
    """Everything that is to be had now."""
    answers = [asyncio.create_task(quota.acquire("p", Api.REVIEWS, max_wait=0)) for _ in range(100)]
    await clock.advance(0.01)
    return [answer for task in answers if isinstance(answer := await task, Permit)]


@pytest.mark.parametrize("limits", [OFF, Limits(bucket_capacity=10_000, refill_rate=5000.0)])
async def test_reopening_is_one_probe_then_doubles(make: Make, clock: ManualClock, limits: Limits) -> None:
    quota = make(limits)
    await quota.throttled(await permit(quota), 5.0)
    await clock.advance(5.01)
    sizes = []
    for _ in range(8):
        given = await permits_at_once(quota, clock)
        sizes.append(len(given))
        for one in given:
            await quota.succeeded(one)
    assert sizes == [1, 2, 4, 8, 16, 32, 100, 100]  # the 63rd success opens it fully


async def test_all_replicas_together_try_with_one_call(make: Make, clock: ManualClock) -> None:
    limits = Limits(bucket_capacity=10_000, refill_rate=5000.0)
    here, there = make(limits, "a"), make(limits, "b")
    await here.throttled(await permit(here), 5.0)
    await clock.advance(5.01)
    [probe] = await permits_at_once(here, clock)
    answer = await wait(there)
    assert "another call tries" in answer.reason
    assert answer.until <= clock.now() + 0.25
    await here.succeeded(probe)
    await clock.advance(0.26)
    assert len(await permits_at_once(there, clock)) == 1  # its own first
    assert len(await permits_at_once(here, clock)) == 1  # two in all


async def test_a_probe_that_ends_in_an_error_lets_one_more_try(make: Make, clock: ManualClock) -> None:
    quota = make(OFF)
    await quota.throttled(await permit(quota), 5.0)
    await clock.advance(5.01)
    [probe] = await permits_at_once(quota, clock)
    waiting = asyncio.create_task(permit(quota))
    await settle_loop()
    assert not waiting.done()
    quota.released(probe)
    await settle_loop()
    assert waiting.done()


async def test_a_reopening_that_proved_good_forgets_the_streak(make: Make, clock: ManualClock) -> None:
    quota = make(OFF, random=0.9)
    for seconds in (0.9, 1.8):
        answer = await quota.throttled(await permit(quota), None)
        assert answer.until == pytest.approx(clock.now() + seconds)
        await clock.advance(2)
    for _ in range(8):
        await quota.succeeded(await permit(quota))
    answer = await quota.throttled(await permit(quota), None)
    assert answer.until == pytest.approx(clock.now() + 0.9)


async def test_success_costs_no_store_call_while_all_is_well(make: Make, store: MemoryBudgetStore) -> None:
    quota = make(OFF)
    for _ in range(100):
        await quota.succeeded(await permit(quota))
    assert store.changes == 0


async def test_the_snapshot_tells_limit_spent_left_and_why_it_is_closed(make: Make, clock: ManualClock) -> None:
    quota = make(Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300, per_day=1000))
    given = await permit(quota)
    await quota.throttled(given, 7.0)
    [budget] = await quota.snapshot()
    assert (budget.project, budget.api) == ("p", "reviews")
    assert [(window.name, window.limit, window.left) for window in budget.windows] == [
        ("bucket", 100, 99),
        ("minute", 300, 299),
        ("day", 1000, 999),
    ]
    assert budget.closed_until == clock.now() + 7
    assert budget.reason is not None


# --- promise 6 and its price


@pytest.mark.parametrize(
    ("limits", "holders"),
    [
        (DEFAULTS, 1),
        (DEFAULTS, 3),
        (Limits(per_minute=300), 1),
        (Limits(per_minute=300), 3),
        (Limits(bucket_capacity=100, refill_rate=10.0), 1),
        (Limits(bucket_capacity=100, refill_rate=10.0), 3),
        (Limits(bucket_capacity=10, refill_rate=2.0), 3),
        (Limits(bucket_capacity=2, refill_rate=2.0), 1),
        (Limits(bucket_capacity=1, refill_rate=2.0), 1),
    ],
)
async def test_busy_workers_use_at_least_95_percent_and_never_more_than_all(
    make: Make, clock: ManualClock, store: MemoryBudgetStore, limits: Limits, holders: int
) -> None:
    store.delay, store.ahead = 0.002, -37.0
    bucket = limits.bucket_capacity + 240 * limits.refill_rate
    allowed = min(bucket or 1200, limits.per_minute * 4 or bucket)
    calls: list[float] = []
    end = clock.now() + 240

    async def work(quota: SharedQuota) -> None:
        while clock.now() < end:
            answer = await quota.acquire("p", Api.REVIEWS, max_wait=2.0)
            if isinstance(answer, Permit):
                calls.append(store.now())
                await clock.sleep(0.05)
                await quota.succeeded(answer)
            else:
                await clock.sleep(max(0.01, answer.until - clock.now()))

    quotas = [make(limits, f"holder {number}") for number in range(holders)]
    tasks = [asyncio.create_task(work(quota)) for quota in quotas for _ in range(16)]
    await clock.advance(300)
    await asyncio.gather(*tasks)
    in_time = [moment for moment in calls if moment <= end + store.ahead]
    assert_kept(calls, limits)
    assert len(in_time) >= 0.95 * allowed
