"""What is left of Google's quota, on the command line."""

import asyncio
import json
import time
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from app.cli.exits import ExitCode
from app.limits.permits import Api
from app.limits.rules import Limits
from app.limits.windows import BudgetState, Grant, close, encode, take
from app.store.budgets import StoredBudgets
from app.store.sqlite import SqliteDatabase
from tests.unit.cli.conftest import Run

STORE = Path("data/review-fetcher.db")
DEFAULTS = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300)
"""The same as the settings' defaults."""


def keep(state: BudgetState, project: str = "123456") -> None:
    """Store it, as a running service would."""

    async def write() -> None:
        database = SqliteDatabase(STORE, exclusive=False)
        await database.start()
        try:
            budgets = StoredBudgets(database)
            await budgets.change_budget(project, Api.REVIEWS, lambda _raw, _now: (encode(state), None))
        finally:
            await database.close()

    asyncio.run(write())


def lent(calls: int) -> BudgetState:
    """A budget of which a replica holds some calls, for longer than a test takes."""
    now = time.time()
    state, answer = take(BudgetState(), DEFAULTS, now, calls, "replica-1")
    assert isinstance(answer, Grant)
    share = msgspec.structs.replace(answer.share, expires_at=now + 600, settles_at=now + 600)
    return msgspec.structs.replace(state, shares=(share,))


def closed(seconds: float, state: BudgetState) -> BudgetState:
    """A budget that Google closed."""
    now = time.time()
    return close(state, now, now, seconds, lambda: 0.5)


def test_a_store_that_never_called_google_has_no_budgets(run: Run) -> None:
    run("migrate")
    assert json.loads(run("quota", "--json").out) == {"budgets": []}
    ended = run("quota")
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert "Nothing has been asked of Google yet." in ended.err


def test_each_limit_is_a_line_and_shares_are_named(run: Run) -> None:
    run("migrate")
    keep(lent(10))
    ended = run("quota")
    header, bucket, minute = (line.split() for line in ended.out.splitlines())
    assert header[:6] == ["project", "api", "window", "limit", "spent", "left"]
    assert bucket[:6] == ["123456", "reviews", "bucket", "100", "10", "90"]
    assert minute[:6] == ["123456", "reviews", "minute", "300", "10", "290"]
    assert bucket[-1] == minute[-1] == "now"
    assert "reviews of project 123456: 10 calls on loan to replica-1" in ended.err


def test_a_closed_budget_says_until_when_and_why(run: Run) -> None:
    run("migrate")
    keep(closed(600.0, lent(1)))
    ended = run("quota")
    assert "reviews of project 123456 closed by Google until 20" in ended.err
    assert "(429) and asked for 600 seconds" in ended.err
    (budget,) = json.loads(run("quota", "--json").out)["budgets"]
    until = datetime.fromisoformat(budget["closed_until"]).timestamp()
    assert until == pytest.approx(time.time() + 600, abs=30)
    assert budget["next_call_at"] == budget["closed_until"]


def test_a_spent_day_says_when_it_is_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATELIMIT_PER_DAY", "1")
    run("migrate")
    limits = Limits(per_day=1)
    keep(take(BudgetState(), limits, time.time(), 1, "replica-1")[0])
    ended = run("quota")
    assert "waits until" in ended.err
    assert "the 1 calls of this day are spent" in ended.err
    (budget,) = json.loads(run("quota", "--json").out)["budgets"]
    day = budget["windows"][-1]
    assert (day["name"], day["limit"], day["spent"], day["left"]) == ("day", 1, 1, 0)
    assert day["resets_at"][:19] == budget["next_call_at"][:19]
    assert budget["closed_until"] is None


def test_without_limits_a_budget_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATELIMIT_TOKEN_BUCKET_CAPACITY", "0")
    monkeypatch.setenv("RATELIMIT_PER_MINUTE", "0")
    run("migrate")
    keep(BudgetState())
    assert run("quota").out.splitlines()[1].split() == ["123456", "reviews", "no", "limit", "now"]


def test_a_name_in_the_store_cannot_steer_the_terminal(run: Run) -> None:
    run("migrate")
    keep(closed(600.0, BudgetState()), project="\x1b[2J\n")
    ended = run("quota")
    assert "\x1b" not in ended.out + ended.err


def test_a_service_that_is_not_there_is_told(run: Run) -> None:
    ended = run("quota", "--server", "http://127.0.0.1:1")
    assert ended.code == ExitCode.FAILED
    assert "does the service run there?" in ended.err
