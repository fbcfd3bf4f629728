"""The sweep after every flow can fail: a secret that is planted in a place, in any form, is found there."""

import json
import os
import sqlite3
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import asyncpg
import pytest

from app.credentials import Purpose, SealingKey, TokenSealer
from tests.support.canaries import CANARIES, found_in
from tests.support.canary_fixture import swept
from tests.support.kafka import create_topic, own_topics, send
from tests.support.service import Service
from tests.support.sweeping import sweep_files, sweep_postgresql, sweep_process, sweep_topics

SECRET = 'a-refresh-token+"~/\\that nobody may tell 0123456789 and on it goes to its end'
KEY = SealingKey("1", bytes(range(60, 92)))

FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "its first 12 characters": lambda secret: secret[:12].encode(),
    "cut at the front": lambda secret: secret[-24:].encode(),
    "escaped for a URL": lambda secret: quote(secret, safe="").encode(),
    "escaped for a form": lambda secret: quote_plus(secret).encode(),
    "escaped for JSON": lambda secret: json.dumps({"token": secret}).encode(),
    "as Python shows it": lambda secret: repr([secret]).encode(),
    "hexadecimal": lambda secret: secret.encode().hex().encode(),
    "base64": lambda secret: b64encode(secret.encode()),
    "base64 behind 1 byte": lambda secret: b64encode(b"x" + secret.encode()),
    "base64 behind 2 bytes": lambda secret: b64encode(b"xy" + secret.encode() + b"z"),
    "base64 for URLs": lambda secret: urlsafe_b64encode(b"?" + secret.encode()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, "ya29.a-token-of-googles-kind", b64encode(KEY.secret).decode()])
def test_a_secret_is_known_in_every_form(form: str, secret: str) -> None:
    hidden = b"a line of a log " + FORMS[form](secret) + b" that goes on"
    assert found_in(hidden, frozenset([secret]))
    assert not found_in(b"a line of a log without any", frozenset([secret]))


def test_a_token_that_only_google_and_the_service_know_is_found_by_its_shape() -> None:
    for form, written in FORMS.items():
        if form != "cut at the front":
            assert found_in(written("ya29.sim-accounts2-fresh1"), frozenset()), form


@pytest.fixture
def planted() -> Iterator[None]:
    """A secret is known, and the test plants it; the sweep must be red."""
    CANARIES.begin()
    CANARIES.learn(SECRET)
    yield
    with pytest.raises(AssertionError, match="secrets were left in") as told:
        CANARIES.end()
    assert SECRET[:12] not in str(told.value)


@pytest.mark.usefixtures("planted")
def test_one_in_a_log_is_found(tmp_path: Path) -> None:
    (tmp_path / "service-1.log").write_text(f"request failed: {SECRET}")
    sweep_files(tmp_path)


@pytest.mark.usefixtures("planted")
def test_one_over_the_edge_of_what_is_read_at_once_is_found(tmp_path: Path) -> None:
    (tmp_path / "export.ndjson").write_bytes(bytes(4 * 2**20 - 5) + SECRET.encode())
    sweep_files(tmp_path)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("place", ["store.db", "store.db-wal"])
def test_one_in_a_database_file_or_its_log_is_found(tmp_path: Path, place: str) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE jobs (token TEXT)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO jobs VALUES (?)", (SECRET,))
        if place == "store.db":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert SECRET.encode() in (tmp_path / place).read_bytes()
        sweep_files(tmp_path)


@pytest.mark.usefixtures("planted")
@pytest.mark.postgresql
async def test_one_in_a_row_of_postgresql_is_found(postgresql_database: str) -> None:
    connection = await asyncpg.connect(postgresql_database)
    await connection.execute("CREATE TABLE jobs (note BYTEA)")
    await connection.execute("INSERT INTO jobs VALUES ($1)", SECRET.encode())
    await connection.close()
    sweep_postgresql(postgresql_database)


@pytest.mark.usefixtures("planted")
@pytest.mark.kafka
async def test_one_in_a_message_is_found(kafka_bootstrap_servers: str) -> None:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        await create_topic(kafka_bootstrap_servers, f"{prefix}reviews-raw", partitions=3)
        await send(kafka_bootstrap_servers, f"{prefix}reviews-raw", b"a review", SECRET.encode())
        await sweep_topics(kafka_bootstrap_servers, prefix)


@contextmanager
def child(*arguments: str, **environment: str) -> Iterator[int]:
    """A process that waits for its stdin; its pid once it runs."""
    program = "import sys; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


@pytest.mark.usefixtures("planted")
def test_one_among_the_arguments_of_a_process_is_found() -> None:
    with child(SECRET) as pid:
        sweep_process(pid)


@pytest.mark.usefixtures("planted")
def test_one_in_the_environment_of_a_child_is_found() -> None:
    """What a service was given itself is its operator's affair; what it hands on is not."""
    with child(TOKEN=SECRET):
        sweep_process(os.getpid())


@pytest.mark.usefixtures("planted")
def test_one_in_an_answer_or_a_metric_is_found(tmp_path: Path) -> None:
    CANARIES.search("the answer to GET", [b"{}", json.dumps({"token": SECRET}).encode()])


def test_what_is_sealed_or_sent_is_learned(tmp_path: Path) -> None:
    """A token, a grant's parts, the query of a callback, an API key in a session; a sealing key."""
    grant = {"refresh_token": "1//a-refresh-token", "client_id": "client", "client_secret": "GOCSPX-client-secret"}
    sealed = {
        Purpose.ACCESS_TOKEN: ("some-access-token-of-a-test", "some-access-token-of-a-test"),
        Purpose.GRANT: (json.dumps(grant), grant["refresh_token"]),
        Purpose.CALLBACK: ("https://shop.example/hook?key=a-secret-of-the-shop", "a-secret-of-the-shop"),
        Purpose.SESSION: (json.dumps(["an-api-key-of-somebody", "csrf", 1.0]), "an-api-key-of-somebody"),
    }
    for purpose, (text, secret) in sealed.items():
        with pytest.raises(AssertionError, match=r"log\.txt"):
            seal_and_write(tmp_path, text, purpose, told=secret)
    with pytest.raises(AssertionError, match=r"log\.txt"):
        seal_and_write(tmp_path, "some-other-token-of-a-test", told=f"key {b64encode(KEY.secret).decode()}")
    seal_and_write(tmp_path, "some-other-token-of-a-test", told="nothing of it")


def seal_and_write(directory: Path, text: str, purpose: Purpose = Purpose.ACCESS_TOKEN, *, told: str) -> None:
    with swept(directory):
        TokenSealer([KEY]).seal("default", "job-1", text, purpose)
        (directory / "log.txt").write_text(told)


def test_what_a_request_brings_is_learned() -> None:
    CANARIES.begin()
    CANARIES.learn_request({"X-API-Key": "an-api-key-of-somebody"}, {"access_token": "some-access-token"})
    CANARIES.learn_settings(
        {"API_KEYS": "the-key-of-a-service:submit+read", "TOKEN_SEALING_KEYS": "1:c2VhbGluZyBrZXk="}
    )
    for told in ("an-api-key-of-somebody", "some-access-token", "the-key-of-a-service", "c2VhbGluZyBrZXk="):
        CANARIES.search(told, [told.encode()])
    with pytest.raises(AssertionError) as found:
        CANARIES.end()
    assert str(found.value).count("text") == 4


def test_a_service_that_has_ended_is_not_asked(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    CANARIES.begin()
    Service(process, tmp_path / "log").sweep()
    CANARIES.end()
