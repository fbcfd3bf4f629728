"""A PostgreSQL server of its own: a fresh cluster on a free port of 127.0.0.1, with a random password."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_services.process import (
    NotInstalledError,
    Service,
    birth_of,
    data_directory,
    free_ports,
    launch,
    run,
    wait_until_ready,
)

NAME = "postgresql"

PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
)
"""Where Debian, Red Hat and Homebrew put the server, which none of them adds to PATH."""

INSTALL = "PostgreSQL's server (initdb, postgres) was not found. Debian and Ubuntu: apt-get install postgresql"

MAX_CONNECTIONS = 200
"""Several replicas with a pool each, in one test."""


@dataclass(frozen=True)
class Cluster:
    """A cluster on disk, and where its server listens whenever it runs."""

    home: Path
    port: int
    url: str
    log: Path

    @property
    def data(self) -> Path:
        return self.home / "data"


def start(directory: Path) -> Service:
    """Create a cluster and return when it accepts connections."""
    user = unprivileged_user()
    with data_directory("review-fetcher-postgresql-", place_for(directory, user)) as home:
        cluster = create(home, directory / f"{NAME}.log")
        server = serve(cluster)
    return Service(
        name=NAME,
        version=version(find_binaries()),
        settings={"DATABASE_URL": cluster.url},
        pid=server.pid,
        birth=birth_of(server.pid) or "",
        stop_signal=signal.SIGINT,  # PostgreSQL's "fast shutdown": SIGTERM waits for clients
        log=str(cluster.log),
        data=str(home),
    )


def create(home: Path, log: Path) -> Cluster:
    """An empty cluster under `home`, an empty directory that `unprivileged_user` can reach."""
    user, password = unprivileged_user(), secrets.token_hex(16)
    if user is not None:
        shutil.chown(home, user)
    create_cluster(find_binaries(), home, password, clean_environment(), user)
    (port,) = free_ports(1)
    return Cluster(home, port, url_of(port, password), log)


def url_of(port: int, password: str) -> str:
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


def serve(cluster: Cluster) -> subprocess.Popen[bytes]:
    """Run the server, the first time or again, and return when it accepts connections.

    SIGQUIT to it is `pg_ctl stop -m immediate`: no farewell to clients, and the next start recovers from the log.
    """
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)  # of a server that was killed: it says "ready"
    command = server_command(find_binaries(), cluster.data, cluster.port)
    user = unprivileged_user()
    server = launch(command, log=cluster.log, cwd=cluster.home, env=clean_environment(), user=user)
    wait_until_ready(server, lambda: is_ready(cluster.data), name="PostgreSQL", log=cluster.log)
    return server


def send(server: int, number: int) -> None:
    """A signal to the server and all its backends: SIGSTOP freezes it with its connections open, SIGCONT wakes it."""
    os.kill(server, signal.SIGSTOP)  # it starts no backend meanwhile, and keeps the entries of those that end
    for pid in (*_backends(server), server):
        os.kill(pid, number)


def _backends(server: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server)], check=False, capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def find_binaries() -> Path:
    """The directory of `initdb` and `postgres`, the one on PATH first, then the newest installed."""
    on_path = shutil.which("initdb")
    installed = [one for place in PLACES for one in Path("/").glob(place)]
    newest_first = sorted(installed, key=lambda one: [int(n) for n in re.findall(r"\d+", str(one))], reverse=True)
    for one in ([Path(on_path).resolve().parent] if on_path else []) + newest_first:
        if (one / "initdb").exists() and (one / "postgres").exists():
            return one
    raise NotInstalledError(INSTALL)


def version(binaries: Path) -> str:
    """For example "15.18"."""
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


def unprivileged_user() -> str | None:
    """Who runs the server when root starts it, because PostgreSQL refuses root. None for everybody else."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def place_for(directory: Path, user: str | None) -> Path:
    """Where the server's user can reach its data: root's own folders often let nobody else through."""
    return directory if user is None else Path("/var/tmp")  # noqa: S108 (the name in it is unguessable)


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would point the server at another cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return kept | {"LC_ALL": "C"}


def create_cluster(binaries: Path, home: Path, password: str, env: dict[str, str], user: str | None) -> None:
    secret = write_password(home, password, user)
    try:
        run(creating_command(binaries, home, secret), name="initdb", cwd=home, env=env, user=user)
    finally:
        secret.unlink()


def write_password(home: Path, password: str, user: str | None) -> Path:
    """For initdb to read; who calls this removes it."""
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user is not None:
        shutil.chown(secret, user)
    return secret


def creating_command(binaries: Path, home: Path, secret: Path) -> list[str]:
    options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
    return [str(binaries / "initdb"), f"--pgdata={home / 'data'}", f"--pwfile={secret}", *options]


def server_command(binaries: Path, data: Path, port: int, more: Mapping[str, object] | None = None) -> list[str]:
    """`more` are settings of PostgreSQL by name."""
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": MAX_CONNECTIONS,
        "timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        **(more or {}),
    }
    return [
        str(binaries / "postgres"),
        "-D",
        str(data),
        *(f"--{name}={value}" for name, value in options.items()),
    ]


def is_ready(data: Path) -> bool:
    """The eighth line of postmaster.pid is the server's own word; `pg_ctl --wait` reads the same."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"
