"""No secret and no foreign control character in a log line, whoever wrote it."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from app.telemetry.events import Event

REDACTED = "[redacted]"

_SECRET_FIELDS = frozenset(
    """
    access_token refresh_token id_token token authorization proxy_authorization api_key api_keys apikey x_api_key
    password passwd secret client_secret token_sealing_keys sealing_key sealed database_url cookie set_cookie
    """.split()
)

_SECRET_TEXTS = (
    (re.compile(r"(?i)\b(bearer|basic)[ +]+[\w\-.~+/=]+"), rf"\1 {REDACTED}"),
    (re.compile(r"(?i)(?<![\w])((?:access|refresh|id)_?token|api[_-]?key|client_secret|password|authorization)"
                r"(\\?[\"']?\s*[=:]\s*\\?[\"']?)(?!bearer|basic)[^\s\"'&,;}\\]+"), rf"\1\2{REDACTED}"),
    (re.compile(r"(?i)\btoken=[^\s&\"']+"), f"token={REDACTED}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,30}://)[^\s/@:]*:[^\s/@]+@"), rf"\1{REDACTED}@"),
    # Google's access tokens, refresh tokens and API keys; our API keys; JSON Web Tokens
    (re.compile(r"\bya29\.[\w\-.~+/=]+|\b1//[\w\-]{10,}|\bAIza[\w\-]{20,}"
                r"|\brf_[\w\-]{16,}|\beyJ[\w\-]+\.[\w\-.]+"), REDACTED),
    # anything else that is long and random: mixed case and digits in one word
    (re.compile(r"(?<![\w\-])(?=[\w\-]*[a-z])(?=[\w\-]*[A-Z])(?=[\w\-]*\d)[\w\-]{40,}"), REDACTED),
)  # fmt: skip

# C0 and C1 controls, line and paragraph separators, the marks that turn the direction of text, and half surrogate
# pairs, which no stream can write.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_BUT_NEWLINE = re.compile(_CONTROL.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))

_DEEPEST = 6
LONGEST = 4_000
"""Characters of one value: a stranger's text must not fill the disk with one line."""


class Harmless(str):
    """A text made here, or checked by who logs it: it is written as it is. For lines that every request costs."""

    __slots__ = ()


@lru_cache(maxsize=1_000)
def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds a secret, however it is spelled (`X-Api-Key`, `accessToken`)."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return words.lower().replace("-", "_") in _SECRET_FIELDS


def redact(text: str) -> str:
    """The text with everything that looks like a token, key or password taken out."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def escape(text: str, *, keep_newlines: bool = False) -> str:
    """Control characters as `\\x1b`: a value can neither start a line of its own nor steer a terminal."""
    pattern = _CONTROL_BUT_NEWLINE if keep_newlines else _CONTROL
    return pattern.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def clean(value: object, depth: int = 0) -> object:
    """A value for a log line: redacted and escaped all the way down; what is no plain value, as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value) if isinstance(value, Harmless | Event) else clean_text(value)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): clean_field(str(key), item, depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, Sequence | set | frozenset):
        return [clean(item, depth + 1) for item in value]
    return clean_text(str(value))


def clean_text(text: str) -> str:
    """A text for a log line: cut to `LONGEST`, redacted, escaped."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
    return escape(redact(cut))


@lru_cache(maxsize=1_000)
def clean_name(name: str) -> str:
    """The name of a field, which mostly is one of the code's own."""
    return clean_text(name)


def clean_field(name: str, value: object, depth: int = 0) -> object:
    """`clean`, or nothing at all of a field that is named like a secret."""
    return REDACTED if is_secret_field(name) and value is not None else clean(value, depth)
