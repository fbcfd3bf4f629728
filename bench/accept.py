"""How many durable 202s one process gives a second: `python -m bench.accept`.

A real uvicorn (uvloop, httptools) over a SQLite file with `synchronous=FULL` answers POSTs of 64 keep-alive
connections, which come from a second process: bare sockets, so that the client costs little of the machine.
"""

import argparse
import asyncio
import json
import os
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

import uvicorn
import uvloop

from app.api.application import create_api
from app.api.authenticator import Authenticator
from app.api.key_desk import KeyDesk
from app.api.schemas import Readiness
from app.api.service import APIService
from app.api.services import ApiServices, set_services
from app.clock import SystemClock
from app.credentials import KEY_BYTES, SealingKey, TokenSealer
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.limits.views import BudgetView
from app.models.access import Scope
from app.models.overview import SettingList
from app.pipeline.control import JobControl
from app.results.audit import AuditLog
from app.results.dead_letters import DeadLetters
from app.results.erasures import Erasures
from app.results.events import JobEvents
from app.results.export import Export
from app.results.overview import Overviews
from app.results.progress import Progress
from app.store.keys import create_key
from app.store.migrate import migrate
from app.store.sqlite import SqliteDatabase
from app.telemetry.logging import configure_logging
from app.webhooks.desk import Webhooks
from app.webhooks.signing import WebhookSigner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        uvloop.run(_client(options.client, options.connections, options.requests))
        return
    with tempfile.TemporaryDirectory() as directory, Path(os.devnull).open("w") as nowhere:
        configure_logging(stream=nowhere)
        uvloop.run(_serve(Path(directory), options.connections, options.requests))


async def _serve(directory: Path, connections: int, requests: int) -> None:
    database = SqliteDatabase(directory / "accept.db", exclusive=True)
    await database.start()
    await database.write(migrate)
    _, key = await database.write(create_key, "default", "bench", [Scope.SUBMIT])
    buffer = BoundedDequeBuffer[Arrival](10_000)
    committer = Committer(buffer, database, committed=_nobody)
    loop = asyncio.create_task(committer.run())
    app = create_api(version="0")
    set_services(app, _services(database, buffer, committer))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(app, access_log=False, log_level="warning", http="httptools", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    address = f"127.0.0.1:{listening.getsockname()[1]}:{key}"
    cpu = time.process_time()
    rate = await _run_client(address, connections, requests)
    cpu = (time.process_time() - cpu) / requests
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{rate:,.0f} POST/s · {cpu * 1e6:.0f} µs CPU each · peak {peak:.0f} MB · {connections} connections")
    server.should_exit = True
    await serving
    await committer.stop()
    loop.cancel()
    await database.close()


async def _run_client(address: str, connections: int, requests: int) -> float:
    """A second process; the rate that it saw."""
    arguments = ["--client", address, "--connections", str(connections), "--requests", str(requests)]
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.accept", *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await client.communicate()
    return float(said)


async def _client(address: str, connections: int, requests: int) -> None:
    host, port, key = address.split(":", 2)
    body = json.dumps({"access_token": "ya29." + "x" * 200}).encode()
    request = (
        f"POST /api/v1/review-fetch HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    streams = [await asyncio.open_connection(host, int(port)) for _ in range(connections)]
    await asyncio.gather(*(_post(stream, request, 10) for stream in streams))
    each = requests // connections
    start = time.perf_counter()
    await asyncio.gather(*(_post(stream, request, each) for stream in streams))
    print(each * connections / (time.perf_counter() - start))


async def _post(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes, count: int) -> None:
    reader, writer = stream
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))


def _services(database: SqliteDatabase, buffer: BoundedDequeBuffer[Arrival], committer: Committer) -> ApiServices:
    control = JobControl(database, _nobody)
    key = SealingKey("bench", b"k" * KEY_BYTES)
    progress = Progress(database)
    return ApiServices(
        api_service=APIService(buffer, committer, TokenSealer([key]), control),
        authenticator=Authenticator(database),
        keys=KeyDesk(database),
        progress=progress,
        events=JobEvents(progress, SystemClock()),
        overviews=Overviews(database, publishes=False),
        export=Export(database),
        dead_letters=DeadLetters(database, _nobody),
        erasures=Erasures(database),
        job_control=control,
        webhooks=Webhooks(database, WebhookSigner([key])),
        audit=AuditLog(database, SystemClock()),
        quota=_no_quota,
        settings=SettingList(settings=[]),
        readiness=_ready,
        metrics_text=_no_metrics,
    )


async def _no_quota() -> list[BudgetView]:
    return []


async def _ready() -> Readiness:
    return Readiness(ready=True, checks={})


async def _no_metrics() -> bytes:
    return b""


def _nobody() -> None:
    """Nobody waits to be woken."""


if __name__ == "__main__":
    main()
