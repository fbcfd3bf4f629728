"""Failures below HTTP, translated by a table, and the one thing aiohttp does that the quota forbids."""

import ssl

import aiohttp
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from app.google.errors import ErrorKind, GoogleAPIError

FAILURES = (aiohttp.ClientError, OSError, TimeoutError)
"""What `transport_error` translates."""


class ConnectionLostError(aiohttp.ClientError):
    """The connection ended before an answer began."""


# The first row that fits decides, so the special stand before the general.
_TABLE: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((TimeoutError,), "timeout", "Google did not answer in time."),
    ((aiohttp.ClientConnectorDNSError,), "connection", "Google's host name was not found: check DNS."),
    (
        (aiohttp.ClientSSLError,),
        "tls",
        "No trusted TLS connection to Google{why}: check the clock, the CA certificates and proxies.",
    ),
    ((aiohttp.ClientConnectorError,), "connection", "No connection to Google: check network and firewall."),
    ((aiohttp.ClientPayloadError,), "cut", "The connection ended in the middle of Google's answer."),
    ((aiohttp.ClientResponseError,), "bad_http", "Google's answer was not HTTP: check proxies."),
    (FAILURES, "connection", "The connection to Google was lost before an answer came."),
)


def transport_error(failure: BaseException) -> GoogleAPIError:
    """The `GoogleAPIError` (transient) for one of `FAILURES`, in words of ours: aiohttp's may quote the request."""
    reason, message = next((word, text) for kinds, word, text in _TABLE if isinstance(failure, kinds))
    return GoogleAPIError(ErrorKind.TRANSIENT, reason, message.format(why=_tls_problem(failure)))


def _tls_problem(failure: BaseException) -> str:
    """OpenSSL's words for it, in brackets. They are its own, and of the other side's they hold nothing."""
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        words = getattr(failure.certificate_error, "verify_message", "")
    elif isinstance(failure, aiohttp.ClientConnectorSSLError) and isinstance(failure.os_error, ssl.SSLError):
        words = (failure.os_error.reason or "").replace("_", " ").lower()
    else:
        words = ""
    return f" ({words.rstrip('.')})" if words else ""


async def send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """A middleware that stops aiohttp from sending a GET again, by itself, when a kept connection breaks.

    Google may have counted the first one: each call has one permit, and whoever holds it decides about another.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        pass
    raise ConnectionLostError
