"""What tasks do while the access token of their job is renewed; one asking for all of a process."""

import asyncio
from typing import Any

import pytest

from app.google.errors import ErrorKind
from app.models.job import HeldTask, Problem, TaskStatus
from app.pipeline.exchange import Later, Renewed, Subject
from app.pipeline.outcome import Advance, DeadLetter, Snooze
from app.pipeline.refreshing import SOON_SECONDS, TokenRefresher
from app.store.refresh import CurrentToken
from tests.support.clock import ManualClock, settle_loop
from tests.unit.pipeline.stage import NOW, error, held

REFUSED = error(ErrorKind.UNAUTHENTICATED, 401)
FRESH = CurrentToken(2, b"fresh", NOW + 3600.0, NOW)


class ScriptedExchange:
    """Answers each asking with the next of its answers, as soon as a test lets it."""

    def __init__(self, *answers: Renewed) -> None:
        self.answers = list(answers)
        self.asked: list[Subject] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def renew(self, subject: Subject) -> Renewed:
        self.asked.append(subject)
        await self.answering.wait()
        return self.answers.pop(0)


class Bench:
    def __init__(self, *answers: Renewed) -> None:
        self.clock = ManualClock()
        self.exchange = ScriptedExchange(*answers)
        self.woken = 0
        exchange: Any = self.exchange
        self.refresher = TokenRefresher(exchange, self.clock, self._wake)

    def _wake(self) -> None:
        self.woken += 1


def task(left: float | None = 1000.0, **changes: Any) -> HeldTask:
    """A task of a job with a grant, whose token has so many seconds left."""
    expires_at = None if left is None else NOW + left
    return held(**({"token_refreshable": True, "token_expires_at": expires_at} | changes))


@pytest.mark.parametrize("left", [None, 226.0, 1000.0])
async def test_a_token_that_lives_for_long_is_left_alone(left: float | None) -> None:
    bench = Bench()
    assert await bench.refresher.ready(task(left)) is None
    await settle_loop()
    assert bench.exchange.asked == []


async def test_a_job_without_a_grant_is_not_asked_for() -> None:
    bench = Bench()
    assert await bench.refresher.ready(task(-1.0, token_refreshable=False)) is None
    outcome = await bench.refresher.refused(task(token_refreshable=False, pages_settled=0), REFUSED)
    assert isinstance(outcome, DeadLetter)
    assert bench.exchange.asked == []


async def test_while_the_token_lives_a_task_goes_on_with_it_and_then_with_the_new_one() -> None:
    bench = Bench(FRESH)
    bench.exchange.answering.clear()
    mine = task(200.0)
    for _ in range(5):
        assert await bench.refresher.ready(mine) is None
        await settle_loop()
    assert (mine.credential_version, len(bench.exchange.asked)) == (1, 1)
    bench.exchange.answering.set()
    await settle_loop()
    assert await bench.refresher.ready(mine) is None
    assert (mine.credential_version, mine.sealed_token, mine.token_expires_at) == (2, b"fresh", NOW + 3600.0)


async def test_all_tasks_of_a_job_wait_for_the_one_answer() -> None:
    bench = Bench(FRESH)
    tasks = [task(None, sealed_token=b"") for _ in range(20)]
    assert await asyncio.gather(*map(bench.refresher.ready, tasks)) == [None] * 20
    assert {mine.sealed_token for mine in tasks} == {b"fresh"}
    assert (len(bench.exchange.asked), bench.woken) == (1, 1)


async def test_who_waits_in_vain_goes_back_and_spends_no_attempt() -> None:
    bench = Bench(FRESH)
    bench.exchange.answering.clear()
    waiting = asyncio.create_task(bench.refresher.ready(task(-1.0)))
    await bench.clock.advance(2.0)
    assert await waiting == Snooze(NOW + 2.0 + SOON_SECONDS)
    bench.exchange.answering.set()
    await bench.refresher.close(1.0)


async def test_while_another_replica_asks_tasks_look_again_soon() -> None:
    bench = Bench(Later(25.0), FRESH)
    mine = task(-1.0)
    assert await bench.refresher.ready(mine) == Snooze(NOW + SOON_SECONDS)
    await bench.clock.advance(SOON_SECONDS)
    assert await bench.refresher.ready(mine) is None
    assert mine.credential_version == 2


async def test_a_failure_is_waited_for_and_told() -> None:
    bench = Bench(Later(4.0, "Google is away"), Later(8.0, "Google is away"), FRESH)
    mine = task(-1.0)
    assert await bench.refresher.ready(mine) == Snooze(NOW + 4.0, "Google is away")
    assert await bench.refresher.ready(mine) == Snooze(NOW + 4.0, "Google is away")
    await bench.clock.advance(4.0)
    await bench.refresher.ready(mine)
    await bench.clock.advance(8.0)
    assert await bench.refresher.ready(mine) is None
    assert len(bench.exchange.asked) == 3


async def test_a_refused_token_is_renewed_and_the_same_page_read_again() -> None:
    bench = Bench(FRESH)
    mine = task(cursor="p2", pages=1, attempt=2, missing=1, restarts=1)
    outcome = await bench.refresher.refused(mine, REFUSED)
    assert isinstance(outcome, Advance)
    move = outcome.move
    assert (move.status, move.cursor, move.pages, move.attempt) == (TaskStatus.HELD, "p2", 1, 2)
    assert (move.missing, move.restarts, outcome.page) == (1, 1, False)
    assert bench.exchange.asked[0].refused
    assert await bench.refresher.ready(mine) is None
    assert mine.sealed_token == b"fresh"


@pytest.mark.parametrize("pages_settled", [0, 3])
async def test_what_google_refuses_for_good_parks_the_job_and_is_asked_once(pages_settled: int) -> None:
    problem = Problem("invalid_grant", "Google says so.", 400)
    bench = Bench(problem)
    for _ in range(3):
        outcome = await bench.refresher.refused(task(pages_settled=pages_settled), REFUSED)
        assert outcome == Snooze(NOW, token_problem=problem)
        await bench.clock.advance(0)
    assert len(bench.exchange.asked) == 1


async def test_a_new_grant_is_asked_with_at_once() -> None:
    bench = Bench(Problem("invalid_grant", "Google says so."), CurrentToken(3, b"fresh", None, NOW))
    await bench.refresher.refused(task(), REFUSED)
    mine = task(None, sealed_token=b"", credential_version=2)
    assert await bench.refresher.ready(mine) is None
    assert mine.credential_version == 3


async def test_an_older_token_never_takes_the_place_of_a_newer_one() -> None:
    bench = Bench(FRESH)
    await bench.refresher.refused(task(), REFUSED)
    newest = task(credential_version=5, sealed_token=b"newest")
    assert await bench.refresher.ready(newest) is None
    assert newest.sealed_token == b"newest"


async def test_what_is_known_of_jobs_is_bounded() -> None:
    answers = [CurrentToken(2, b"fresh", NOW + 3600.0, NOW)] * 1000
    bench = Bench(*answers)
    for number in range(1000):
        await bench.refresher.refused(task(job_id=f"job-{number}"), REFUSED)
    assert len(bench.refresher._known) <= 256
    assert len(bench.refresher._asking) <= 257
