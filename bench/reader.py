"""A consumer of reviews-raw that counts: `python -m bench.reader SERVERS TOPIC COUNT`.

It says `ready` once it reads from the topic's beginning, and `done` when it has so many records that were committed.
"""

import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

SECONDS = 30.0


def main(servers: str, topic: str, count: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    read_all(consumer, int(count))
    sys.stdout.write("done\n")
    consumer.close()


def read_all(consumer: Consumer, count: int) -> None:
    """Returns when `count` records came; SystemExit when none comes for 30 s."""
    seen, heard = 0, time.monotonic()
    while seen < count:
        messages = consumer.consume(1000, 0.05)
        for message in messages:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
        seen += len(messages)
        now = time.monotonic()
        if messages:
            heard = now
        elif now - heard > SECONDS:
            raise SystemExit(f"{seen:,} of {count:,} records came, and then none for {SECONDS:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
