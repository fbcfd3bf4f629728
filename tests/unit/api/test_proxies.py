"""Whose word counts about who calls (ASVS 5.0 V4: headers that intermediaries set)."""

from ipaddress import ip_network
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from app.api.proxies import ProxyHeaders, TrustedProxies

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
INNER, OUTER = "10.0.0.1", "10.0.0.2"


async def seen(
    headers: list[tuple[str, str]], *, peer: str | None = INNER, kind: ProxyHeaders = "x-forwarded"
) -> tuple[Any, str]:
    """The client's address and the scheme that the application is told."""
    told: list[Scope] = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        told.append(scope)

    scope = {
        "type": "http",
        "client": peer and (peer, 4711),
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    await TrustedProxies(application, PROXIES, kind)(scope, None, None)  # type: ignore[arg-type] # not called here
    client = told[0]["client"]
    return client and client[0], told[0]["scheme"]


FOR, PROTO, STANDARD = "x-forwarded-for", "x-forwarded-proto", "forwarded"

X_FORWARDED = {
    "one": ([(FOR, "203.0.113.9"), (PROTO, "https")], ("203.0.113.9", "https")),
    "nothing": ([], (INNER, "http")),
    "what the client claimed first": ([(FOR, "127.0.0.1, 203.0.113.9")], ("203.0.113.9", "http")),
    "a claim in a line of its own": ([(FOR, "127.0.0.1"), (FOR, "203.0.113.9")], ("203.0.113.9", "http")),
    "through a second proxy": ([(FOR, f"127.0.0.1, 203.0.113.9, {OUTER}")], ("203.0.113.9", "http")),
    "through more than there are": ([(FOR, f"{OUTER}, 10.9.9.9")], (OUTER, "http")),
    "a scheme for each hop": ([(FOR, f"203.0.113.9, {OUTER}"), (PROTO, "https, http")], ("203.0.113.9", "https")),
    "a claimed scheme": ([(FOR, "203.0.113.9"), (PROTO, "https, http")], ("203.0.113.9", "http")),
    "a scheme that is none": ([(FOR, "203.0.113.9"), (PROTO, "javascript")], ("203.0.113.9", "http")),
    "with a port": ([(FOR, "203.0.113.9:55")], ("203.0.113.9", "http")),
    "version six": ([(FOR, "2001:db8::9")], ("2001:db8::9", "http")),
    "version six with a port": ([(FOR, "[2001:db8::9]:55")], ("2001:db8::9", "http")),
    "mapped": ([(FOR, "::ffff:203.0.113.9")], ("203.0.113.9", "http")),
    "a mapped proxy": ([(FOR, f"203.0.113.9, ::ffff:{OUTER}")], ("203.0.113.9", "http")),
    "a name": ([(FOR, "203.0.113.9, evil.example")], (INNER, "http")),
    "nonsense before a proxy": ([(FOR, f"nonsense, {OUTER}")], (OUTER, "http")),
    "empty": ([(FOR, "")], (INNER, "http")),
    "a zone with a line of its own": ([(FOR, "fe80::1%a\n[info] forged")], (INNER, "http")),
    "markup": ([(FOR, "<script>")], (INNER, "http")),
    "a decimal address": ([(FOR, "3405803785")], (INNER, "http")),
    "the other header": ([(STANDARD, "for=203.0.113.9;proto=https")], (INNER, "http")),
}


@pytest.mark.parametrize(("headers", "expected"), X_FORWARDED.values(), ids=X_FORWARDED)
async def test_the_nearest_that_no_proxy_of_ours_is_counts(
    headers: list[tuple[str, str]], expected: tuple[str, str]
) -> None:
    assert await seen(headers) == expected


FORWARDED = {
    "one": ([(STANDARD, "for=203.0.113.9;proto=https;by=10.0.0.1")], ("203.0.113.9", "https")),
    "claimed first": (
        [(STANDARD, f"for=127.0.0.1, for=203.0.113.9, FOR={OUTER}")],
        ("203.0.113.9", "http"),
    ),
    "a claimed scheme": ([(STANDARD, "for=127.0.0.1;proto=https, for=203.0.113.9")], ("203.0.113.9", "http")),
    "in lines": ([(STANDARD, "for=127.0.0.1"), (STANDARD, "for=203.0.113.9")], ("203.0.113.9", "http")),
    "version six": ([(STANDARD, 'For="[2001:db8:cafe::17]:4711"; Proto=HTTPS')], ("2001:db8:cafe::17", "https")),
    "hidden": ([(STANDARD, "for=127.0.0.1, for=_hidden")], (INNER, "http")),
    "unknown": ([(STANDARD, "for=unknown;proto=https")], (INNER, "http")),
    "without for": ([(STANDARD, "proto=https")], (INNER, "http")),
    "a comma in quotes": ([(STANDARD, 'for=203.0.113.9, for="x, for=127.0.0.1"')], (INNER, "http")),
    "the other header": ([(FOR, "203.0.113.9"), (PROTO, "https")], (INNER, "http")),
}


@pytest.mark.parametrize(("headers", "expected"), FORWARDED.values(), ids=FORWARDED)
async def test_so_does_the_standard_header(headers: list[tuple[str, str]], expected: tuple[str, str]) -> None:
    """RFC 7239."""
    assert await seen(headers, kind="forwarded") == expected


@pytest.mark.parametrize("peer", ["203.0.113.1", "fe80::1", "/run/socket", None])
async def test_nobody_else_is_believed(peer: str | None) -> None:
    assert await seen([(FOR, "127.0.0.1"), (PROTO, "https")], peer=peer) == (peer, "http")
    assert await seen([(STANDARD, "for=127.0.0.1;proto=https")], peer=peer, kind="forwarded") == (peer, "http")
