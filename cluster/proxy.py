"""nginx in front of the replicas."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.local import PROJECT, NotInstalledError

PID = "nginx.pid"
CONFIGURATION = PROJECT / "deploy" / "cluster" / "nginx.conf"
INSTALL = "nginx was not found. Debian and Ubuntu: apt-get install --no-install-recommends nginx"


def configure(directory: Path, port: int, replicas: Sequence[int]) -> list[str]:
    """Write the configuration of a proxy at `port` for replicas at these ports; returns the command that runs it."""
    servers = "\n".join(f"        server 127.0.0.1:{replica} max_fails=1 fail_timeout=2s;" for replica in replicas)
    (directory / PID).unlink(missing_ok=True)  # of one that was killed
    path = directory / "nginx.conf"
    path.write_text(filled(CONFIGURATION.read_text(), DIRECTORY=str(directory), PORT=str(port), SERVERS=servers))
    return [find_nginx(), "-e", "stderr", "-c", str(path)]


def has_its_port(directory: Path) -> bool:
    """Whether who answers at its port is this nginx and no other: it writes the file when it listens."""
    return (directory / PID).exists()


def filled(text: str, **values: str) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def find_nginx() -> str:
    """Debian keeps it where only root looks."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalledError(INSTALL)
    return found
