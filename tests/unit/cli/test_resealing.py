"""`keys reseal` and `keys forget` on a store, and what a start and `doctor` say of keys that are missing."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from app.config import ConfigurationError, load_settings
from app.config.fitness import check_sealing_keys
from app.credentials import Purpose, SealingKey, TokenSealer, load_or_create_key
from app.store.migrate import migrate
from app.store.sealing import keys_in_use
from app.store.sqlite import SqliteDatabase
from app.store.submit import Callback, NewJob, submit
from app.wiring import close_components, initialize_components
from tests.unit.cli.conftest import Outcome, Run

OLD, NEW = SealingKey("2023", b"o" * 32), SealingKey("2024", b"n" * 32)
STORE = Path("data/review-fetcher.db")


def setting(*keys: SealingKey) -> str:
    return ",".join(f"{key.id}:{base64.b64encode(key.secret).decode()}" for key in keys)


@pytest.fixture
def old_store() -> None:
    """A store with 250 unfinished jobs, a callback each, all sealed with the old key."""
    asyncio.run(_fill(OLD))


async def _fill(key: SealingKey, jobs: int = 250) -> None:
    sealer = TokenSealer([key])
    database = SqliteDatabase(STORE, exclusive=True)
    await database.start()
    await database.write(migrate)
    await database.write(submit, [_job(f"job-{number:03}", sealer) for number in range(jobs)])
    await database.close()


def _job(job_id: str, sealer: TokenSealer) -> NewJob:
    token = sealer.seal("default", job_id, "ya29.token-for-tests")
    url = sealer.seal("default", job_id, "https://shop.example/?key=secret", Purpose.CALLBACK)
    callback = Callback(url.key_id, url.data, "https://shop.example/")
    return NewJob(job_id, "default", token.key_id, token.data, callback=callback)


async def _needed() -> list[str]:
    database = SqliteDatabase(STORE, exclusive=False)
    await database.start()
    try:
        return await database.read(keys_in_use)
    finally:
        await database.close()


@pytest.mark.usefixtures("old_store")
def test_everything_is_resealed_and_the_key_that_may_go_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW, OLD))
    ended = run("keys", "reseal")
    assert ended.code == 0
    assert "Sealed with key 2024: the tokens of 250 jobs, 250 callback URLs." in ended.err
    assert "No longer used for these: 2023." in ended.err
    assert asyncio.run(_needed()) == [NEW.id]
    again = run("keys", "reseal", "--json")
    assert json.loads(again.out) == {
        "key": "2024",
        "credentials": 0,
        "callbacks": 0,
        "unopened": 0,
        "unused": ["2023"],
        "still_used": [],
    }


@pytest.mark.usefixtures("old_store")
def test_what_cannot_be_opened_is_told_and_nothing_is_said_to_be_unused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW))
    monkeypatch.setattr("app.cli.sealing.LOOK_SECONDS", 0.0)
    ended = run("keys", "reseal")
    assert ended.code == 1
    assert "500 do not open" in ended.err
    assert "Still used: 2023." in ended.err
    assert "No longer used" not in ended.err


@pytest.mark.usefixtures("old_store")
def test_a_start_without_a_key_that_is_needed_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW))
    found = {finding["check"]: finding for finding in json.loads(run("doctor", "--json").out)["checks"]}
    assert (found["sealed"]["health"], found["sealed"]["found"]) == ("broken", "the service refuses to start")
    assert "sealed with 2023: put it back" in found["sealed"]["mend"]
    with pytest.raises(ConfigurationError, match=r"sealed with 2023: put it back.*keys forget 2023"):
        asyncio.run(_start())
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW, OLD))
    asyncio.run(_start())
    assert "also with 2023" in run("doctor").out


async def _start() -> None:
    await close_components(await initialize_components(load_settings(environment="test")))


@pytest.mark.usefixtures("old_store")
def test_a_key_file_that_is_gone_is_not_made_anew_where_it_is_needed(tmp_path: Path) -> None:
    """Its successor would open nothing, and look as if all were well."""
    with pytest.raises(ConfigurationError, match="2023"):
        asyncio.run(_start())
    assert not (tmp_path / "data" / "sealing.key").exists()


@pytest.mark.parametrize("roles", ["api", "scheduler", "accounts", "locations", "reviews"])
def test_every_role_that_opens_secrets_needs_the_keys(roles: str) -> None:
    settings = load_settings(
        roles=roles, kafka={"bootstrap_servers": "127.0.0.1:9"}, google_api_base_url="http://127.0.0.1:9"
    )
    with pytest.raises(ConfigurationError, match=r"sealed with a, b:"):
        check_sealing_keys(settings, ["c"], ["b", "c", "a"])
    check_sealing_keys(settings, ["a", "b", "c"], ["b", "c", "a"])


def test_who_only_publishes_needs_none() -> None:
    settings = load_settings(
        roles="publisher", kafka={"bootstrap_servers": "127.0.0.1:9"}, google_api_base_url="http://127.0.0.1:9"
    )
    check_sealing_keys(settings, [], ["a"])


@pytest.mark.usefixtures("old_store")
def test_a_lost_key_is_given_up_only_when_it_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW))
    asked = run("keys", "forget", OLD.id)
    assert (asked.code, asyncio.run(_needed())) == (1, [OLD.id])
    assert "add --yes to do it" in asked.err
    done = run("keys", "forget", OLD.id, "--yes")
    assert done.code == 0
    assert "Wiped the tokens of 250 jobs, and 250 callback URLs." in done.err
    assert asyncio.run(_needed()) == []
    asyncio.run(_start())


@pytest.mark.usefixtures("old_store")
def test_a_key_that_the_service_has_cannot_be_forgotten(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW, OLD))
    refused: Outcome = run("keys", "forget", OLD.id, "--yes")
    assert (refused.code, asyncio.run(_needed())) == (2, [OLD.id])


def test_the_key_of_the_file_is_left_for_one_of_the_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a service that made its own key to one that is given its keys."""
    key = load_or_create_key(Path("data/sealing.key"))
    asyncio.run(_fill(key, jobs=3))
    monkeypatch.setenv("TOKEN_SEALING_KEYS", setting(NEW, key))
    assert run("keys", "reseal").code == 0
    assert asyncio.run(_needed()) == [NEW.id]
