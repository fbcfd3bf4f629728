"""Failed attempts: limited per address, counted, logged a little. ASVS 5.0 V6 (against guessing), API4:2023."""

import asyncio
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from app.api.attempts import (
    LIMITED,
    LOGGED_PER_MINUTE,
    MINUTE,
    MISSING,
    MOST_ADDRESSES,
    MOST_KNOWN,
    WRONG,
    FailedAttempts,
    network_of,
)
from app.api.authenticator import Authenticator, parse_api_keys
from app.api.errors import TooManyAttemptsError, UnauthenticatedError
from app.api.stored_keys import FRESH_SECONDS
from app.store.database import Database
from app.store.keys import hash_key
from tests.support.clock import ManualClock
from tests.unit.api.test_auth import SECRET, STATIC, KeyStore

LIMIT = 3
HERE, THERE = "203.0.113.7", "198.51.100.1"


class Door:
    """An authenticator with a limit of three, and what it counted."""

    def __init__(self, *, limit: int = LIMIT, **options: Any) -> None:
        self.clock, self.store = ManualClock(), KeyStore(SECRET)
        self.counted: list[str] = []
        self.attempts = FailedAttempts(self.clock, limit, self.counted.append)
        self.authenticator = Authenticator(
            cast("Database", self.store), clock=self.clock, attempts=self.attempts, **options
        )

    async def knock(self, key: str | None, address: str | None = HERE) -> str:
        """How it went: in, wrong, or the seconds to wait."""
        try:
            await self.authenticator.admit(key, address=address, on_this_machine=False)
        except UnauthenticatedError:
            return "wrong"
        except TooManyAttemptsError as error:
            return error.headers["Retry-After"]
        return "in"


async def test_an_address_that_failed_too_often_must_wait_and_its_keys_are_not_looked_at() -> None:
    door = Door()
    told = [await door.knock(f"rf_guess{number:03}_x") for number in range(LIMIT + 2)]
    assert told == ["wrong"] * LIMIT + ["20", "20"]
    assert door.store.reads == LIMIT
    assert await door.knock(SECRET) == "20"
    assert door.counted == [WRONG] * LIMIT + [LIMITED] * 3


async def test_room_for_one_more_comes_back_evenly() -> None:
    door = Door()
    for _ in range(LIMIT):
        await door.knock("guess")
    await door.clock.advance(MINUTE / LIMIT)
    assert [await door.knock("guess") for _ in range(2)] == ["wrong", "20"]
    await door.clock.advance(MINUTE)
    assert [await door.knock("guess") for _ in range(LIMIT + 1)] == ["wrong"] * LIMIT + ["20"]


async def test_a_key_that_was_let_in_from_there_before_is_not_shut_out_by_a_guesser_beside_it() -> None:
    door = Door(static_keys=parse_api_keys([STATIC]))
    assert [await door.knock(key) for key in (SECRET, STATIC)] == ["in", "in"]
    for _ in range(LIMIT):
        await door.knock("guess")
    assert [await door.knock(key) for key in (SECRET, STATIC, "guess")] == ["in", "in", "20"]
    assert await door.knock(SECRET, THERE) == "in"


async def test_a_key_that_has_ended_loses_its_privilege() -> None:
    door = Door()
    await door.knock(SECRET)
    for _ in range(LIMIT):
        await door.knock("guess")
    door.store.keys.clear()
    await door.clock.advance(FRESH_SECONDS)
    assert [await door.knock(SECRET) for _ in range(2)] == ["wrong", "35"]


async def test_guesses_at_once_are_limited_by_what_is_under_way() -> None:
    door = Door()
    first = await asyncio.gather(*(door.knock(f"rf_guess{number:03}_x") for number in range(10)))
    assert first == ["wrong"] * 10
    assert (await door.knock("guess")).isdecimal()


async def test_a_request_without_a_key_is_counted_and_limits_nobody() -> None:
    door = Door()
    assert [await door.knock(None) for _ in range(LIMIT + 2)] == ["wrong"] * (LIMIT + 2)
    assert await door.knock(SECRET) == "in"
    assert door.counted == [MISSING] * (LIMIT + 2)


async def test_a_session_is_no_guess() -> None:
    door = Door()
    for _ in range(LIMIT + 1):
        with pytest.raises(UnauthenticatedError):
            await door.authenticator.authenticate("rf_revoked1_x", on_this_machine=False)
    assert (await door.knock(SECRET), door.counted) == ("in", [])


async def test_without_a_limit_failures_are_only_counted() -> None:
    door = Door(limit=0)
    assert {await door.knock("guess") for _ in range(200)} == {"wrong"}
    assert door.counted == [WRONG] * 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str | None, network: str) -> None:
    assert network_of(address) == network


async def test_many_addresses_fill_neither_memory_nor_log() -> None:
    """Somebody who has a /48 has 65,536 networks."""
    door = Door()
    with capture_logs() as logged:
        for number in range(MOST_ADDRESSES + 100):
            door.attempts.wrong(f"2001:db8:7:{number:x}::1", "guess", b"digest")
    assert len(door.attempts._failed) == MOST_ADDRESSES
    assert len(logged) == LOGGED_PER_MINUTE
    for number in range(MOST_KNOWN + 100):
        door.attempts.let_in(HERE, number.to_bytes(4, "big"))
    assert len(door.attempts._known) == MOST_KNOWN


async def test_a_failure_is_one_record_that_holds_no_secret_and_says_what_was_left_out() -> None:
    door = Door()
    with capture_logs() as logged:
        await door.knock(SECRET + "x")
        await door.knock("something-that-is-no-key-of-ours")
        await door.knock("guess")
        for _ in range(2 * LOGGED_PER_MINUTE):
            door.attempts.wrong(THERE, "guess", hash_key("guess"))
        await door.clock.advance(MINUTE)
        await door.knock("guess", "192.0.2.1")
    first, second, third = logged[:3]
    assert first == {
        "event": "authentication.failed",
        "log_level": "warning",
        "address": HERE,
        "key": "abcdefgh",
    }
    assert (second["key"], third["key"], third["closed_seconds"]) == (None, None, 20.0)
    assert len(logged) == LOGGED_PER_MINUTE + 1
    assert logged[-1]["left_out"] == 3 + LOGGED_PER_MINUTE
    assert "0123456789" not in repr(logged)
    assert "no-key-of-ours" not in repr(logged)
