"""A cluster for one measurement, in a place of its own."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from cluster.asking import Answer, ask
from cluster.lifecycle import Places, Tell, alone, down, start, up
from cluster.parts import Part, stages
from cluster.plan import Plan

JOBS = "/api/v1/review-fetch"
ACCEPTED = 202


class Cluster:
    """A cluster that runs, and what one may ask and do while it does."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.parts = [part for stage in stages(plan) for part in stage]
        self._places = Places(directory)

    @property
    def replicas(self) -> list[Part]:
        return [part for part in self.parts if part.name.startswith("replica-")]

    def pid(self, part: Part) -> int:
        """Raises LookupError when it does not run."""
        process = self._places.process(part)
        if process is None or not process.alive:
            raise LookupError(f"{part.name} does not run any more; its log: {self._places.log(part)}")
        return process.pid

    def kill(self, part: Part) -> None:
        process = self._places.process(part)
        if process is not None:
            process.end(Path(self.plan.home), 0.0)

    def start(self, part: Part) -> None:
        """Begin its process again; it is not ready yet."""
        start(part, self._places)

    def submit(self, token: str) -> Answer:
        """Through the proxy."""
        return ask(self.plan.nginx, JOBS, {"access_token": token}, {"X-API-Key": self.plan.api_key})

    def value(self, statement: str) -> Any:
        """The first value of PostgreSQL's answer."""

        async def asked() -> Any:
            connection = await asyncpg.connect(self.plan.database_url)
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(asked())

    def unfinished(self) -> int:
        return int(self.value("SELECT count(*) FROM jobs WHERE status IN ('pending', 'processing')"))

    def fetched(self) -> int:
        """Reviews that were stored."""
        return int(self.value("SELECT coalesce(sum(reviews_fetched), 0)::bigint FROM jobs"))


@contextmanager
def borrowed(settings: Mapping[str, str], tell: Tell) -> Iterator[Cluster]:
    """Ended with everything that belongs to it, also when the body raises; its logs stay when it does."""
    directory = Path(tempfile.mkdtemp(prefix="review-fetcher-cluster-of-its-own-"))
    with alone(directory, tell):
        try:
            yield Cluster(up(directory, settings, tell), directory)
        finally:
            down(directory)
    shutil.rmtree(directory)
