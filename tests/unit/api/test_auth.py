"""Who is let in: keys from the environment and from the store, and callers of this machine while there are no keys."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from fastapi import Request

from app.api.auth import is_on_this_machine, presented_key
from app.api.authenticator import ApiKeySettingError, Authenticator, parse_api_keys
from app.api.errors import UnauthenticatedError
from app.api.stored_keys import CACHED_KEYS, FRESH_SECONDS
from app.models.access import Scope
from app.store.database import Database, StoreUnavailableError
from app.store.keys import KeyRecord, count_keys, hash_key
from tests.support.clock import ManualClock

SECRET = "rf_abcdefgh_0123456789abcdefghij"
STATIC = "a-secret-of-the-environment"


class KeyStore:
    """Counts its reads; `away` makes it fail."""

    def __init__(self, *secrets: str) -> None:
        self.keys = {secret.split("_")[1]: _record(secret) for secret in secrets}
        self.reads = 0
        self.away = False
        self.now = 0.0

    async def read(self, work: Callable[..., Any], *arguments: str) -> Any:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        return len(self.keys) if work is count_keys else (self.keys.get(*arguments), self.now)


def _record(secret: str) -> KeyRecord:
    return KeyRecord(secret.split("_")[1], "acme", "key", frozenset({Scope.READ}), 0.0, None, hash_key(secret))


def _authenticator(store: KeyStore, clock: ManualClock | None = None, **options: Any) -> Authenticator:
    return Authenticator(cast("Database", store), clock=clock or ManualClock(), **options)


async def _is_let_in(authenticator: Authenticator, key: str | None, *, local: bool = False) -> bool:
    try:
        await authenticator.authenticate(key, on_this_machine=local)
    except UnauthenticatedError:
        return False
    return True


async def test_a_key_of_the_store_gives_its_tenant_and_scopes() -> None:
    caller = await _authenticator(KeyStore(SECRET)).authenticate(SECRET, on_this_machine=False)
    assert (caller.tenant, caller.scopes) == ("acme", frozenset({Scope.READ}))


@pytest.mark.parametrize("key", ["", "rf_abcdefgh_", SECRET + "x", SECRET[:-1], "rf_unknown1_x", "x" * 100_000, STATIC])
async def test_another_key_is_not_let_in(key: str) -> None:
    assert not await _is_let_in(_authenticator(KeyStore(SECRET), open_on_loopback=True), key, local=True)


async def test_a_revoked_key_stops_working_within_seconds() -> None:
    store, clock = KeyStore(SECRET), ManualClock()
    authenticator = _authenticator(store, clock)
    assert await _is_let_in(authenticator, SECRET)
    store.keys.clear()
    await clock.advance(FRESH_SECONDS)
    assert not await _is_let_in(authenticator, SECRET)


async def test_a_new_key_works_within_seconds_of_being_asked_for_too_early() -> None:
    store, clock = KeyStore(), ManualClock()
    authenticator = _authenticator(store, clock)
    assert not await _is_let_in(authenticator, SECRET)
    store.keys["abcdefgh"] = _record(SECRET)
    await clock.advance(FRESH_SECONDS)
    assert await _is_let_in(authenticator, SECRET)


async def test_many_requests_with_one_key_are_one_read() -> None:
    store = KeyStore(SECRET)
    authenticator = _authenticator(store)
    assert all(await asyncio.gather(*(_is_let_in(authenticator, SECRET) for _ in range(100))))
    assert await _is_let_in(authenticator, SECRET)
    assert store.reads == 1


async def test_a_request_that_goes_away_does_not_take_the_others_read_along() -> None:
    authenticator = _authenticator(KeyStore(SECRET))
    first = asyncio.create_task(_is_let_in(authenticator, SECRET))
    second = asyncio.create_task(_is_let_in(authenticator, SECRET))
    await asyncio.sleep(0)
    first.cancel()
    assert await second


async def test_guessed_prefixes_do_not_fill_the_memory() -> None:
    authenticator = _authenticator(KeyStore(SECRET))
    for number in range(CACHED_KEYS + 50):
        assert not await _is_let_in(authenticator, f"rf_{number:08}_x")
    assert len(authenticator._stored._cached) == CACHED_KEYS


async def test_a_store_that_is_away_is_not_told_as_a_wrong_key() -> None:
    store = KeyStore(SECRET)
    store.away = True
    authenticator = _authenticator(store)
    with pytest.raises(StoreUnavailableError):
        await authenticator.authenticate(SECRET, on_this_machine=False)
    store.away = False
    assert await _is_let_in(authenticator, SECRET)


async def test_a_key_of_the_environment_belongs_to_the_default_tenant_and_needs_no_store() -> None:
    store = KeyStore()
    keys = parse_api_keys([STATIC, f"{STATIC}-2:submit+read"])
    authenticator = _authenticator(store, static_keys=keys)
    caller = await authenticator.authenticate(STATIC, on_this_machine=False)
    assert (caller.tenant, caller.may(Scope.OPERATE)) == ("default", True)
    limited = await authenticator.authenticate(f"{STATIC}-2", on_this_machine=False)
    assert [scope for scope in Scope if limited.may(scope)] == [Scope.SUBMIT, Scope.READ]
    assert store.reads == 0


@pytest.mark.parametrize("entry", ["short", "with a space in its middle", "ünprintable-secret-secret", f"{STATIC}:all"])
def test_a_wrong_entry_of_the_setting_is_refused_without_quoting_it(entry: str) -> None:
    with pytest.raises(ApiKeySettingError) as caught:
        parse_api_keys([entry])
    assert entry not in str(caught.value)


async def test_without_any_key_callers_of_this_machine_are_let_in_while_that_is_allowed() -> None:
    store, clock = KeyStore(), ManualClock()
    authenticator = _authenticator(store, clock, open_on_loopback=True)
    assert await _is_let_in(authenticator, None, local=True)
    assert not await _is_let_in(authenticator, None, local=False)
    assert not await _is_let_in(_authenticator(store), None, local=True)
    store.keys["abcdefgh"] = _record(SECRET)
    await clock.advance(FRESH_SECONDS)
    assert not await _is_let_in(authenticator, None, local=True)


async def test_a_key_of_the_environment_closes_the_open_door() -> None:
    authenticator = _authenticator(KeyStore(), open_on_loopback=True, static_keys=parse_api_keys([STATIC]))
    assert not await _is_let_in(authenticator, None, local=True)


def _request(client: str | None = "127.0.0.1", **headers: str) -> Request:
    sent = {"host": "localhost:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(
        {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": (client, 1) if client else None,
        }
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (_request(), True),
        (_request("::1", host="[::1]:8000"), True),
        (_request("::ffff:127.0.0.1"), True),
        (_request("127.8.8.8", host="127.0.0.1"), True),
        (_request("192.168.1.7"), False),
        (_request("::ffff:192.168.1.7"), False),
        (_request(None), False),
        (_request("testclient"), False),
        (_request(host="rebound.example"), False),
        (_request(host="localhost.example"), False),
        (_request(x_forwarded_for="127.0.0.1"), False),
        (_request(forwarded="for=127.0.0.1"), False),
        (_request(sec_fetch_site="cross-site"), False),
        (_request(sec_fetch_site="same-origin"), True),
    ],
)
def test_only_a_direct_local_call_counts_as_this_machine(request_: Request, expected: bool) -> None:
    assert is_on_this_machine(request_) is expected


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"x_api_key": "k"}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"authorization": "Basic k"}, None),
        ({"x_api_key": "k", "authorization": "Bearer other"}, "k"),
    ],
)
def test_a_key_comes_in_either_header(headers: dict[str, str], key: str | None) -> None:
    assert presented_key(_request(**headers)) == key


async def test_a_key_is_not_believed_longer_than_it_lives_by_the_databases_clock() -> None:
    """The clocks of database and process may be hours apart: what counts is how long the key has left."""
    store, clock = KeyStore(SECRET), ManualClock()
    store.now = 5_000.0
    store.keys["abcdefgh"] = replace(_record(SECRET), expires_at=5_002.0)
    authenticator = _authenticator(store, clock)
    assert await _is_let_in(authenticator, SECRET)
    store.keys.clear()  # as the store answers from its expiry on
    await clock.advance(1.9)
    assert await _is_let_in(authenticator, SECRET)
    await clock.advance(0.1)
    assert not await _is_let_in(authenticator, SECRET)


async def test_a_caller_is_named_by_its_key_and_the_store_hears_of_each_use() -> None:
    used: list[str] = []
    authenticator = _authenticator(
        KeyStore(SECRET), static_keys=parse_api_keys([STATIC]), open_on_loopback=True, used=used.append
    )
    for key, name in ((SECRET, "abcdefgh"), (STATIC, f"env-{hash_key(STATIC).hex()[:8]}")):
        assert (await authenticator.authenticate(key, on_this_machine=False)).key_id == name
    assert not await _is_let_in(authenticator, SECRET + "x")
    assert used == ["abcdefgh"]
    caller = await _authenticator(KeyStore(), open_on_loopback=True).authenticate(None, on_this_machine=True)
    assert caller.key_id is None


async def test_an_unknown_prefix_costs_the_same_read_as_a_known_one() -> None:
    """No answer comes sooner for a prefix that exists. ASVS 5.0 V6: valid names are not to be told apart."""
    store = KeyStore(SECRET)
    authenticator = _authenticator(store)
    reads = []
    for key in ("rf_abcdefgh_x", "rf_unknown1_x", "rf_abcdefgh_x", "rf_unknown1_x"):
        assert not await _is_let_in(authenticator, key)
        reads.append(store.reads)
    assert reads == [1, 2, 2, 2]


async def test_who_follows_for_long_is_told_when_the_right_is_gone_and_not_when_the_store_is() -> None:
    store, clock = KeyStore(SECRET), ManualClock()
    authenticator = _authenticator(store, clock)
    assert await authenticator.still_admits(SECRET, on_this_machine=False)
    await clock.advance(FRESH_SECONDS)
    store.away = True
    assert await authenticator.still_admits(SECRET, on_this_machine=False)
    store.away = False
    store.keys.clear()
    assert not await authenticator.still_admits(SECRET, on_this_machine=False)
