"""What docs/operating.md tells to type does what it says: backup, restore, and the move to PostgreSQL and Kafka."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.config.groups import KafkaConfig
from tests.support.kafka import own_topics
from tests.support.markdown import Command
from tests.support.replicas import published
from tests.support.service import eventually
from tests.support.stack import Stack
from tests.support.transcripts import (
    PROJECT,
    make_checkout,
    run_commands,
    run_script,
    running_server,
    typed_beside,
)

PAGE = PROJECT / "docs/operating.md"

WHILE_RUNNING = ("Is it well?", "Backup", "Look, mend, try again", "Who did what")
DOCUMENTED_DATABASE = "postgresql://review_fetcher@127.0.0.1:5432/review_fetcher"
DOCUMENTED_KAFKA = "127.0.0.1:9092"

SUBMIT_AND_WAIT = """
API=http://127.0.0.1:8000/api/v1
curl -sf $API/review-fetch -H 'Content-Type: application/json' -d '{"access_token": "ya29.some-token"}' > job.json
JOB=$(sed 's/.*"job_id":"\\([^"]*\\)".*/\\1/' job.json)
until curl -sf $API/review-fetch/$JOB | grep -q '"status":"completed"'; do sleep 0.2; done
"""

COUNT = """
API=http://127.0.0.1:8000/api/v1
JOB=$(curl -sf $API/review-fetch | sed 's/.*"job_id":"\\([^"]*\\)".*/\\1/')
curl -sf $API/review-fetch | grep -o job_id | wc -l
curl -sf "$API/review-fetch/$JOB/reviews?format=ndjson" | wc -l
"""


def test_a_backup_taken_beside_the_running_service_is_restored_whole(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    while_running = [command for heading in WHILE_RUNNING for command in commands_of(heading)]
    with running_server(directory) as server:
        run_script(SUBMIT_AND_WAIT, directory, server)
        run_commands(while_running, directory, server)
        run_script(SUBMIT_AND_WAIT, directory, server)
    *_, listed = run_commands(commands_of("Restore"), directory)
    with running_server(directory) as server:
        jobs, reviews = run_script(COUNT, directory, server).split()
    assert listed.count("completed") == int(jobs) == 1
    assert int(reviews) == 2000


@pytest.fixture
async def elsewhere(postgresql_database: str, kafka_bootstrap_servers: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """Where a store is moved to."""
    async with own_topics(kafka_bootstrap_servers) as prefix:
        kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=prefix, topic_partitions=2)
        yield Stack.on_servers(tmp_path, postgresql_database, kafka)


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_a_store_is_moved_to_postgresql_and_kafka_and_its_reviews_are_there(elsewhere: Stack) -> None:
    def move() -> None:
        directory = make_checkout(elsewhere.directory)
        with running_server(directory) as server:
            run_script(SUBMIT_AND_WAIT, directory, server)
        shared = {name: value for name, value in elsewhere.environment.items() if name.startswith("KAFKA_TOPIC")}
        (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in shared.items()))
        *_, examined, _ = run_commands(of_these(elsewhere, commands_of("From SQLite to PostgreSQL")), directory)
        assert "answers; to be made at the next start" in examined
        with running_server(directory) as server:
            jobs, reviews = run_script(COUNT, directory, server).split()
            eventually(lambda: published(elsewhere), 60, "an empty outbox")
        assert (int(jobs), int(reviews)) == (1, 2000)

    await asyncio.to_thread(move)
    await elsewhere.assert_each_review_published_once()


def of_these(stack: Stack, commands: list[Command]) -> list[Command]:
    """The commands with the addresses of these servers."""
    url, kafka = stack.environment["DATABASE_URL"], stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    return [
        replace(command, text=command.text.replace(DOCUMENTED_DATABASE, url).replace(DOCUMENTED_KAFKA, kafka))
        for command in commands
    ]


def commands_of(heading: str) -> list[Command]:
    """Those of a section, without how the service is started."""
    lines = PAGE.read_text().splitlines()
    start = next(number for number, line in enumerate(lines, 1) if line.lstrip("#") == f" {heading}")
    end = next(number for number in range(start + 1, len(lines) + 1) if lines[number - 1].startswith(("## ", "### ")))
    typed = [shown.command for shown in typed_beside(PAGE)]
    return [command for command in typed if start < command.line < end]


def test_a_key_is_made_and_rotated(tmp_path: Path) -> None:
    *_, before, _, after = run_commands([*commands_of("API keys"), *commands_of("Rotate")], make_checkout(tmp_path))
    assert [before.count("for the import"), after.count("for the import")] == [1, 2]
    assert after.count("expires_soon") == 1


def test_a_tenant_is_set_and_shown(tmp_path: Path) -> None:
    *_, shown, _ = run_commands([*commands_of("API keys"), *commands_of("Tenants")], make_checkout(tmp_path))
    assert [line.split()[-1] for line in shown.splitlines()[1:5]] == ["acme", "3", "100", "60"]


def test_every_section_with_commands_is_run_here() -> None:
    run = [
        command
        for heading in (*WHILE_RUNNING, "Restore", "API keys", "Rotate", "Tenants", "From SQLite to PostgreSQL")
        for command in commands_of(heading)
    ]
    typed = [shown.command for shown in typed_beside(PAGE)]
    assert sorted(run, key=lambda command: command.line) == typed
