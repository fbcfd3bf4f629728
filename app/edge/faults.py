"""What is wrong with the head of a request, by RFC 9112, and what is answered without asking the application."""

from collections.abc import Sequence
from typing import NamedTuple

from app.api.problems import Problem
from app.edge.bounds import LARGEST_HEAD, LONGEST_TARGET, MOST_HEADERS

Headers = Sequence[tuple[bytes, bytes]]


class Fault(NamedTuple):
    """Why a request is not read on, as it is told."""

    kind: str
    status: int
    title: str
    detail: str
    retry_after: str = ""

    def problem(self) -> Problem:
        """The answer; the connection ends with it, because nobody knows where the next request would begin."""
        headers = {"Connection": "close"} | ({"Retry-After": self.retry_after} if self.retry_after else {})
        return Problem(self.kind, self.status, self.title, self.detail, headers=headers)


MALFORMED = Fault("malformed", 400, "Not HTTP", "The request does not follow RFC 9112. Send it by an HTTP library.")
AMBIGUOUS_HOST = Fault("malformed", 400, "No single Host", "The request needs exactly one header Host.")
HEAD_TOO_SLOW = Fault("head-too-slow", 408, "The request came too slowly", "Send it again at once.")
BODY_TOO_SLOW = Fault(
    "body-too-slow", 408, "The body came too slowly", "The body did not arrive in time. Send it again."
)
BODY_TOO_LARGE = Fault("body-too-large", 413, "The body is too large", "Nothing that this API takes is that long.")
TARGET_TOO_LONG = Fault("target-too-long", 414, "The address is too long", "Path and query have at most 8 KiB.")
HEAD_TOO_LARGE = Fault(
    "head-too-large",
    431,
    "The headers are too large",
    "Headers have at most 16 KiB altogether, and there are at most 100.",
)
CODING_UNKNOWN = Fault(
    "transfer-coding-unknown",
    501,
    "Transfer coding unknown",
    "A body is sent with Content-Length, or as chunked alone.",
)
TOO_MANY_CONNECTIONS = Fault(
    "connections-busy", 503, "Too many connections", "This process takes no more just now. Try again soon.", "1"
)
TOO_MANY_PIPELINED = Fault(
    "pipelined-too-far",
    503,
    "Too many requests at once",
    "Wait for answers before sending more by one connection.",
    "1",
)
VERSION_UNKNOWN = Fault("version-unknown", 505, "HTTP version unknown", "The service speaks HTTP/1.1 and HTTP/1.0.")


def fault_of(version: str, target: bytes, headers: Headers) -> Fault | None:
    """What the parser lets through and we do not. `headers` have names in small letters."""
    if version not in ("1.1", "1.0"):
        return VERSION_UNKNOWN
    if len(target) > LONGEST_TARGET:
        return TARGET_TOO_LONG
    if len(headers) > MOST_HEADERS or len(target) + sum(len(n) + len(v) + 4 for n, v in headers) > LARGEST_HEAD:
        return HEAD_TOO_LARGE
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return AMBIGUOUS_HOST
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    return _fault_of_codings(version, codings) if codings else None


def _fault_of_codings(version: str, codings: Sequence[bytes]) -> Fault | None:
    """A coding that one reader knows and the next does not is where requests are smuggled."""
    if version == "1.0":
        return MALFORMED
    return None if [coding.strip().lower() for coding in codings] == [b"chunked"] else CODING_UNKNOWN
