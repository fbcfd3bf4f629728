"""`review-fetcher keys` at a service and in the store beside it: one suite over both, and over every database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from app.cli.key_backend import KeyBackend, LocalKeys
from app.cli.remote import Service
from app.models.access import DEFAULT_TENANT, Scope
from app.models.errors import BadCursorError, KeyNotFoundError
from app.models.keys import KeyCreation, KeyRotation, KeyState
from app.store.database import Database
from app.store.keys import create_key, find_key, hash_key
from tests.contract.test_cli_backends import refusal
from tests.support.api import served_api
from tests.support.keys import expire_now
from tests.support.serving import served

DAY = 86_400.0
WANTED = KeyCreation(name="for the import", scopes=[Scope.READ], expires_in="30d")  # type: ignore[arg-type] # as JSON has it


@dataclass(frozen=True)
class Asked:
    """A backend for the default tenant, the store that it tells of, and the id of its administrator's key."""

    backend: KeyBackend
    database: Database
    admin: str


@pytest.fixture(params=["local", "remote"])
async def asked(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Asked]:
    admin, secret = await database.write(create_key, DEFAULT_TENANT, "admin", [Scope.ADMIN])
    if request.param == "local":
        yield Asked(LocalKeys(database, DEFAULT_TENANT), database, admin.id)
        return
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(served_api(database))
        url = await stack.enter_async_context(served(api.app))
        yield Asked(await stack.enter_async_context(Service(url, secret)), database, admin.id)


async def test_a_new_key_opens_what_it_is_for_and_is_listed(asked: Asked) -> None:
    new = await asked.backend.create_key(WANTED)
    record, _ = await asked.database.read(find_key, new.made.id)
    assert record is not None
    assert (record.hash, record.scopes, record.tenant) == (hash_key(new.key), frozenset({Scope.READ}), DEFAULT_TENANT)
    assert record.expires_at == pytest.approx(record.created_at + 30 * DAY)
    assert (new.made.state, new.replaced) == (KeyState.VALID, None)


async def test_keys_are_listed_newest_first_page_by_page_without_those_of_others(asked: Asked) -> None:
    await asked.database.write(create_key, "other", "theirs", [Scope.ADMIN])
    made = (await asked.backend.create_key(WANTED)).made
    first = await asked.backend.keys(1, None)
    rest = await asked.backend.keys(10, first.next_cursor)
    assert [key.id for key in first.keys + rest.keys] == [made.id, asked.admin]
    assert rest.next_cursor is None
    assert str(BadCursorError()) in await refusal(asked.backend.keys(1, "made-up"))


async def test_who_has_the_store_itself_has_the_keys_of_all_tenants(database: Database) -> None:
    made, _ = await database.write(create_key, "acme", "theirs", [Scope.READ])
    keys = LocalKeys(database, None)
    assert (await keys.create_key(WANTED)).made.tenant == DEFAULT_TENANT
    assert {key.tenant for key in (await keys.keys(10, None)).keys} == {"acme", DEFAULT_TENANT}
    assert (await keys.rotate_key(made.id, KeyRotation())).made.tenant == "acme"
    assert (await keys.revoke_key(made.id)).tenant == "acme"


async def test_a_rotated_key_is_told_beside_the_new_one(asked: Asked) -> None:
    old, _ = await asked.database.write(create_key, DEFAULT_TENANT, "old", [Scope.SUBMIT])
    new = await asked.backend.rotate_key(old.id, KeyRotation())
    assert new.replaced is not None
    assert (new.made.scopes, new.made.name) == ([Scope.SUBMIT], "old")
    assert (new.replaced.id, new.replaced.state, new.replaced.replaced_by) == (
        old.id,
        KeyState.EXPIRES_SOON,
        new.made.id,
    )
    told = await refusal(asked.backend.rotate_key(old.id, KeyRotation()))
    assert f"was replaced by {new.made.id}" in told
    at_once = await asked.backend.rotate_key(new.made.id, KeyRotation(overlap="0"))  # type: ignore[arg-type] # as JSON
    assert at_once.replaced is not None
    assert at_once.replaced.state is KeyState.EXPIRED
    assert "was replaced" in await refusal(asked.backend.rotate_key(new.made.id, KeyRotation()))


async def test_a_revoked_key_is_told_and_revoked_once(asked: Asked) -> None:
    made, _ = await asked.database.write(create_key, DEFAULT_TENANT, "old", [Scope.SUBMIT])
    assert (await asked.backend.revoke_key(made.id)).state is KeyState.REVOKED
    assert "is revoked" in await refusal(asked.backend.revoke_key(made.id))
    assert "is revoked" in await refusal(asked.backend.rotate_key(made.id, KeyRotation()))


async def test_an_expired_key_is_not_rotated(asked: Asked) -> None:
    made, _ = await asked.database.write(create_key, DEFAULT_TENANT, "old", [Scope.SUBMIT])
    await asked.database.write(expire_now, made.id)
    assert "has expired" in await refusal(asked.backend.rotate_key(made.id, KeyRotation()))


@pytest.mark.parametrize("key_id", ["unknown7", "theirs", "..", "\x00?limit=ä", "x" * 300])
async def test_an_unknown_key_and_another_tenants_are_told_in_the_same_words(asked: Asked, key_id: str) -> None:
    """API1:2023: an administrator of one tenant neither sees nor touches the keys of another."""
    theirs, _ = await asked.database.write(create_key, "other", "theirs", [Scope.ADMIN])
    wanted = theirs.id if key_id == "theirs" else key_id
    for question in (asked.backend.revoke_key(wanted), asked.backend.rotate_key(wanted, KeyRotation())):
        assert str(KeyNotFoundError()) in await refusal(question)
    assert (await asked.database.read(find_key, theirs.id))[0] is not None
