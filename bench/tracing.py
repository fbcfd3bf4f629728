"""What traces cost, as ratios within one run: `python -m bench.tracing [--rounds 7]`.

One service walks the same job again and again: untraced, with a trace that is not recorded, and with one that is. The
collector and the simulated Google are other processes. CPU of the service's process, its exporting thread included.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import uvloop

from app.config import load_settings
from app.lifecycle import calm_garbage_collector
from app.state import AppState
from app.telemetry import tracing
from app.telemetry.logging import configure_logging
from app.telemetry.otlp import OtlpTracer
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks
from bench.measure import scratch
from bench.ours import UNLIMITED, fetch
from tests.support.simulator import simulator_process

UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
SAMPLED = UNSAMPLED[:-1] + "1"
MODES = {"off": None, "not recorded": UNSAMPLED, "recorded": SAMPLED}
WORLD = ("--accounts", "1", "--locations", "40", "--reviews", "500")
RATIO = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="jobs of each kind (default: %(default)s)")
    parser.add_argument("--collector", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collector:
        _collect()
        return
    configure_logging(level="WARNING")
    with simulator_process(*WORLD) as google, _collector() as endpoint, tempfile.TemporaryDirectory() as directory:
        uvloop.run(_measure(google, endpoint, directory, options.rounds))


async def _measure(google: str, endpoint: str, directory: str, rounds: int) -> None:
    settings = load_settings(
        _env_file=None,
        database_url=f"sqlite:///{scratch(directory)}/store.db",
        google_api_base_url=google,
        rate_limit=UNLIMITED,
        tracing={"exporter_otlp_endpoint": endpoint, "bsp_max_queue_size": 100_000},
    )
    state = await initialize_components(settings)
    await start_background_tasks(state)
    calm_garbage_collector()
    spent: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(rounds + 1):
        for mode, traceparent in MODES.items():
            cpu = await _walk(state, traceparent)
            if number:  # the first round warms up
                spent[mode].append(cpu)
    await shutdown_background_tasks(state)
    _tell(spent)


async def _walk(state: AppState, traceparent: str | None) -> float:
    """CPU seconds per 1,000 reviews of one job."""
    tracer = state.tracer if traceparent else None
    tracing.install(tracer)
    began = time.process_time()
    with tracing.server_span("POST", traceparent, {}):
        job = await fetch(state)
    if isinstance(tracer, OtlpTracer):
        await asyncio.to_thread(tracer.flush)
    return 1000 * (time.process_time() - began) / job.progress.reviews.fetched


def _tell(spent: dict[str, list[float]]) -> None:
    middle = {mode: statistics.median(values) for mode, values in spent.items()}
    for mode, seconds in middle.items():
        print(f"{mode:13} {seconds * 1000:6.1f} ms CPU per 1,000 reviews · {seconds / middle['off']:.3f} ×")
    mixed = (1 - RATIO) * middle["not recorded"] + RATIO * middle["recorded"]
    print(f"{RATIO:.0%} of jobs   {mixed * 1000:6.1f} ms CPU per 1,000 reviews · {mixed / middle['off']:.3f} ×")


@contextmanager
def _collector() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.tracing", "--collector"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("no output of the collector")
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _collect() -> None:
    """Takes everything and keeps nothing."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
