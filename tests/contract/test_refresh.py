"""Who may renew a job's access token, and what becomes of the answer; by the database's time."""

import asyncio
import time

import pytest
from sqlalchemy import RowMapping, select, update

from app.models.job import JobStatus, Problem, Stage
from app.pipeline.control import JobControl
from app.store.database import Database, Transaction
from app.store.ends import park_for_token
from app.store.postgresql import PostgresDatabase
from app.store.refresh import (
    Begun,
    CurrentToken,
    FreshlyRefused,
    NewToken,
    RefreshLease,
    RefreshWait,
    begin_refresh,
    end_refresh,
    put_off_refresh,
)
from app.store.release import Window, release
from app.store.schema import credentials, jobs
from app.store.submit import NewJob, submit
from tests.support.store import job_with_tasks, new_job, plans, take


def fresh(lives: float = 3600.0) -> NewToken:
    """As Google gives one for a lease that was taken just now."""
    return NewToken("key-2", b"fresh", b"grant-2", time.time(), lives)


async def job_with_grant(database: Database, job_id: str, sealed: bytes = b"sealed") -> str:
    await database.write(submit, [NewJob(job_id, "default", "key-1", sealed, sealed_grant=b"grant")])
    return job_id


async def begin(database: Database, job_id: str, version: int = 1, *, refused: bool = False) -> Begun:
    return await database.write(begin_refresh, job_id, version, refused=refused, lease=30.0)


async def row(database: Database, job_id: str) -> RowMapping:
    def read(transaction: Transaction) -> RowMapping:
        both = select(credentials, jobs.c.token_expires_at, jobs.c.token_refreshable, jobs.c.credential_version)
        joined = both.join(jobs, jobs.c.id == credentials.c.job_id).where(jobs.c.id == job_id)
        return transaction.connection.execute(joined).mappings().one()

    return await database.read(read)


async def change(database: Database, table: type[object] | object, job_id: str, **ago: float | None) -> None:
    """Set times of the row so many seconds before the database's now (None: NULL)."""

    def write(transaction: Transaction) -> None:
        values = {name: None if seconds is None else transaction.now - seconds for name, seconds in ago.items()}
        column = jobs.c.id if table is jobs else credentials.c.job_id
        transaction.connection.execute(update(table).where(column == job_id).values(values))  # type: ignore[arg-type]

    await database.write(write)


async def test_one_of_many_replicas_takes_the_lease(database: Database) -> None:
    job_id = await job_with_grant(database, "one-of-many", b"")
    answers = await asyncio.gather(*(begin(database, job_id) for _ in range(8)))
    (lease,) = [answer for answer in answers if isinstance(answer, RefreshLease)]
    assert lease.sealed_grant == b"grant"
    assert lease.since == pytest.approx(time.time(), abs=10.0)
    waits = [answer.seconds for answer in answers if isinstance(answer, RefreshWait)]
    assert len(waits) == 7
    assert all(0 < seconds <= 30 for seconds in waits)


async def test_replicas_that_ask_at_the_same_moment_agree(
    store: PostgresDatabase, other_store: PostgresDatabase
) -> None:
    for number in range(10):
        job_id = await job_with_grant(store, f"same-moment-{number}", b"")
        answers = await asyncio.gather(begin(store, job_id), begin(other_store, job_id))
        assert sorted(type(answer).__name__ for answer in answers) == ["RefreshLease", "RefreshWait"]


async def test_a_dead_replicas_lease_runs_out(database: Database) -> None:
    job_id = await job_with_grant(database, "dead-replica", b"")
    assert isinstance(await begin(database, job_id), RefreshLease)
    await change(database, credentials, job_id, refreshing_until=1.0)
    assert isinstance(await begin(database, job_id), RefreshLease)


async def test_a_new_token_takes_the_place_of_the_old_one(database: Database) -> None:
    job_id = await job_with_grant(database, "new-token")
    await begin(database, job_id, refused=True)
    current = await database.write(end_refresh, job_id, 1, fresh())
    now = await row(database, job_id)
    assert current == CurrentToken(2, b"fresh", now["token_expires_at"], now["refreshed_at"])
    assert (now["version"], now["credential_version"], now["key_id"]) == (2, 2, "key-2")
    assert (now["sealed"], now["sealed_grant"], now["refreshing_until"]) == (b"fresh", b"grant-2", None)
    assert now["token_expires_at"] == now["refreshed_at"] + 3600.0
    (task,) = await take(database, Stage.ACCOUNTS)
    assert (task.sealed_token, task.credential_version, task.token_refreshable) == (b"fresh", 2, True)
    assert (task.token_expires_at, task.token_refreshed_at) == (now["token_expires_at"], now["refreshed_at"])


async def test_a_zombies_late_answer_is_dropped(database: Database) -> None:
    """Its lease ran out, and another has settled since."""
    job_id = await job_with_grant(database, "zombie", b"")
    await begin(database, job_id)
    await change(database, credentials, job_id, refreshing_until=1.0)
    await begin(database, job_id)
    await database.write(end_refresh, job_id, 1, fresh())
    late = await database.write(end_refresh, job_id, 1, fresh()._replace(sealed=b"late", sealed_grant=b"grant-late"))
    assert late is not None
    assert (late.version, late.sealed) == (2, b"fresh")
    now = await row(database, job_id)
    assert (now["sealed"], now["sealed_grant"], now["version"]) == (b"fresh", b"grant-2", 2)


