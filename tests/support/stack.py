"""What a service stands on in a flow: SQLite and its own broker, or a real PostgreSQL and a real Kafka."""

import asyncio
import base64
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr

from app.config.groups import KafkaConfig
from app.models.events import Topic
from tests.support.kafka import read

SEALING_KEY = "test:" + base64.b64encode(bytes(range(100, 132))).decode()

Record = tuple[str, str, str]
"""A job, a location's name, a review's id."""


@dataclass(frozen=True, slots=True)
class Stack:
    """`directory` for files, `settings` for a service, and whether it works over Kafka."""

    directory: Path
    settings: dict[str, Any] = field(repr=False)
    kafka: KafkaConfig | None = None

    @classmethod
    def on_sqlite(cls, directory: Path) -> "Stack":
        return cls(directory, {"database_url": SecretStr(f"sqlite:///{directory}/reviews.db")})

    @classmethod
    def on_servers(cls, directory: Path, database_url: str, kafka: KafkaConfig) -> "Stack":
        settings = {
            "database_url": SecretStr(database_url),
            "kafka": kafka,
            "token_sealing_keys": (SecretStr(SEALING_KEY),),
        }
        return cls(directory, settings, kafka)

    @property
    def environment(self) -> dict[str, str]:
        """The same settings for a process."""
        if self.kafka is None:
            return {"DATABASE_URL": self.settings["database_url"].get_secret_value()}
        return {
            "DATABASE_URL": self.settings["database_url"].get_secret_value(),
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(self.kafka.bootstrap_servers),
            "KAFKA_TOPIC_PREFIX": self.kafka.topic_prefix,
            "KAFKA_TOPIC_PARTITIONS": str(self.kafka.topic_partitions),
            "TOKEN_SEALING_KEYS": SEALING_KEY,
        }

    async def anything_waits(self) -> bool:
        """Whether the outbox holds something."""
        return bool(await self._query("SELECT 1 FROM outbox LIMIT 1"))

    async def assert_each_review_published_once(self) -> None:
        """What a `read_committed` consumer of reviews-raw gets is what the store has. Nothing to show without Kafka."""
        if self.kafka is not None:
            rows, records = await self._rows(), await self._records(self.kafka)
            lost, surplus = rows - records, records - rows
            assert not lost, f"{lost.total()} of {rows.total()} lost, among them {next(iter(lost))}"
            assert not surplus, f"{surplus.total()} doubled or invented, among them {next(iter(surplus))}"

    async def all_rows(self) -> bytes:
        """Every row of every table, as text; binary columns as they are."""
        tables = await self._query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        rows = [row for (table,) in tables for row in await self._query(f'SELECT * FROM "{table}"')]  # noqa: S608
        cells = (cell for row in rows for cell in row.values())
        return b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)

    async def all_messages(self, topic: Topic) -> bytes:
        """Keys, values and headers of every message."""
        assert self.kafka is not None
        messages = await read(",".join(self.kafka.bootstrap_servers), self.kafka.topic_prefix + topic)
        parts = [part or b"" for message in messages for part in (message.key(), message.value())]
        headers = [repr(message.headers()).encode() for message in messages]
        return b"\n".join(parts + headers)

    def held_tasks(self, job_id: str) -> int:
        """How many tasks of the job are in hand or on their way. Blocks."""
        query = "SELECT count(*) FROM tasks WHERE status IN ('released', 'held') AND job_id = "
        if self.kafka is not None:
            return int(asyncio.run(self._query(f"{query} $1", job_id))[0][0])
        with closing(sqlite3.connect(f"file:{self.directory / 'reviews.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"{query} ?", (job_id,)).fetchone()[0])

    async def _records(self, kafka: KafkaConfig) -> Counter[Record]:
        messages = await read(",".join(kafka.bootstrap_servers), kafka.topic_prefix + Topic.REVIEWS_RAW)
        reviews = (json.loads(message.value() or b"")["message"] for message in messages)
        return Counter((review["job_id"], review["location"], review["review_id"]) for review in reviews)

    async def _rows(self) -> Counter[Record]:
        rows = await self._query(
            "SELECT locations.job_id, location, review_id FROM reviews JOIN locations ON no = location_no"
        )
        return Counter((row[0], row[1], row[2]) for row in rows)

    async def _query(self, query: str, *values: Any) -> list[Any]:
        connection = await asyncpg.connect(self.settings["database_url"].get_secret_value())
        try:
            return list(await connection.fetch(query, *values))
        finally:
            await connection.close()
