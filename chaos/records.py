"""What the reader has written down so far."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.checks import Review
from chaos.servers import PROJECT
from tests.support.service import eventually

READY_SECONDS = 60.0


class Records:
    """The reader's file, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.times: list[float] = []
        self._by_job: defaultdict[str, list[Review]] = defaultdict(list)

    def look(self) -> int:
        """How many records there are by now."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            if not line.startswith("#"):
                self._take(line)
        return len(self.times)

    def of(self, job_id: str) -> list[Review]:
        """Each record of the job, as often as it came."""
        return self._by_job[job_id]

    @property
    def jobs(self) -> set[str]:
        return {job for job, found in self._by_job.items() if found}

    def _take(self, line: str) -> None:
        time, _partition, _offset, job, location, review_id = line.split("\t")
        self.times.append(float(time))
        self._by_job[sys.intern(job)].append((sys.intern(location), review_id))


@contextmanager
def reading(servers: str, topic: str, directory: Path) -> Iterator[Records]:
    """A reader process that has its place on every partition; ended on leaving."""
    path = directory / "records.tsv"
    log = directory / "reader.log"
    command = [sys.executable, "-m", "chaos.reader", servers, topic, str(path)]
    with log.open("wb") as output, subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output) as process:
        try:

            def is_reading() -> bool:
                assert process.poll() is None, f"the reader ended: {log}"
                return path.exists() and path.stat().st_size > 0

            eventually(is_reading, READY_SECONDS, f"the reader's start: {log}")
            yield Records(path)
        finally:
            process.terminate()
            process.wait(READY_SECONDS)
