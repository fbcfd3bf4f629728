"""Texts of the command line that go into a store, a URL or a header, checked as they are parsed: nothing was done yet.

Each raises UsageError; None is what was not given.
"""

import re

from app.cli.exits import UsageError
from app.models.access import TENANT


def usable_tenant(name: str | None) -> str | None:
    """What can be a tenant's name."""
    if name is not None and not TENANT.fullmatch(name):
        raise UsageError("a tenant is 1 to 63 of a-z, 0-9, - and _, a letter first")
    return name


def possible_id(text: str) -> str:
    """What may be an id. Bytes that are no UTF-8 come as surrogates, which neither a database nor a URL takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("the id is not UTF-8") from None
    return text


def visible(option: str, text: str) -> str:
    """What can stand in a header. It may be a secret, so it is not repeated."""
    if not _VISIBLE.fullmatch(text):
        raise UsageError(f"{option} takes 1 to 255 visible ASCII characters")
    return text


def idempotency_key(text: str | None) -> str | None:
    """The same for a store as for a server, whose header it would be."""
    return None if text is None else visible("--idempotency-key", text)


def possible_host(name: str | None) -> str | None:
    """What can be looked up. Sockets raise more than OSError for the rest."""
    try:
        (name or "").encode("idna")
    except UnicodeError:
        raise UsageError(f"--host: {name} can be no address") from None
    return name


_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
