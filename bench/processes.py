"""Real processes of the service on the servers of `make services`, for what only processes can show."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.servers import place
from tests.support.service import Site, site


@contextmanager
def replicas_site(google: str, partitions: int = 12, **settings: str) -> Iterator[Site]:
    """A place for replicas that ask the Google at this URL: a database and topics of their own, dropped afterwards."""
    with ExitStack() as undo:
        directory = Path(undo.enter_context(tempfile.TemporaryDirectory()))
        runner = undo.enter_context(asyncio.Runner())
        servers = place(directory, partitions)
        stack = runner.run(servers.__aenter__())
        undo.callback(lambda: runner.run(servers.__aexit__(None, None, None)))
        yield undo.enter_context(site(directory, google, **stack.environment, **settings))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, as Linux counts it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
