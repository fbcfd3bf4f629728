"""The simulator alone, until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable

import uvloop

from app.simulator.catalogue import Catalogue
from app.simulator.faults import Faults
from app.simulator.server import LEDGER_CALLS, PAGE_CACHE_BYTES, Simulator


def run_simulator(
    catalogue: Catalogue,
    faults: Faults,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], object] = print,
    *,
    page_cache_bytes: int = PAGE_CACHE_BYTES,
    ledger_calls: int = LEDGER_CALLS,
) -> None:
    """Serves until SIGTERM or SIGINT; `ready` gets the URL once it answers. Raises OSError when the port is taken."""
    simulator = Simulator(catalogue, faults, host, port, page_cache_bytes=page_cache_bytes, ledger_calls=ledger_calls)
    uvloop.run(_serve(simulator, ready))


async def _serve(simulator: Simulator, ready: Callable[[str], object]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with simulator:
        ready(simulator.url)
        await stop.wait()
