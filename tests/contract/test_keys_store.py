"""API keys at rest, over every database."""

import asyncio

import pytest
from sqlalchemy import select, update

from app.models.access import Scope
from app.models.errors import KeyEndedError, KeyNotFoundError
from app.store.cursors import KeysCursor
from app.store.database import Database, Transaction
from app.store.keys import (
    KeyRecord,
    count_keys,
    count_valid_keys,
    create_key,
    find_key,
    hash_key,
    list_keys,
    note_uses,
    prefix_of,
    revoke_key,
    rotate_key,
)
from app.store.schema import api_keys
from app.store.sessions import end_session, is_session_ended

DAY = 86_400.0


def _everything_stored(transaction: Transaction) -> str:
    return repr(transaction.connection.execute(select(api_keys)).all())


def _set(transaction: Transaction, key_id: str, values: dict[str, float]) -> None:
    transaction.connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**values))


def _now(transaction: Transaction) -> float:
    return transaction.now


async def _found(database: Database, key_id: str) -> KeyRecord | None:
    return (await database.read(find_key, key_id))[0]


async def _listed(database: Database, key_id: str) -> KeyRecord:
    return next(key for key in await database.read(list_keys, None, 100) if key.id == key_id)


async def _made(database: Database, expires_in: float | None = None) -> KeyRecord:
    return (await database.write(create_key, "acme", "Nightly", [Scope.SUBMIT, Scope.READ], expires_in))[0]


async def test_a_key_is_found_by_its_prefix_with_its_tenant_and_scopes(database: Database) -> None:
    record, secret = await database.write(create_key, "acme", "Nightly", [Scope.SUBMIT, Scope.READ])
    prefix = prefix_of(secret)
    assert prefix == record.id
    found = await _found(database, record.id)
    assert found == record
    assert found.hash == hash_key(secret)
    assert (found.tenant, found.name, found.scopes) == ("acme", "Nightly", frozenset({Scope.SUBMIT, Scope.READ}))


async def test_the_secret_of_a_key_is_nowhere_in_the_store(database: Database) -> None:
    record, secret = await database.write(create_key, "acme", "Nightly", [Scope.READ])
    _, _, newer = await database.write(rotate_key, None, record.id, 0.0)
    stored = await database.read(_everything_stored)
    assert [key.split("_", 2)[2] in stored for key in (secret, newer)] == [False, False]


async def test_a_revoked_key_is_not_found_but_listed(database: Database) -> None:
    record = await _made(database)
    assert (await database.write(revoke_key, "acme", record.id)).revoked_at is not None
    assert await _found(database, record.id) is None
    assert (await _listed(database, record.id)).revoked_at is not None


async def test_a_key_is_revoked_once(database: Database) -> None:
    record = await _made(database)
    await database.write(revoke_key, None, record.id)
    with pytest.raises(KeyEndedError, match="is revoked"):
        await database.write(revoke_key, None, record.id)
    with pytest.raises(KeyNotFoundError):
        await database.write(revoke_key, None, "unknown1")


async def test_another_tenants_key_is_as_unknown_as_none(database: Database) -> None:
    record = await _made(database)
    for key_id in (record.id, "unknown1"):
        with pytest.raises(KeyNotFoundError):
            await database.write(revoke_key, "other", key_id)
        with pytest.raises(KeyNotFoundError):
            await database.write(rotate_key, "other", key_id, DAY)
    assert await _found(database, record.id) == record
    assert await database.read(count_keys) == 1


async def test_a_key_expires_by_the_databases_clock(database: Database) -> None:
    record = await _made(database, expires_in=90 * DAY)
    assert record.expires_at == pytest.approx(record.created_at + 90 * DAY)
    assert await _found(database, record.id) == record
    await database.write(_set, record.id, {"expires_at": await database.read(_now)})
    assert await _found(database, record.id) is None
    assert (await _listed(database, record.id)).revoked_at is None


async def test_neither_expired_nor_revoked_keys_count_as_valid(database: Database) -> None:
    kept, expired, revoked = [await _made(database) for _ in range(3)]
    await database.write(_set, expired.id, {"expires_at": kept.created_at})
    await database.write(revoke_key, None, revoked.id)
    assert (await database.read(count_keys), await database.read(count_valid_keys)) == (3, 1)


