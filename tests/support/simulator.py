"""The simulated Google for tests: in the test's own loop, or as a process of its own."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.request import Request, urlopen

from app.simulator import Catalogue, Faults, Simulator

_READY_WITHIN = 30.0


@asynccontextmanager
async def running_simulator(
    catalogue: Catalogue | None = None, faults: Faults | None = None, **options: Any
) -> AsyncIterator[Simulator]:
    """A simulator in this loop, on a free port of the loopback; `options` go to its constructor."""
    async with Simulator(catalogue or Catalogue(), faults or Faults(), **options) as simulator:
        yield simulator


@contextmanager
def simulator_process(*options: str) -> Iterator[str]:
    """The URL of a simulator started as `python -m app.simulator --port 0 …`; ended on leaving."""
    command = [sys.executable, "-m", "app.simulator", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
            process.wait(_READY_WITHIN)


def control(url: str, method: str, path: str, body: Any = None) -> Any:
    """Calls `/_sim/{path}` and gives the JSON of the answer. Blocks: for tests of processes."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{url}/_sim/{path}", data=data, method=method)  # noqa: S310 (a loopback URL)
    with urlopen(request, timeout=_READY_WITHIN * 3) as answer:  # noqa: S310
        return json.load(answer)
