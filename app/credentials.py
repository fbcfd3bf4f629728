"""Secrets of jobs at rest: sealed for one job of one tenant, readable with the key they name, and nowhere in clear.

AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces, which is safe for 2^32 secrets a key. The associated data binds
a sealed secret to its row and its purpose: moved to another job, tenant or column it does not open.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = 1
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SealingKeyError(ValueError):
    """The sealing keys cannot be used. Give TOKEN_SEALING_KEYS as `id:base64 of 32 bytes`, newest first."""


class KeyFileError(Exception):
    """The file with the sealing key cannot be used."""


class SealedTokenError(Exception):
    """The sealed token does not open: it was changed, cut, or belongs to another job."""


class UnknownSealingKeyError(SealedTokenError):
    """The token was sealed with a key that is not configured. Put that key back into TOKEN_SEALING_KEYS."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """`id` (1 to 64 of letters, digits, `.`, `_`, `-`) is stored with every token it seals; `secret` is 32 bytes."""

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id) or len(self.secret) != KEY_BYTES:
            raise SealingKeyError(SealingKeyError.__doc__)


class Purpose(StrEnum):
    """What a sealed text is. One sealed for a purpose opens for no other."""

    ACCESS_TOKEN = ""  # what was sealed before there were others names none
    GRANT = "grant"
    CALLBACK = "callback"
    SESSION = "session"  # of a browser; it belongs to no job


class Sealed(NamedTuple):
    """`data` holds all that `TokenSealer.open` needs beside the key; `key_id` is a copy for queries."""

    key_id: str
    data: bytes


class TokenSealer:
    """Seals with the first key and opens with any, so that a new key can be put in front at any time."""

    def __init__(self, keys: Sequence[SealingKey]) -> None:
        if not keys or len({key.id for key in keys}) < len(keys):
            raise SealingKeyError(f"{SealingKeyError.__doc__} At least one, each id once.")
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self.key_ids = tuple(key.id for key in keys)
        """Newest first."""
        self._newest = keys[0].id
        self._hash_keys = [_digest(key.secret, b"review-fetcher: hash of a request body") for key in keys]

    def seal(self, tenant: str, job_id: str, token: str, purpose: Purpose = Purpose.ACCESS_TOKEN) -> Sealed:
        key_id = self._newest
        header = bytes((_FORMAT, len(key_id))) + key_id.encode()
        nonce = os.urandom(_NONCE_BYTES)
        bound = _associated(header, tenant, job_id, purpose)
        return Sealed(key_id, header + nonce + self._ciphers[key_id].encrypt(nonce, token.encode(), bound))

    def open(self, tenant: str, job_id: str, sealed: bytes, purpose: Purpose = Purpose.ACCESS_TOKEN) -> str:
        """The text. Raises `UnknownSealingKeyError` or, for anything else, `SealedTokenError`; neither quotes it."""
        key_id, header, nonce, encrypted = _taken_apart(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnknownSealingKeyError(f"{UnknownSealingKeyError.__doc__} Key: {key_id}")
        try:
            return cipher.decrypt(nonce, encrypted, _associated(header, tenant, job_id, purpose)).decode()
        except (InvalidTag, ValueError):
            raise SealedTokenError(SealedTokenError.__doc__) from None

    def reseal(self, tenant: str, job_id: str, sealed: bytes, purpose: Purpose = Purpose.ACCESS_TOKEN) -> Sealed:
        """The same text under the newest key, unchanged where it has that already. Raises what `open` raises."""
        text = self.open(tenant, job_id, sealed, purpose)
        if key_id_of(sealed) == self._newest:
            return Sealed(self._newest, sealed)
        return self.seal(tenant, job_id, text, purpose)

    def body_hashes(self, body: bytes) -> list[str]:
        """HMAC-SHA256 of a request body, hexadecimal, one for each key, newest first: tells whether two bodies are
        equal and nothing about them.

        The first is kept. Whoever compares takes any: replicas may have different keys in front while keys change.
        """
        return [_digest(key, body).hex() for key in self._hash_keys]


def _taken_apart(sealed: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Key id, header (format, length of the key id, key id), nonce and the encrypted rest."""
    width = 2 + (sealed[1] if len(sealed) > 1 else 0)
    header, nonce, encrypted = sealed[:width], sealed[width : width + _NONCE_BYTES], sealed[width + _NONCE_BYTES :]
    key_id = header[2:].decode("ascii", "replace")
    if not header or header[0] != _FORMAT or not _KEY_ID.fullmatch(key_id) or len(nonce) < _NONCE_BYTES:
        raise SealedTokenError(SealedTokenError.__doc__)
    return key_id, header, nonce, encrypted


def key_id_of(sealed: bytes) -> str:
    """The id of the key that it was sealed with. Raises `SealedTokenError` when it is nothing sealed."""
    return _taken_apart(sealed)[0]


def _associated(header: bytes, tenant: str, job_id: str, purpose: Purpose) -> bytes:
    """Each part after its length, so that no two (tenant, job id, purpose) give the same bytes."""
    parts = (header, tenant.encode(), job_id.encode(), *((purpose.encode(),) if purpose else ()))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def load_or_create_key(path: Path) -> SealingKey:
    """The key in the file at `path` (32 bytes, mode 0600), which is written first when there is none.

    Raises `KeyFileError` for a file of another size, one that other users may read or write, or one that this user
    cannot read or make.
    """
    try:
        return _load_or_create_key(path)
    except OSError as error:
        owner = " Give it and its folder to the user that the service runs as, or run this as that user."
        advice = owner if isinstance(error, PermissionError) else ""
        raise KeyFileError(f"{path} cannot be used: {error.strerror or error}.{advice}") from error


def _load_or_create_key(path: Path) -> SealingKey:
    if not path.exists():
        _create_key_file(path)
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path} may be read or written by other users. Run: chmod 600 {path}")
    secret = path.read_bytes()
    if len(secret) != KEY_BYTES:
        raise KeyFileError(f"{path} does not hold {KEY_BYTES} bytes. Restore it: without it sealed tokens are lost.")
    return SealingKey(f"file-{hashlib.sha256(secret).hexdigest()[:8]}", secret)


def _create_key_file(path: Path) -> None:
    """Written aside and linked into place: another process sees no file or the whole of it, and the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
        _sync_directory(path.parent)
    finally:
        aside.unlink()


def _sync_directory(directory: Path) -> None:
    """A key that is lost after a power cut would lose every token sealed with it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
