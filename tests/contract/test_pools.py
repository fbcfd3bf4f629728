"""What waits for the store shows in its pools."""

import asyncio

from app.store.database import Database, Transaction


async def test_reads_beyond_the_places_wait(database: Database) -> None:
    asked = [asyncio.create_task(database.read(_answer)) for _ in range(30)]
    await asyncio.sleep(0)
    pool = next(pool for name, pool in database.pools().items() if name in ("store_connections", "store_readers"))
    assert 0 < pool.in_use == pool.size < 30
    assert pool.waiting == 30 - pool.size
    await asyncio.gather(*asked)
    assert {(pool.in_use, pool.waiting) for pool in database.pools().values()} == {(0, 0)}


def _answer(transaction: Transaction) -> float:
    return transaction.now