async def test_a_rotated_key_goes_on_for_the_overlap_beside_one_like_it(database: Database) -> None:
    record = await _made(database, expires_in=90 * DAY)
    old, new, secret = await database.write(rotate_key, "acme", record.id, DAY)
    assert (new.tenant, new.name, new.scopes) == (record.tenant, record.name, record.scopes)
    assert new.hash == hash_key(secret) != record.hash
    assert new.expires_at == pytest.approx(new.created_at + 90 * DAY)
    assert old.replaced_by == new.id
    assert old.expires_at == pytest.approx(new.created_at + DAY)
    assert [key and key.id for key in (await _found(database, old.id), await _found(database, new.id))] == [
        old.id,
        new.id,
    ]


async def test_without_an_overlap_the_old_key_ends_at_once(database: Database) -> None:
    record = await _made(database)
    old, new, _ = await database.write(rotate_key, "acme", record.id, 0.0)
    assert (await _found(database, old.id), new.expires_at) == (None, None)
    assert await _found(database, new.id) == new


async def test_an_overlap_does_not_lengthen_the_life_of_a_key(database: Database) -> None:
    record = await _made(database, expires_in=DAY)
    old, _, _ = await database.write(rotate_key, None, record.id, 7 * DAY)
    assert old.expires_at == record.expires_at


async def test_a_key_that_has_ended_or_was_rotated_before_is_not_rotated(database: Database) -> None:
    rotated, revoked, expired = [await _made(database) for _ in range(3)]
    _, newer, _ = await database.write(rotate_key, None, rotated.id, DAY)
    await database.write(revoke_key, None, revoked.id)
    await database.write(_set, expired.id, {"expires_at": expired.created_at})
    for key, why in ((rotated, f"was replaced by {newer.id}"), (revoked, "is revoked"), (expired, "has expired")):
        with pytest.raises(KeyEndedError, match=why):
            await database.write(rotate_key, None, key.id, DAY)
    assert await database.read(count_keys) == 4


async def test_of_many_who_rotate_a_key_at_once_one_does(database: Database) -> None:
    record = await _made(database)
    rotations = [database.write(rotate_key, None, record.id, DAY) for _ in range(8)]
    done = await asyncio.gather(*rotations, return_exceptions=True)
    refused = [outcome for outcome in done if isinstance(outcome, KeyEndedError)]
    assert (len(done) - len(refused), await database.read(count_keys)) == (1, 2)


async def test_the_last_use_never_goes_back(database: Database) -> None:
    one, other = [await _made(database) for _ in range(2)]
    now = await database.read(_now)
    await database.write(note_uses, {one.id: 10.0, other.id: 0.0, "unknown1": 0.0})
    await database.write(note_uses, {one.id: 50.0})
    assert (await _listed(database, one.id)).last_used_at == pytest.approx(now - 10, abs=5)
    assert (await _listed(database, other.id)).last_used_at == pytest.approx(now, abs=5)


async def test_keys_are_listed_newest_first_by_tenant_or_all_page_by_page(database: Database) -> None:
    made = [(await database.write(create_key, tenant, "key", [Scope.READ]))[0] for tenant in ("acme", "other", "acme")]
    for number, key in enumerate(made):
        await database.write(_set, key.id, {"created_at": float(number // 2)})
    assert {key.tenant for key in await database.read(list_keys, "acme", 10)} == {"acme"}
    everything = await database.read(list_keys, None, 10)
    assert [key.created_at for key in everything] == [1.0, 0.0, 0.0]
    pages, behind = [], None
    while page := await database.read(list_keys, None, 1, behind):
        pages += page
        behind = KeysCursor(page[-1].created_at, page[-1].id)
    assert pages == everything


async def test_two_keys_never_have_the_same_secret(database: Database) -> None:
    secrets = {(await database.write(create_key, "acme", "key", [Scope.READ]))[1] for _ in range(20)}
    assert len(secrets) == 20
    assert min(len(secret.split("_", 2)[2]) for secret in secrets) * 6 >= 128


async def test_an_ended_session_is_remembered_until_it_would_have_expired(database: Database) -> None:
    """ASVS 5.0 V7: after a sign-out the session is of no further use."""
    now = await database.read(_now)
    assert not await database.read(is_session_ended, "session")
    for _ in range(2):
        await database.write(end_session, "session", now + DAY)
    await database.write(end_session, "of long ago", now - DAY)
    await database.write(end_session, "another", now + DAY)
    ended = [await database.read(is_session_ended, name) for name in ("session", "another", "of long ago")]
    assert ended == [True, True, False]


@pytest.mark.parametrize(
    "text", ["", "rf", "rf_", "rf__x", "rf_abcdefgh", "rf_abcdefg_x", "rf_abcdéfgh_x", "rf_abc-efgh_x", "xx_abcdefgh_x"]
)
def test_what_is_not_a_key_of_ours_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None