async def test_a_token_that_a_caller_gave_meanwhile_wins(database: Database) -> None:
    job_id = await job_with_grant(database, "caller-wins", b"")
    await begin(database, job_id)
    await JobControl(database, lambda: None).replace_token("default", job_id, "key-1", b"given")
    late = await database.write(end_refresh, job_id, 1, fresh())
    assert late is not None
    assert (late.version, late.sealed) == (2, b"given")
    assert (await row(database, job_id))["sealed_grant"] == b"grant"


async def test_a_refresh_token_that_google_replaced_is_not_lost_to_a_token_that_a_caller_gave(
    database: Database,
) -> None:
    control = JobControl(database, lambda: None)
    replaced = fresh()._replace(key_id="key-1", ended_grant=b"grant")
    kept = await job_with_grant(database, "keeps", b"")
    await control.replace_token("default", kept, "key-1", b"given")
    late = await database.write(end_refresh, kept, 1, replaced)
    assert late is not None
    now = await row(database, kept)
    assert (late.sealed, now["sealed"], now["sealed_grant"]) == (b"given", b"given", b"grant-2")
    other = await job_with_grant(database, "has-another", b"")
    await control.replace_token("default", other, "key-1", b"", b"another grant")
    await database.write(end_refresh, other, 1, replaced)
    assert (await row(database, other))["sealed_grant"] == b"another grant"
    resealed = await job_with_grant(database, "under-another-key", b"")
    await control.replace_token("default", resealed, "key-3", b"given")
    await database.write(end_refresh, resealed, 1, replaced)
    assert (await row(database, resealed))["sealed_grant"] == b"grant"


async def test_a_grant_that_was_wiped_meanwhile_does_not_come_back(database: Database) -> None:
    """Google kept the refresh token: the late answer has nothing that would be lost."""
    job_id = await job_with_grant(database, "wiped-meanwhile", b"")
    await begin(database, job_id)
    await change(database, credentials, job_id, sealed_grant=None)
    await JobControl(database, lambda: None).replace_token("default", job_id, "key-2", b"given")
    assert (await row(database, job_id))["sealed_grant"] is None
    late = await database.write(end_refresh, job_id, 1, fresh())
    assert late is not None
    assert (late.sealed, (await row(database, job_id))["sealed_grant"]) == (b"given", None)


async def test_a_job_that_has_ended_takes_no_token(database: Database) -> None:
    job_id = await job_with_grant(database, "ended", b"")
    await begin(database, job_id)
    await JobControl(database, lambda: None).cancel("default", job_id)
    assert await database.write(end_refresh, job_id, 1, fresh()) is None
    assert isinstance(await begin(database, job_id), RefreshWait)


async def test_who_has_an_old_token_is_given_the_newest(database: Database) -> None:
    job_id = await job_with_grant(database, "old-token", b"")
    await begin(database, job_id)
    await database.write(end_refresh, job_id, 1, fresh())
    for refused in (False, True):
        answer = await begin(database, job_id, refused=refused)
        assert isinstance(answer, CurrentToken)
        assert (answer.version, answer.sealed) == (2, b"fresh")


async def test_a_token_is_not_renewed_before_its_time(database: Database) -> None:
    job_id = await job_with_grant(database, "not-yet")
    await change(database, jobs, job_id, token_expires_at=-600.0)
    assert isinstance(await begin(database, job_id), CurrentToken)
    await change(database, jobs, job_id, token_expires_at=-200.0)
    assert isinstance(await begin(database, job_id), RefreshLease)


async def test_a_token_refused_right_after_it_came_is_not_renewed_again(database: Database) -> None:
    job_id = await job_with_grant(database, "fresh-refused")
    await begin(database, job_id, refused=True)
    await database.write(end_refresh, job_id, 1, fresh())
    assert await begin(database, job_id, 2, refused=True) == FreshlyRefused()
    await change(database, credentials, job_id, refreshed_at=61.0)
    assert isinstance(await begin(database, job_id, 2, refused=True), RefreshLease)


@pytest.mark.parametrize(("age", "is_fresh"), [(4.0, True), (9.5, False)])
async def test_a_token_of_a_short_life_is_refused_for_its_age_as_soon_as_it_is_due(
    database: Database, age: float, is_fresh: bool
) -> None:
    """Google counts from another moment than we do, so it may end a little before the end that we know."""
    job_id = await job_with_grant(database, "short-and-due")
    await begin(database, job_id, refused=True)
    await database.write(end_refresh, job_id, 1, fresh(12.0)._replace(since=time.time() - age))
    answer = await begin(database, job_id, 2, refused=True)
    assert isinstance(answer, FreshlyRefused if is_fresh else RefreshLease)


