"""Headers whose names are no text, of messages that a real client read from librdkafka's own mock of a cluster.

In a process of its own: what must not happen is its end.
"""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

PROGRAM = """
import sys
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from app.broker.poison import traceparent_of
from tests.support.librdkafka import produce_with_header_name

NAME, CONTEXT = "fetch-reviews", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
producer = Producer({"test.mock.num.brokers": 1})
(broker,) = producer.list_topics(timeout=10).brokers.values()
for kind in sys.argv[1:]:
    if kind == "bad":
        produce_with_header_name(producer, NAME, b"bad", b"\\xff")
    else:
        producer.produce(NAME, b"good", headers={"traceparent": CONTEXT} if kind == "context" else None)
assert producer.flush(10) == 0
address = f"{broker.host}:{broker.port}"
consumer = Consumer({"bootstrap.servers": address, "group.id": "g"})
partitions = producer.list_topics(NAME, timeout=10).topics[NAME].partitions
consumer.assign([TopicPartition(NAME, number, OFFSET_BEGINNING) for number in partitions])
read = 0
while read < len(sys.argv) - 1:
    message = consumer.poll(10)
    if message is not None and message.error() is None:
        read += 1
        print(message.value().decode(), traceparent_of(message))
"""


@pytest.mark.parametrize("before", ["none", "context", "bad"])
def test_names_that_are_no_text_do_not_end_the_process(before: str) -> None:
    """CPython looks less closely at a call that has run often: so there are many before, of each kind."""
    kinds = [before] * 100 + ["bad"] * 20 + ["context"]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *kinds], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    found = ended.stdout.splitlines()
    assert found.count("bad None") == kinds.count("bad")
    assert sum(line.startswith("good 00-") for line in found) == kinds.count("context")
