"""How the text of a variable becomes a value. Each check says what to write instead, and never shows a secret."""

import base64
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, SecretStr

from app.crash import CrashPoint

_HOST = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:,\s]+)(:\d{1,5})?")
"""A name or an address, IPv6 in brackets, and maybe a port."""

_CREDENTIALS = re.compile(r"^[^:/@]*(:[^@]*)?@")


class Unreadable(str):
    """Stands for the value of a `*_FILE` that could not be read: says why."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """The store is this file."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """The store is this PostgreSQL database."""

    url: SecretStr

    def __str__(self) -> str:
        """The URL without its password and parameters."""
        parts = urlsplit(self.url.get_secret_value())
        user, at, host = parts.netloc.rpartition("@")
        hidden = f"{user.partition(':')[0]}:***{at}" if at else ""
        return f"postgresql://{hidden}{host}{parts.path}"


def parse_database_url(url: str) -> SqliteFile | PostgresqlServer:
    """ValueError, without the URL in it, for anything that is neither a SQLite file nor PostgreSQL."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        if not urlsplit(url).path.strip("/"):
            raise ValueError("names no database: write postgresql://user:password@host:5432/name")
        _check_hosts(rest)
        return PostgresqlServer(SecretStr(f"postgresql://{rest}"))
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/") and ":memory:" not in rest:
        return SqliteFile(Path(rest[1:]))
    raise ValueError("must be sqlite:///data/review-fetcher.db (a file) or postgresql://user:password@host:5432/name")


def _check_hosts(rest: str) -> None:
    """None (a socket), one, or several with commas between them, each with a port of its own or PostgreSQL's."""
    hosts = _CREDENTIALS.sub("", rest, count=1).partition("?")[0].partition("/")[0]
    if hosts and not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        raise ValueError("names its hosts badly: write postgresql://user:password@primary:5432,standby:5432/name")


def parse_sealing_key(text: str) -> tuple[str, bytes]:
    """`id:base64` to id and 32 bytes. ValueError, without the key in it, for anything else."""
    identifier, _, encoded = text.partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if not identifier or len(key) != 32:
        raise ValueError("must be id:base64 of 32 bytes, newest first; make a key by `openssl rand -base64 32`")
    return identifier, key


def _readable(value: object) -> object:
    if isinstance(value, Unreadable):
        raise ValueError(str(value))
    return value


def split(value: object) -> object:
    """Comma-separated (or, in a file, one a line) to a list; anything but text stays."""
    value = _readable(value)
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _check_database_url(url: SecretStr) -> SecretStr:
    parse_database_url(url.get_secret_value())
    return url


def _check_sealing_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    identifiers = [parse_sealing_key(key.get_secret_value())[0] for key in keys]
    if len(set(identifiers)) < len(identifiers):
        raise ValueError("two keys have the same id: give each new key an id of its own")
    return keys


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError("must be a time zone like America/Los_Angeles") from error
    return name


def _check_base_url(url: str) -> str:
    if url and not _is_plain(url):
        raise ValueError("must look like http://127.0.0.1:8080 (http or https, host, port; no user, no query)")
    return url.rstrip("/")


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
    return whole and not set("@?#\\ ") & set(url)


def _check_servers(servers: tuple[str, ...]) -> tuple[str, ...]:
    if not servers or not all(port.isdecimal() and host for host, _, port in (s.rpartition(":") for s in servers)):
        raise ValueError("must be host:port, several separated by commas")
    return servers


def _read_networks(value: object) -> object:
    return tuple(_network(text) for text in value) if isinstance(value, list | tuple) else value


def _network(text: object) -> object:
    try:
        return ip_network(text) if isinstance(text, str) else text
    except ValueError as error:
        raise ValueError("must be networks like 10.0.0.0/8 or fd00::/8, several separated by commas") from error


_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """As browsers write them: they are compared letter by letter."""
    for origin in origins:
        scheme = origin.partition(":")[0]
        usual = f"{scheme}:{443 if scheme == 'https' else 80}"
        if not _ORIGIN.fullmatch(origin) or f"{scheme}:{origin.rpartition(':')[2]}" == usual:
            raise ValueError(
                "must be exact origins like https://app.example.com, in small letters, without a path, a usual port "
                "or *; several separated by commas"
            )
    return origins


def _check_crash_at(setting: str) -> str:
    name, _, count = setting.partition(":")
    if setting and (name not in set(CrashPoint) or not count.isdecimal() or int(count) < 1):
        raise ValueError(f"must be name:n with n from 1 and a name of: {', '.join(CrashPoint)}")
    return setting


Upper = BeforeValidator(_upper)
Split = BeforeValidator(split)
Secret = Annotated[SecretStr, BeforeValidator(_readable)]
Secrets = Annotated[tuple[SecretStr, ...], Split]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_readable), AfterValidator(_check_database_url)]
SealingKeys = Annotated[Secrets, AfterValidator(_check_sealing_keys)]
Servers = Annotated[tuple[str, ...], Split, AfterValidator(_check_servers)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_read_networks), Split]
Origins = Annotated[tuple[str, ...], Split, AfterValidator(_check_origins)]
TimeZone = Annotated[str, AfterValidator(_check_zone)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
CrashAt = Annotated[str, AfterValidator(_check_crash_at)]
