"""A PostgreSQL that a test may kill, freeze and start again: nobody else uses it."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from local_services import postgresql
from local_services.process import NotInstalledError

from tests.support.machine import lacking
from tests.support.sweeping import sweep_files


class OwnPostgresql:
    """Everything here blocks, for a second or two."""

    def __init__(self, cluster: postgresql.Cluster) -> None:
        self._cluster = cluster
        self._process: Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._cluster.url

    def start(self) -> None:
        """Returns when it answers; on the same port and data each time."""
        self._process = postgresql.serve(self._cluster)

    def stop_immediately(self) -> None:
        """Its connections break; what was committed stays. Twice is once."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def kill(self) -> None:
        """SIGKILL to the server and to all that it started, as a machine that loses its power. Twice is once."""
        process, self._process = self._process, None
        if process is not None:
            postgresql.send(process.pid, signal.SIGKILL)
            process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its connections stay open and nobody answers on them, nor on new ones."""
        assert self._process is not None, "it does not run"
        postgresql.send(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            postgresql.send(self._process.pid, signal.SIGCONT)


@contextmanager
def running_postgresql() -> Iterator[OwnPostgresql]:
    """Started, and gone with its data afterwards. Skips the test where PostgreSQL is missing."""
    place = postgresql.place_for(Path(tempfile.gettempdir()), postgresql.unprivileged_user())
    home = Path(tempfile.mkdtemp(prefix="review-fetcher-own-postgresql-", dir=place))
    try:
        server = OwnPostgresql(created(home))
        server.start()
        try:
            yield server
        finally:
            server.stop_immediately()
            sweep_files(home)
    finally:
        shutil.rmtree(home)


def created(home: Path) -> postgresql.Cluster:
    """An empty cluster. Skips the test where PostgreSQL is missing."""
    try:
        return postgresql.create(home, home / "server.log")
    except NotInstalledError as missing:
        lacking(str(missing))
