"""Headers that go with every answer."""

from collections.abc import Iterable

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""For answers that are data. A page that needs more sets its own, which stays."""

PAGE_HEADERS = {"permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"}
"""For pages: what none of them ever asks for."""

TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=31536000")
"""Where the client speaks TLS: for a year nothing else. Not for other hosts of the domain, which are not ours."""

_PLAIN_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

Header = tuple[bytes, bytes]


def with_careful_headers(headers: Iterable[Header], request_id: bytes, scheme: str) -> list[Header]:
    """The headers of an answer, completed. `scheme` is the client's, as far as it is known."""
    own = list(headers)
    present = {name for name, _ in own}
    added = [header for header in _PLAIN_HEADERS if header[0] not in present]
    if scheme == "https":
        added.append(TRANSPORT_SECURITY)
    return [*own, *added, (b"x-request-id", request_id)]
