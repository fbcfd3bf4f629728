"""Of wrong keys few are written down, and none is forgotten in the count. API4:2023."""

from app.results.audit import ADDRESS_SECONDS, ADDRESSES, ENTRIES_A_MINUTE, Failures
from tests.support.clock import ManualClock


async def test_an_address_is_told_once_a_minute_with_how_often_it_failed() -> None:
    clock = ManualClock()
    failures = Failures(clock)
    assert [failures.count("203.0.113.7") for _ in range(4)] == [1, 0, 0, 0]
    assert failures.count("203.0.113.8") == 1
    await clock.advance(ADDRESS_SECONDS)
    assert failures.count("203.0.113.7") == 4


async def test_many_addresses_together_are_told_no_faster_and_the_next_minute_tells_the_rest() -> None:
    clock = ManualClock()
    failures = Failures(clock)
    told = [failures.count(f"198.51.100.{number}") for number in range(2 * ENTRIES_A_MINUTE)]
    assert sum(told) == ENTRIES_A_MINUTE
    await clock.advance(60.0)
    assert failures.count(f"198.51.100.{2 * ENTRIES_A_MINUTE - 1}") == 2


def test_no_more_addresses_are_remembered_than_that() -> None:
    failures = Failures(ManualClock())
    for number in range(3 * ADDRESSES):
        failures.count(f"address {number}")
    assert len(failures._addresses) == ADDRESSES
