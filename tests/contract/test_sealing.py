"""What is sealed with an old key is brought to the newest, whatever happens meanwhile; and nothing moved opens."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product

import pytest
from sqlalchemy import RowMapping, select, update

from app.credentials import KEY_BYTES, Purpose, Sealed, SealedTokenError, SealingKey, TokenSealer, key_id_of
from app.pipeline.control import JobControl
from app.store.database import Database, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.refresh import NewToken, RefreshLease, begin_refresh, end_refresh
from app.store.schema import callbacks, credentials
from app.store.sealing import Kind, Resealed, keys_in_use, reseal
from app.store.submit import Callback, NewJob, submit
from app.store.wiping import forget_callbacks, forget_credentials
from tests.support.store import plans

OLD, NEW = SealingKey("2023", b"o" * KEY_BYTES), SealingKey("2024", b"n" * KEY_BYTES)
BEFORE, CHANGING, AFTER = TokenSealer([OLD]), TokenSealer([NEW, OLD]), TokenSealer([NEW])

TOKEN, GRANT, URL = "ya29.access-token", '["1//refresh-token"]', "https://shop.example/hook?key=secret"


def sealed_job(job_id: str, sealer: TokenSealer, tenant: str = "default") -> NewJob:
    """With everything that a job can have sealed."""
    token = sealer.seal(tenant, job_id, TOKEN)
    grant = sealer.seal(tenant, job_id, GRANT, Purpose.GRANT)
    url = sealer.seal(tenant, job_id, URL, Purpose.CALLBACK)
    callback = Callback(url.key_id, url.data, "https://shop.example/hook")
    return NewJob(job_id, tenant, token.key_id, token.data, sealed_grant=grant.data, callback=callback)


async def all_resealed(database: Database, sealer: TokenSealer = CHANGING, key_id: str = OLD.id) -> dict[Kind, int]:
    """Everything in batches of two; how many rows of each kind."""
    return {kind: sum([batch.rows async for batch in batches(database, kind, sealer, key_id)]) for kind in Kind}


async def batches(database: Database, kind: Kind, sealer: TokenSealer, key_id: str) -> AsyncIterator[Resealed]:
    after: str | None = ""
    while after is not None:
        batch = await database.write(reseal, kind, sealer, key_id, after=after, limit=2)
        yield batch
        after = batch.last


async def row_of(database: Database, job_id: str) -> RowMapping:
    def read(transaction: Transaction) -> RowMapping:
        both = select(credentials, callbacks.c.sealed_url).join(callbacks, callbacks.c.job_id == credentials.c.job_id)
        return transaction.connection.execute(both.where(credentials.c.job_id == job_id)).mappings().one()

    return await database.read(read)


def opened(row: RowMapping, sealer: TokenSealer) -> tuple[str, str, str]:
    of = (row["tenant"], row["job_id"])
    return (
        sealer.open(*of, row["sealed"]),
        sealer.open(*of, row["sealed_grant"], Purpose.GRANT),
        sealer.open(*of, row["sealed_url"], Purpose.CALLBACK),
    )


async def test_everything_sealed_with_an_old_key_opens_with_the_newest_alone(database: Database) -> None:
    ids = [f"job-{number}" for number in range(5)]
    await database.write(submit, [sealed_job(job_id, BEFORE) for job_id in ids])
    await database.write(submit, [sealed_job("job-new", AFTER)])
    assert await database.read(keys_in_use) == [OLD.id, NEW.id]
    newer = await row_of(database, "job-new")
    assert await all_resealed(database) == {Kind.CREDENTIALS: 5, Kind.CALLBACKS: 5}
    assert await database.read(keys_in_use) == [NEW.id]
    for job_id in ids:
        assert opened(await row_of(database, job_id), AFTER) == (TOKEN, GRANT, URL)
    assert await row_of(database, "job-new") == newer
    assert await all_resealed(database) == {Kind.CREDENTIALS: 0, Kind.CALLBACKS: 0}


async def test_a_job_without_a_token_yet_is_resealed_too(database: Database) -> None:
    grant = BEFORE.seal("default", "job-1", GRANT, Purpose.GRANT)
    await database.write(submit, [NewJob("job-1", "default", OLD.id, b"", sealed_grant=grant.data)])
    await all_resealed(database)

    def read(transaction: Transaction) -> RowMapping:
        return transaction.connection.execute(select(credentials)).mappings().one()

    row = await database.read(read)
    assert (row["key_id"], row["sealed"]) == (NEW.id, b"")
    assert AFTER.open("default", "job-1", row["sealed_grant"], Purpose.GRANT) == GRANT


async def test_a_token_renewed_while_rows_are_resealed_stays(database: Database) -> None:
    """The lease was taken with the old ciphertext; resealed in between; its answer is settled all the same."""
    await database.write(submit, [sealed_job("job-1", BEFORE)])
    lease = await database.write(begin_refresh, "job-1", 1, refused=True, lease=30.0)
    assert isinstance(lease, RefreshLease)
    await all_resealed(database)
    token, grant = (
        BEFORE.seal("default", "job-1", "ya29.renewed"),
        BEFORE.seal("default", "job-1", GRANT, Purpose.GRANT),
    )
    settled = await database.write(
        end_refresh, "job-1", 1, NewToken(OLD.id, token.data, grant.data, lease.since, 3600.0)
    )
    assert settled is not None
    assert settled.version == 2
    assert await all_resealed(database) == {Kind.CREDENTIALS: 1, Kind.CALLBACKS: 0}
    assert opened(await row_of(database, "job-1"), AFTER) == ("ya29.renewed", GRANT, URL)


async def test_tokens_replaced_while_others_reseal_are_the_newest_in_the_end(
    store: PostgresDatabase, other_store: PostgresDatabase
) -> None:
    """A hundred replacements of the tokens of four jobs, and two who reseal to and fro, all at the same time."""
    ids = [f"job-{number}" for number in range(4)]
    await store.write(submit, [sealed_job(job_id, BEFORE) for job_id in ids])
    control, newest = JobControl(store, lambda: None), dict[str, str]()
    swapping = TokenSealer([OLD, NEW])
    resealed = 0

    async def replace_all() -> None:
        for turn, job_id in product(range(25), ids):
            sealer = (CHANGING, swapping)[turn % 2]
            newest[job_id] = f"ya29.replaced-{turn}"
            token = sealer.seal("default", job_id, newest[job_id])
            await control.replace_token(
                "default", job_id, token.key_id, token.data, reseal_grant=regrant(sealer, job_id)
            )

    def regrant(sealer: TokenSealer, job_id: str) -> Callable[[bytes], Sealed]:
        return lambda grant: sealer.reseal("default", job_id, grant, Purpose.GRANT)

    replacing = asyncio.create_task(replace_all())
    while not replacing.done():
        done = await asyncio.gather(
            all_resealed(store), all_resealed(other_store, swapping, NEW.id), all_resealed(other_store)
        )
        resealed += sum(each[Kind.CREDENTIALS] for each in done)
    await replacing
    assert resealed > 20
    await all_resealed(store)
    assert await store.read(keys_in_use) == [NEW.id]
    for job_id in ids:
        assert opened(await row_of(store, job_id), AFTER) == (newest[job_id], GRANT, URL)


async def test_a_new_token_brings_the_grant_to_its_key(database: Database) -> None:
    """A row has one key: otherwise nobody could tell cheaply which keys are needed."""
    await database.write(submit, [sealed_job("job-1", BEFORE)])
    token = CHANGING.seal("default", "job-1", "ya29.second")
    await JobControl(database, lambda: None).replace_token(
        "default",
        "job-1",
        token.key_id,
        token.data,
        reseal_grant=lambda grant: CHANGING.reseal("default", "job-1", grant, Purpose.GRANT),
    )
    row = await row_of(database, "job-1")
    assert (row["key_id"], key_id_of(row["sealed_grant"])) == (NEW.id, NEW.id)
    assert AFTER.open("default", "job-1", row["sealed_grant"], Purpose.GRANT) == GRANT


async def test_a_grant_that_a_new_token_cannot_bring_along_keeps_its_key_needed(database: Database) -> None:
    await database.write(submit, [sealed_job("job-1", BEFORE)])
    token = AFTER.seal("default", "job-1", "ya29.second")
    await JobControl(database, lambda: None).replace_token(
        "default",
        "job-1",
        token.key_id,
        token.data,
        reseal_grant=lambda grant: AFTER.reseal("default", "job-1", grant, Purpose.GRANT),
    )
    assert (await row_of(database, "job-1"))["key_id"] == OLD.id


async def test_rows_that_do_not_open_are_counted_and_left(database: Database) -> None:
    await database.write(submit, [sealed_job(f"job-{number}", BEFORE) for number in range(3)])
    await change(database, "job-1", sealed_grant=b"\x01\x042023changed")
    before = await row_of(database, "job-1")
    found = [batch async for batch in batches(database, Kind.CREDENTIALS, CHANGING, OLD.id)]
    assert (sum(batch.rows for batch in found), sum(batch.unopened for batch in found)) == (2, 1)
    assert await row_of(database, "job-1") == before
    assert OLD.id in await database.read(keys_in_use)


async def test_what_a_lost_key_sealed_can_be_given_up(database: Database) -> None:
    await database.write(submit, [sealed_job("job-lost", BEFORE), sealed_job("job-kept", AFTER)])
    assert await database.write(forget_credentials, OLD.id, 100) == 1
    assert await database.write(forget_callbacks, OLD.id, 100) == 1
    assert await database.read(keys_in_use) == [NEW.id]
    job = await JobControl(database, lambda: None).replace_token("default", "job-lost", NEW.id, b"another")
    assert job.status == "processing", "it had waited for another token"
    assert opened(await row_of(database, "job-kept"), AFTER) == (TOKEN, GRANT, URL)


async def test_asking_which_keys_are_needed_reads_an_index(database: Database) -> None:
    await database.write(submit, [sealed_job(f"job-{number}", BEFORE) for number in range(300)])
    asked = await database.write(lambda transaction: plans(transaction, keys_in_use))
    assert len(asked) == 4
    assert all("ix_credentials_key_id_job_id" in plan or "ix_callbacks_key_id_job_id" in plan for plan in asked), asked


COLUMNS = ("sealed", "sealed_grant", "sealed_url")


def swaps() -> Iterator[tuple[str, str, str, str]]:
    """(column, of which job, to which column, of which job): everything that is not where it belongs."""
    jobs = ("job-1", "job-2", "job-of-other")
    for source, target in product(product(COLUMNS, jobs), repeat=2):
        if source != target:
            yield (*source, *target)


async def test_what_was_moved_between_tenants_jobs_and_columns_does_not_open(database: Database) -> None:
    """Associated data (NIST SP 800-38D): tenant, job and purpose are what the key vouches for, beside the text."""
    jobs = [sealed_job("job-1", AFTER), sealed_job("job-2", AFTER), sealed_job("job-of-other", AFTER, "other")]
    await database.write(submit, jobs)
    rows = {job.id: await row_of(database, job.id) for job in jobs}
    moved = 0
    for column, source, target_column, target in swaps():
        await change(database, target, **{target_column: rows[source][column]})
        with pytest.raises(SealedTokenError):
            opened(await row_of(database, target), AFTER)
        await change(database, target, **{target_column: rows[target][target_column]})
        moved += 1
    assert moved == 72
    assert {opened(await row_of(database, job.id), AFTER) for job in jobs} == {(TOKEN, GRANT, URL)}


async def test_a_row_given_to_another_tenant_does_not_open(database: Database) -> None:
    await database.write(submit, [sealed_job("job-1", AFTER)])
    await change(database, "job-1", tenant="other")
    with pytest.raises(SealedTokenError):
        opened(await row_of(database, "job-1"), AFTER)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_flipped_bit_anywhere_is_noticed(database: Database, column: str) -> None:
    await database.write(submit, [sealed_job("job-1", AFTER)])
    sealed = bytes((await row_of(database, "job-1"))[column])
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << position % 8
        await change(database, "job-1", **{column: bytes(changed)})
        with pytest.raises(SealedTokenError):
            opened(await row_of(database, "job-1"), AFTER)


async def change(database: Database, job_id: str, **values: object) -> None:
    def write(transaction: Transaction) -> None:
        for table in (credentials, callbacks):
            known = {name: value for name, value in values.items() if name in table.c}
            if known:
                transaction.connection.execute(update(table).where(table.c.job_id == job_id).values(known))

    await database.write(write)
