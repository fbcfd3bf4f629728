"""A `read_committed` reader of reviews-raw, as a customer runs one: `python -m chaos.reader SERVERS TOPIC FILE`.

A process of its own with nothing of the service in it. For each record it adds a line to FILE: when it came (seconds
of the machine's monotonic clock), partition, offset, job id, location, review id. Where it has reached the end of a
partition it says so: `# end`, partition, the end's offset. It reads from the beginning until SIGTERM, and goes on by
itself when Kafka comes back.
"""

import signal
import sys
import time
from pathlib import Path
from threading import Event
from typing import IO, Any

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

BATCH = 500
POLL_SECONDS = 0.1
TOPIC_SECONDS = 60.0
END = "# end"


class Review(msgspec.Struct):
    """What is taken from a message of reviews-raw."""

    job_id: str
    location: str
    review_id: str


class Envelope(msgspec.Struct):
    """What a message travels in."""

    message: Review


UNREADABLE = Review("unreadable", "", "")
"""Stands for a message that is none of reviews-raw: the verdict counts it as one too many."""


def main(servers: str, topic: str, file: str) -> None:
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    consumer = Consumer(settings(servers))
    try:
        assign(consumer, topic)
        with Path(file).open("a", encoding="utf-8", buffering=1) as lines:
            lines.write("# reading\n")
            while not stop.is_set():
                write(lines, consumer.consume(BATCH, POLL_SECONDS))
    finally:
        consumer.close()


def settings(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "group.id": "chaos-reader",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "reconnect.backoff.max.ms": 500,
        "log_level": 2,
    }


def assign(consumer: Consumer, topic: str) -> None:
    """All partitions from their beginning: without a group, so that no rebalance holds it up."""
    deadline = time.monotonic() + TOPIC_SECONDS
    while not (partitions := consumer.list_topics(topic, timeout=10).topics[topic].partitions):
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic} does not exist after {TOPIC_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])


def write(lines: IO[str], messages: list[Message]) -> None:
    now = time.monotonic()
    text = [line(now, message) for message in messages if message.error() is None]
    text += [end_line(message) for message in messages if is_end(message.error())]
    if text:
        lines.write("".join(text))
        lines.flush()


def line(now: float, message: Message) -> str:
    try:
        review = msgspec.json.decode(message.value() or b"", type=Envelope).message
    except msgspec.MsgspecError:
        review = UNREADABLE
    place = f"{now:.3f}\t{message.partition()}\t{message.offset()}"
    return f"{place}\t{review.job_id}\t{review.location}\t{review.review_id}\n"


def is_end(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def end_line(message: Message) -> str:
    return f"{END}\t{message.partition()}\t{message.offset()}\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