async def test_a_tokens_life_counts_from_the_lease_however_long_the_store_was_away(database: Database) -> None:
    job_id = await job_with_grant(database, "away")
    lease = await begin(database, job_id, refused=True)
    assert isinstance(lease, RefreshLease)
    answer = fresh()._replace(since=lease.since - 600.0)
    current = await database.write(end_refresh, job_id, 1, answer)
    assert current is not None
    assert (current.refreshed_at, current.expires_at) == (lease.since - 600.0, lease.since + 3000.0)


async def test_a_short_lived_token_that_has_expired_is_renewed_again(database: Database) -> None:
    job_id = await job_with_grant(database, "short-life")
    await begin(database, job_id, refused=True)
    await database.write(end_refresh, job_id, 1, fresh())
    await change(database, jobs, job_id, token_expires_at=0.5)
    assert isinstance(await begin(database, job_id, 2, refused=True), RefreshLease)


async def test_after_a_failure_nobody_asks_for_a_while(database: Database) -> None:
    job_id = await job_with_grant(database, "failure")
    await begin(database, job_id, refused=True)
    without = await database.write(put_off_refresh, job_id, 1, 10.0)
    assert without is not None
    assert 0 <= without < 10
    answer = await begin(database, job_id)
    assert isinstance(answer, RefreshWait)
    assert 0 < answer.seconds <= 10


async def test_while_the_old_token_lives_nobody_is_without_one(database: Database) -> None:
    job_id = await job_with_grant(database, "still-lives")
    await change(database, jobs, job_id, token_expires_at=-200.0)
    await begin(database, job_id)
    assert await database.write(put_off_refresh, job_id, 1, None) is None
    answer = await begin(database, job_id)
    assert isinstance(answer, RefreshWait)
    assert 190 < answer.seconds <= 200


async def released(database: Database) -> int:
    return len((await database.write(release, Stage.ACCOUNTS, Window(10, 10))).works)


async def test_without_a_token_nothing_of_the_job_is_released_until_there_is_one(database: Database) -> None:
    """However many tasks it has, they do not come and go while one replica asks."""
    job_id = await job_with_grant(database, "held-back", b"")
    await begin(database, job_id)
    assert await released(database) == 0
    other = await new_job(database)
    assert await released(database) == 1, other
    await database.write(end_refresh, job_id, 1, fresh())
    assert await released(database) == 1


async def test_ten_thousand_open_tasks_cost_a_renewal_no_more_statements(database: Database) -> None:
    job_id = await job_with_tasks(database, waiting=10_000)
    await JobControl(database, lambda: None).replace_token("default", job_id, "key-1", b"", b"grant")

    def renew(transaction: Transaction) -> None:
        assert isinstance(begin_refresh(transaction, job_id, 2, refused=False, lease=30.0), RefreshLease)
        for stage in Stage:
            assert release(transaction, stage, Window(100, 100)).works == []
        assert end_refresh(transaction, job_id, 2, fresh()) is not None

    def and_release(transaction: Transaction) -> None:
        assert len(release(transaction, Stage.REVIEWS, Window(200, 100)).works) == 100

    assert len(await database.write(plans, renew)) <= 8 + 3 * 4
    await database.write(and_release)


async def test_while_the_old_token_lives_the_job_goes_on(database: Database) -> None:
    job_id = await job_with_grant(database, "goes-on")
    await change(database, jobs, job_id, token_expires_at=-200.0)
    assert isinstance(await begin(database, job_id), RefreshLease)
    assert await released(database) == 1


async def test_a_lease_that_ran_out_holds_nothing_back(database: Database) -> None:
    job_id = await job_with_grant(database, "ran-out", b"")
    await begin(database, job_id)
    await change(database, credentials, job_id, refreshing_until=1.0)
    assert await released(database) == 1


async def test_a_parked_job_asks_no_more_and_a_new_grant_lets_it_ask_at_once(database: Database) -> None:
    job_id = await job_with_grant(database, "parked", b"")
    await begin(database, job_id)
    await database.write(park_for_token, job_id, Problem("invalid_grant", "revoked"))
    assert isinstance(await begin(database, job_id), RefreshWait)
    control = JobControl(database, lambda: None)
    job = await control.replace_token("default", job_id, "key-1", b"", b"another grant")
    assert job.status is JobStatus.PROCESSING
    lease = await begin(database, job_id, 2)
    assert isinstance(lease, RefreshLease)
    assert lease.sealed_grant == b"another grant"


async def test_an_access_token_alone_leaves_a_job_its_grant(database: Database) -> None:
    control = JobControl(database, lambda: None)
    job_id = await job_with_grant(database, "keeps-grant")
    await control.replace_token("default", job_id, "key-1", b"given")
    kept = await row(database, job_id)
    assert (kept["sealed_grant"], bool(kept["token_refreshable"])) == (b"grant", True)
    without = await new_job(database)
    await control.replace_token("default", without, "key-1", b"given")
    assert not (await row(database, without))["token_refreshable"]
    await control.replace_token("default", without, "key-1", b"", b"first grant")
    assert (await row(database, without))["token_refreshable"]
