"""What the reader has written down so far."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from chaos.checks import Review
from chaos.reader import END
from chaos.servers import PROJECT
from tests.support.service import eventually

READY_SECONDS = 60.0
ANSWER_SECONDS = 20.0

Ends = Mapping[int, int]
"""Partition → the offset behind its last message."""


class Records:
    """The reader's file, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.times: list[float] = []
        self._reached: dict[int, int] = {}
        self._by_job: defaultdict[str, list[Review]] = defaultdict(list)

    def look(self) -> int:
        """How many records there are by now."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            if line.startswith(END):
                _, partition, offset = line.split("\t")
                self._reached[int(partition)] = int(offset)
            elif not line.startswith("#"):
                self._take(line)
        return len(self.times)

    def short_of(self, ends: Ends) -> list[int]:
        """The partitions that were not read as far."""
        return sorted(number for number, end in ends.items() if self._reached.get(number, 0) < end)

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


def ends_of(servers: str, topic: str) -> Callable[[], Ends]:
    """Asks Kafka where the topic ends now, whether it is committed or not. TimeoutError when it does not say."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})

    def ask() -> Ends:
        try:
            partitions = admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = {TopicPartition(topic, number): latest for number in partitions}
            answers = admin.list_offsets(asked, request_timeout=ANSWER_SECONDS)
            return {place.partition: answer.result(ANSWER_SECONDS).offset for place, answer in answers.items()}
        except KafkaException as error:
            raise TimeoutError(f"Kafka does not say where {topic} ends: {error}") from error

    return ask


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
