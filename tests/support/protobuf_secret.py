"""A Secret as Helm sends its own records: in protobuf. Field numbers are those of k8s.io/api's generated.proto."""

import base64
from collections.abc import Iterator
from typing import Any

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"


def secret(content: bytes) -> dict[str, Any]:
    """What the same Secret would be in JSON, as far as Helm's records go."""
    (raw,) = _values(content.removeprefix(MAGIC), 2)
    (metadata,) = _values(raw, 1)
    data = dict(_entry(one) for one in _values(raw, 2))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _text(metadata, 1), "labels": _labels(metadata)},
        "type": _text(raw, 3),
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def _labels(metadata: bytes) -> dict[str, str]:
    return {name: value.decode() for name, value in (_entry(one) for one in _values(metadata, 11))}


def _entry(message: bytes) -> tuple[str, bytes]:
    """Of a map: its key and its value."""
    return _text(message, 1), next(_values(message, 2), b"")


def _text(message: bytes, number: int) -> str:
    return next(_values(message, number), b"").decode()


def _values(message: bytes, number: int) -> Iterator[bytes]:
    """The values of a field that have a length; others are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 2:
            length, at = _varint(message, at)
            if tag >> 3 == number:
                yield message[at : at + length]
            at += length
        else:
            _, at = _varint(message, at)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
