"""A database and topics of one run's own on the PostgreSQL and Kafka of `make services`."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from app.config import KafkaConfig
from tests.support.kafka import own_topics
from tests.support.services import fresh_database
from tests.support.stack import Stack

DATABASE = "DATABASE_URL"
KAFKA = "KAFKA_BOOTSTRAP_SERVERS"
SERVICES = Path(__file__).resolve().parents[1] / "scripts" / "services.py"


def located() -> dict[str, str]:
    """DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS of the environment, else of the services that run here; may be empty."""
    if DATABASE in os.environ and KAFKA in os.environ:
        return {name: os.environ[name] for name in (DATABASE, KAFKA)}
    said = subprocess.run([sys.executable, str(SERVICES), "env"], capture_output=True, text=True, check=True).stdout
    settings = dict(line.split("=", 1) for line in said.split())
    return settings if settings.keys() == {DATABASE, KAFKA} else {}


@asynccontextmanager
async def place(directory: Path, partitions: int = 6) -> AsyncIterator[Stack]:
    """Where a service can run; dropped afterwards. Ends the program with what to do when there are no servers."""
    servers = located()
    if not servers:
        raise SystemExit("There is no PostgreSQL and no Kafka to measure with: start them with `make services`.")
    with fresh_database(servers[DATABASE]) as database:
        async with own_topics(servers[KAFKA]) as prefix:
            kafka = KafkaConfig(bootstrap_servers=(servers[KAFKA],), topic_prefix=prefix, topic_partitions=partitions)
            yield Stack.on_servers(directory, database, kafka)


@contextmanager
def reader(servers: str, topic: str, count: int) -> Iterator["subprocess.Popen[str]"]:
    """A consumer in a process of its own, reading before anything is sent."""
    command = [sys.executable, "-m", "bench.reader", servers, topic, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


async def done(process: "subprocess.Popen[str]") -> None:
    """Returns when the reader has everything."""
    assert process.stdout is not None
    said = await asyncio.to_thread(process.stdout.readline)
    if said != "done\n":
        raise SystemExit("the reader ended without having read everything")
