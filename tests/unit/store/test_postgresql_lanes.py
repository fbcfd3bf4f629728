"""Units of work that wait for each other share a transaction, and fail alone."""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest

from app.store.database import StoreUnavailableError, Transaction
from app.store.lanes import UNITS_A_COMMIT, Lanes

Group = Callable[[Transaction], list[Any]]


class Server:
    """Runs transactions one by one when told to; keeps what committed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.committed: list[list[Any]] = []
        self.away = False

    async def transact(self, group: Group) -> list[Any]:
        await self.open.wait()
        if self.away:
            raise StoreUnavailableError
        self.committed.append(group(None))  # type: ignore[arg-type] # these units need no transaction
        return self.committed[-1]


def _unit(answer: object) -> Callable[[Transaction], object]:
    def work(_: Transaction) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return work


async def _arrived(lanes: Lanes, *units: tuple[str, object]) -> "list[asyncio.Task[object]]":
    """They wait, in this order, all behind a first one."""
    waiting = [asyncio.create_task(lanes.run((key, 0), _unit(answer))) for key, answer in (("job", "first"), *units)]
    await asyncio.sleep(0)
    return waiting


async def test_what_waits_while_a_commit_is_under_way_shares_the_next() -> None:
    server = Server()
    waiting = await _arrived(Lanes(server.transact), *(("job", number) for number in range(5)))
    await asyncio.sleep(0)
    server.open.set()
    await asyncio.gather(*waiting)
    assert list(chain(*server.committed)) == ["first", 0, 1, 2, 3, 4]
    assert len(server.committed) <= 2


async def test_a_group_is_bounded() -> None:
    server = Server()
    waiting = await _arrived(Lanes(server.transact), *(("job", number) for number in range(3 * UNITS_A_COMMIT)))
    server.open.set()
    await asyncio.gather(*waiting)
    assert max(len(group) for group in server.committed) == UNITS_A_COMMIT


async def test_only_the_guilty_one_of_a_group_fails() -> None:
    server = Server()
    waiting = await _arrived(Lanes(server.transact), ("job", 1), ("job", KeyError("guilty")), ("job", 2))
    server.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["str", "int", "KeyError", "int"]


async def test_a_store_that_is_away_is_away_for_the_whole_group() -> None:
    server = Server()
    server.away = True
    waiting = await _arrived(Lanes(server.transact), ("job", 1), ("job", 2))
    server.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(answer) for answer in answers} == {StoreUnavailableError}


async def test_units_of_several_jobs_run_in_the_order_of_their_keys() -> None:
    server = Server()
    waiting = await _arrived(Lanes(server.transact), *((key, key) for key in "hgfedcba"))
    server.open.set()
    await asyncio.gather(*waiting)
    letters = [[answer for answer in group if answer != "first"] for group in server.committed]
    assert all(group == sorted(group) for group in letters)
    assert max(len(group) for group in letters) > 1


async def test_whoever_gave_up_before_the_turn_came_is_left_out() -> None:
    server = Server()
    lanes = Lanes(server.transact)
    waiting = await _arrived(lanes)
    await asyncio.sleep(0)
    late = asyncio.create_task(lanes.run(("job", 0), _unit("late")))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    server.open.set()
    await asyncio.gather(*waiting)
    assert server.committed == [["first"]]


async def test_at_the_close_what_waits_hears_that_the_store_is_closed() -> None:
    server = Server()
    lanes = Lanes(server.transact)
    waiting = await _arrived(lanes, ("job", 1))
    await lanes.close(0.0)
    for task in waiting:
        with pytest.raises(StoreUnavailableError, match="closed"):
            await task


async def test_units_of_one_job_run_in_the_order_of_their_rank() -> None:
    """A group takes the rows of tasks, and whoever takes many of them at once does so in the same order."""
    server = Server()
    lanes = Lanes(server.transact)
    waiting = [asyncio.create_task(lanes.run(("job", rank), _unit(rank))) for rank in (0, 5, 3, 9, 1)]
    await asyncio.sleep(0)
    server.open.set()
    await asyncio.gather(*waiting)
    assert all(group == sorted(group) for group in server.committed)
    assert max(len(group) for group in server.committed) > 1
