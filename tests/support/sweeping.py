"""The places where a secret could be left, read for `CANARIES`: files, processes, a PostgreSQL, a Kafka."""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
from confluent_kafka import Message

from tests.support.canaries import CANARIES, Search
from tests.support.kafka import all_messages

CHUNK_BYTES = 4 * 2**20

HOLDS_SECRETS = ("sealing.key", "backup.key", ".env")
"""Files that are there to keep them; the second is what docs/operating.md calls the copy of the first."""


def sweep_files(directory: Path, *, but: tuple[str, ...] = ()) -> None:
    """Every file below it: databases with their logs, what processes wrote, exports. `but`: names of a test's own."""
    if not CANARIES.active:
        return
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name not in HOLDS_SECRETS + but:
            CANARIES.search(str(path.relative_to(directory)), _chunks(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def sweep_process(pid: int) -> None:
    """The arguments of the process and of its children, and what these were given to their environment."""
    if not CANARIES.active:
        return
    CANARIES.search("process arguments", [_of_process(pid, "cmdline")])
    for child in _children(pid):
        CANARIES.search("process arguments of a child", [_of_process(child, "cmdline")])
        CANARIES.search("environment of a child", [_of_process(child, "environ")])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in _read(thread).split()]
    return found


def _of_process(pid: int, name: str) -> bytes:
    return _read(Path(f"/proc/{pid}/{name}"))


def _read(path: Path) -> bytes:
    """Nothing of a process that has ended."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def sweep_postgresql(url: str) -> None:
    """Every row of every table, as PostgreSQL dumps it. May be called where a loop runs: it uses one of its own."""
    if CANARIES.active:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _sweep_postgresql(url)).result()


async def _sweep_postgresql(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        for (table,) in tables:
            search = Search(CANARIES, f"table {table}")

            async def take(data: bytes, search: Search = search) -> None:
                search.feed(data)

            await connection.copy_from_table(table, output=take, format="binary")
    finally:
        await connection.close()


async def sweep_topics(bootstrap_servers: str, prefix: str) -> None:
    """Every message of the topics whose names begin with it: keys, values and headers, of aborted transactions too."""
    if CANARIES.active:
        await asyncio.to_thread(_sweep_topics, bootstrap_servers, prefix)


def _sweep_topics(bootstrap_servers: str, prefix: str) -> None:
    for topic, messages in all_messages(bootstrap_servers, prefix):
        CANARIES.search(f"topic {topic.removeprefix(prefix)}", _batches(messages))


def _batches(messages: Iterable[Message]) -> Iterator[bytes]:
    batch = bytearray()
    for message in messages:
        batch += b"\n".join((message.key() or b"", message.value() or b"", repr(message.headers()).encode(), b""))
        if len(batch) > CHUNK_BYTES:
            yield bytes(batch)
            batch.clear()
    yield bytes(batch)
