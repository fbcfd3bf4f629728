"""Commands over the store of DATABASE_URL."""

import base64
import json
import sqlite3
from pathlib import Path

import pytest

from app.credentials import KEY_BYTES, SealingKey
from app.store.keys import hash_key
from app.webhooks.signing import WebhookSigner
from tests.unit.cli.conftest import Run

STORE = Path("data/review-fetcher.db")


def rows(query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(STORE)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_new_key_is_printed_alone_and_only_its_hash_is_kept(run: Run) -> None:
    ended = run("keys", "create", "for the import", "--scope", "read", "--tenant", "acme")
    secret = ended.out.strip()
    assert ended.code == 0
    assert secret.startswith("rf_")
    assert "acme: read" in ended.err
    assert secret not in ended.err
    assert rows("SELECT tenant, name, scopes, hash FROM api_keys") == [
        ("acme", "for the import", "read", hash_key(secret).hex())
    ]
    assert secret.encode() not in STORE.read_bytes()


@pytest.mark.parametrize("name", ["", " "])
def test_a_key_without_a_name_is_not_made(run: Run, name: str) -> None:
    ended = run("keys", "create", name)
    assert (ended.code, ended.out) == (2, "")
    assert "a key needs a name" in ended.err
    assert not STORE.exists()


def test_a_revoked_key_stays_in_the_list(run: Run) -> None:
    secret = run("keys", "create", "old").out
    key_id = secret.split("_")[1]
    assert run("keys", "revoke", key_id).code == 0
    (listed,) = json.loads(run("keys", "list", "--json").out)["keys"]
    assert (listed["id"], listed["name"], listed["state"]) == (key_id, "old", "revoked")
    assert listed["revoked_at"] is not None


def test_the_secrets_of_webhooks_are_those_of_the_keys_that_are_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: base64.b64encode(name.encode() * KEY_BYTES).decode() for name in "no"}
    monkeypatch.setenv("TOKEN_SEALING_KEYS", ",".join(f"{name}:{key}" for name, key in keys.items()))
    signer = WebhookSigner([SealingKey(name, name.encode() * KEY_BYTES) for name in keys])
    printed = run("webhooks", "secrets", "--tenant", "acme")
    assert (printed.code, printed.out.split()) == (0, signer.secrets("acme"))
    listed = json.loads(run("webhooks", "secrets", "--json").out)
    assert listed == {"secrets": signer.secrets("default")}


def test_without_a_sealing_key_there_are_no_secrets_and_none_is_made(run: Run) -> None:
    ended = run("webhooks", "secrets")
    assert (ended.code, ended.out) == (1, "")
    assert "start the service once, or set TOKEN_SEALING_KEYS" in ended.err
    assert not STORE.parent.exists()


def test_a_key_cannot_be_revoked_twice(run: Run) -> None:
    key_id = run("keys", "create", "old").out.split("_")[1]
    run("keys", "revoke", key_id)
    ended = run("keys", "revoke", key_id)
    assert ended.code == 1
    assert "error: This API key is revoked." in ended.err


def names(run: Run, *options: str) -> list[str]:
    return [key["name"] for key in json.loads(run("keys", "list", "--json", *options).out)["keys"]]


def test_keys_of_one_tenant_can_be_listed(run: Run) -> None:
    run("keys", "create", "ours")
    run("keys", "create", "theirs", "--tenant", "acme")
    assert names(run, "--tenant", "acme") == ["theirs"]


@pytest.mark.parametrize(
    "command", [("jobs", "list"), ("jobs", "show", "x"), ("quota",), ("keys", "list"), ("keys", "revoke", "x")]
)
def test_looking_at_a_store_that_is_not_there_makes_none(run: Run, command: tuple[str, ...]) -> None:
    ended = run(*command)
    assert ended.code == 1
    assert f"there is no store at {STORE}" in ended.err
    assert not STORE.exists()


def test_migrate_makes_the_tables_and_can_be_repeated(run: Run) -> None:
    first = run("migrate")
    assert first.code == 0
    assert run("migrate").out == first.out
    assert rows("SELECT count(*) FROM jobs") == [(0,)]


def test_an_old_store_is_not_read_but_explained(run: Run) -> None:
    run("migrate")
    connection = sqlite3.connect(STORE)
    connection.execute("DROP TABLE alembic_version")
    connection.commit()
    connection.close()
    ended = run("jobs", "list")
    assert ended.code == 1
    assert "run `review-fetcher migrate`" in ended.err


def test_an_unknown_job_is_one_line(run: Run) -> None:
    run("migrate")
    ended = run("jobs", "show", "no-such-job")
    assert ended.code == 1
    assert ended.err.startswith("error: There is no job with this id.")


def test_no_jobs_is_an_empty_list_for_programs(run: Run) -> None:
    run("migrate")
    assert json.loads(run("jobs", "list", "--json").out) == {"jobs": [], "next_cursor": None}
    assert "no such jobs" in run("jobs", "list", "--status", "failed").err


def test_version_names_the_program(run: Run) -> None:
    assert run("version").out.startswith("review-fetcher ")


def test_republish_says_what_it_would_do_and_does_it_only_when_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert run("migrate").code == 0
    ended = run("republish", "--everything")
    assert ended.code == 0
    assert "Add --yes to do it" in ended.err
    assert rows("SELECT * FROM publisher_head") == []
    assert run("republish", "--from-here", "--yes").code == 0
    assert rows("SELECT cluster_id, topic_id FROM publisher_head") == [("", "")]


def test_republish_does_not_do_both(run: Run) -> None:
    assert run("republish", "--everything", "--from-here").code == 2


def test_republish_without_kafka_says_where_the_reviews_are(run: Run) -> None:
    ended = run("republish")
    assert ended.code == 1
    assert "the feed of the API" in ended.err
