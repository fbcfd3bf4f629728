"""How long a job tries to get an access token before people must help. Only the time in which it asks counts."""

from typing import Any, cast

import pytest

from app.credentials import Purpose, SealingKey, TokenSealer
from app.google.errors import ErrorKind
from app.google.pages import FreshToken
from app.models.grant import RefreshGrant
from app.models.job import Problem
from app.pipeline import exchange
from app.pipeline.exchange import STREAK_SECONDS, Later, Subject, TokenExchange
from app.retry.policy import ExponentialBackoffPolicy
from app.store.refresh import CurrentToken, NewToken, RefreshLease, begin_refresh, end_refresh, put_off_refresh
from tests.support.clock import ManualClock
from tests.unit.pipeline.stage import error

TOKEN_WAIT = 3600.0
AWAY = error(ErrorKind.TRANSIENT, 503)
SEALER = TokenSealer([SealingKey("key-1", b"k" * 32)])
GRANT = RefreshGrant("1//refresh", "client", "secret")


class Store:
    """Gives the lease to whoever asks. The job's token has been dead for `without` seconds."""

    def __init__(self) -> None:
        self.without = 0.0
        self.put_off: list[float] = []

    async def write(self, work: Any, job_id: str, version: int, *more: Any, **_: Any) -> Any:
        if work is begin_refresh:
            return RefreshLease(SEALER.seal("default", job_id, GRANT.to_text(), Purpose.GRANT).data, 0.0)
        if work is put_off_refresh:
            self.put_off.append(more[0])
            return self.without
        assert work is end_refresh
        new: NewToken = more[0]
        return CurrentToken(version + 1, new.sealed, new.expires_at, new.since)


class Google:
    def __init__(self) -> None:
        self.is_away = True

    async def refresh(self, _grant: object) -> FreshToken:
        if self.is_away:
            raise AWAY
        return FreshToken("ya29.fresh", 3599, None)


class Bench:
    def __init__(self) -> None:
        self.clock, self.store, self.google = ManualClock(), Store(), Google()
        policy = ExponentialBackoffPolicy(random=lambda: 0.0)
        self.exchange = TokenExchange(
            cast(Any, self.store), cast(Any, self.google), SEALER, policy, self.clock, token_wait=TOKEN_WAIT
        )

    async def renew(self, job_id: str = "job-1") -> CurrentToken | Later | Problem:
        return await self.exchange.renew(Subject("default", job_id, 1, refused=False))

    async def fails_for(self, seconds: float) -> CurrentToken | Later | Problem:
        """Asked every minute; the last answer."""
        answer = await self.renew()
        for _ in range(int(seconds / 60)):
            await self.clock.advance(60.0)
            answer = await self.renew()
        return answer


async def test_after_a_long_rest_one_failure_is_one_failure() -> None:
    """The token died while the job was paused, or waited for tomorrow's quota."""
    bench = Bench()
    bench.store.without = 10 * TOKEN_WAIT
    assert isinstance(await bench.renew(), Later)
    await bench.clock.advance(TOKEN_WAIT / 2 + STREAK_SECONDS)
    assert isinstance(await bench.fails_for(TOKEN_WAIT - 60), Later)
    assert isinstance(await bench.fails_for(60.0), Problem)


async def test_failures_are_no_matter_while_a_token_lives_or_has_died_just_now() -> None:
    bench = Bench()
    assert isinstance(await bench.fails_for(2 * TOKEN_WAIT), Later)
    bench.store.without = TOKEN_WAIT
    assert isinstance(await bench.renew(), Problem)


async def test_each_failure_makes_the_next_wait_longer_until_there_is_a_token() -> None:
    bench = Bench()
    for _ in range(3):
        await bench.renew()
    bench.google.is_away = False
    assert isinstance(await bench.renew(), CurrentToken)
    bench.google.is_away = True
    await bench.renew()
    first, second, third, again = bench.store.put_off
    assert first < second < third
    assert again == first


async def test_many_jobs_that_fail_in_turn_need_people_in_time() -> None:
    bench = Bench()
    jobs = [f"job-{number}" for number in range(1_000)]
    for _ in range(3):
        for name in jobs:
            assert isinstance(await bench.renew(name), Later)
        await bench.clock.advance(TOKEN_WAIT / 3)
    bench.store.without = TOKEN_WAIT
    assert {type(await bench.renew(name)) for name in jobs} == {Problem}


async def test_the_failures_of_a_bounded_number_of_jobs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_STREAKS", 10)
    bench = Bench()
    for number in range(20):
        await bench.renew(f"job-{number}")
    assert len(bench.exchange._streaks) == 10
