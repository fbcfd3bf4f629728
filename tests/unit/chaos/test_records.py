"""What the reader wrote down is read while it is still being written."""

from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message

from chaos.reader import line, write
from chaos.records import Records


class Arrived:
    """As much of a Kafka message as the reader looks at."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7


def arrived(value: bytes) -> Message:
    message: Any = Arrived(value)
    return message  # type: ignore[no-any-return]


def test_records_are_found_by_job_as_often_as_they_came(tmp_path: Path) -> None:
    written = tmp_path / "records.tsv"
    review = b'{"type": "review", "job_id": "j", "location": "locations/1", "review_id": "r", "raw": {}}'
    value = b'{"topic": "reviews-raw", "message": ' + review + b"}"
    written.write_text("# reading\n" + line(1.5, arrived(value)) * 2)
    records = Records(written)
    assert records.look() == 2
    assert records.of("j") == [("locations/1", "r")] * 2
    assert (records.times, records.jobs, records.of("other")) == ([1.5, 1.5], {"j"}, [])


def test_a_line_that_is_half_written_is_read_later(tmp_path: Path) -> None:
    written = tmp_path / "records.tsv"
    written.write_text("1.0\t0\t0\tj\tlocations/1\ta\n2.0\t0\t1\tj\tloc")
    records = Records(written)
    assert records.look() == 1
    with written.open("a") as more:
        more.write("ations/1\tb\n")
    assert records.look() == 2
    assert records.of("j") == [("locations/1", "a"), ("locations/1", "b")]


class Ended(Arrived):
    """What the client says at the end of a partition."""

    def error(self) -> KafkaError:
        return KafkaError(KafkaError._PARTITION_EOF)


def test_how_far_each_partition_was_read_is_known(tmp_path: Path) -> None:
    written = tmp_path / "records.tsv"
    ended: Any = Ended(b"")
    with written.open("w") as lines:
        write(lines, [ended])
    records = Records(written)
    assert records.look() == 0
    assert records.short_of({3: 7, 4: 0}) == []
    assert records.short_of({3: 8, 4: 1, 5: 1}) == [3, 4, 5]


def test_a_message_that_is_no_review_is_remembered_as_one_too_many(tmp_path: Path) -> None:
    written = tmp_path / "records.tsv"
    written.write_text(line(1.0, arrived(b"not json")))
    records = Records(written)
    records.look()
    assert records.jobs == {"unreadable"}
