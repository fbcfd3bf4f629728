"""What librdkafka can do and confluent-kafka does not offer: its own functions, called on a producer's handle."""

import ctypes
from functools import cache
from pathlib import Path

import confluent_kafka
from confluent_kafka import KafkaError, Producer

HANDLE_AT = ctypes.sizeof(ctypes.c_ssize_t) + ctypes.sizeof(ctypes.c_void_p)
"""Behind the head of the Python object stands the `rd_kafka_t *`: `Handle` in confluent_kafka.h."""

_END, _TOPIC, _VALUE, _MSGFLAGS, _HEADER = 0, 1, 4, 7, 9
_COPY = 2
"""`rd_kafka_vtype_t` and RD_KAFKA_MSG_F_COPY of rdkafka.h."""


@cache
def _library() -> ctypes.CDLL:
    (found,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*.so*")
    return ctypes.CDLL(str(found))


def _handle(producer: Producer) -> ctypes.c_void_p:
    return ctypes.c_void_p.from_address(id(producer) + HANDLE_AT)


def fail_for_good(producer: Producer) -> None:
    """As when a broker has lost the end of its log: an idempotent producer never sends again."""
    inject = _library().rd_kafka_test_fatal_error
    inject.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    assert inject(_handle(producer), KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"injected") == 0


def produce_with_header_name(producer: Producer, topic: str, value: bytes, name: bytes) -> None:
    """A header whose name is any bytes but zero: Kafka looks at none of them."""
    arguments = (
        *(_handle(producer), ctypes.c_int(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(_MSGFLAGS), ctypes.c_int(_COPY)),
        *(ctypes.c_int(_HEADER), ctypes.c_char_p(name), ctypes.c_char_p(b"any"), ctypes.c_ssize_t(3)),
        ctypes.c_int(_END),
    )
    assert _library().rd_kafka_producev(*arguments) == 0
