"""API keys at rest, over every database."""

import pytest
from sqlalchemy import select

from app.models.access import Scope
from app.store.database import Database, Transaction
from app.store.keys import count_keys, create_key, find_key, hash_key, list_keys, prefix_of, revoke_key
from app.store.schema import api_keys


def _everything_stored(transaction: Transaction) -> str:
    return repr(transaction.connection.execute(select(api_keys)).all())


async def test_a_key_is_found_by_its_prefix_with_its_tenant_and_scopes(database: Database) -> None:
    record, secret = await database.write(create_key, "acme", "Nightly", [Scope.SUBMIT, Scope.READ])
    prefix = prefix_of(secret)
    assert prefix == record.id
    found = await database.read(find_key, record.id)
    assert found == record
    assert found.hash == hash_key(secret)
    assert (found.tenant, found.name, found.scopes) == ("acme", "Nightly", frozenset({Scope.SUBMIT, Scope.READ}))


async def test_the_secret_of_a_key_is_nowhere_in_the_store(database: Database) -> None:
    _, secret = await database.write(create_key, "acme", "Nightly", [Scope.READ])
    assert secret.split("_", 2)[2] not in await database.read(_everything_stored)


async def test_a_revoked_key_is_not_found_but_listed(database: Database) -> None:
    record, _ = await database.write(create_key, "acme", "Nightly", [Scope.READ])
    assert await database.write(revoke_key, record.id)
    assert await database.read(find_key, record.id) is None
    (listed,) = await database.read(list_keys)
    assert listed.revoked_at is not None


async def test_a_key_is_revoked_once(database: Database) -> None:
    record, _ = await database.write(create_key, "acme", "Nightly", [Scope.READ])
    assert await database.write(revoke_key, record.id)
    assert not await database.write(revoke_key, record.id)
    assert not await database.write(revoke_key, "unknown1")


async def test_keys_are_listed_by_tenant_or_all(database: Database) -> None:
    for tenant in ("acme", "other", "acme"):
        await database.write(create_key, tenant, "key", [Scope.READ])
    assert [key.tenant for key in await database.read(list_keys, "acme")] == ["acme", "acme"]
    assert len(await database.read(list_keys)) == 3
    assert await database.read(count_keys) == 3


async def test_two_keys_never_have_the_same_secret(database: Database) -> None:
    secrets = {(await database.write(create_key, "acme", "key", [Scope.READ]))[1] for _ in range(20)}
    assert len(secrets) == 20
    assert min(len(secret.split("_", 2)[2]) for secret in secrets) * 6 >= 128


@pytest.mark.parametrize(
    "text", ["", "rf", "rf_", "rf__x", "rf_abcdefgh", "rf_abcdefg_x", "rf_abcdéfgh_x", "rf_abc-efgh_x", "xx_abcdefgh_x"]
)
def test_what_is_not_a_key_of_ours_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None
