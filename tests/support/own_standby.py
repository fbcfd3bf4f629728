"""A primary PostgreSQL and its streaming standby: nobody else uses them, and the primary may be killed for good."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from local_services import postgresql
from local_services.process import free_ports, run

from tests.support.own_postgresql import OwnPostgresql, created
from tests.support.service import eventually
from tests.support.services import ask
from tests.support.sweeping import sweep_files

SECONDS = 30.0
_SYNCHRONOUS = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")


class Pair:
    """Everything here blocks, for a second or two."""

    def __init__(self, primary: postgresql.Cluster, standby: postgresql.Cluster) -> None:
        self.primary, self.standby = OwnPostgresql(primary), OwnPostgresql(standby)

    @property
    def url(self) -> str:
        """Both, the primary first: as `DATABASE_URL` names them."""
        first, second = urlsplit(self.primary.url), urlsplit(self.standby.url)
        return first._replace(netloc=f"{first.netloc},{second.hostname}:{second.port}").geturl()

    def wait_for_each_commit(self) -> None:
        """A commit is answered when the standby has it too."""
        for statement in _SYNCHRONOUS:
            ask(self.primary.url, statement)
        seen = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: ask(self.primary.url, seen) == 1, SECONDS, "a synchronous standby")

    def copy_setting(self) -> None:
        """As a standby that is copied when its primary waits already: it will wait for one too, once promoted."""
        for statement in _SYNCHRONOUS:
            ask(self.standby.url, statement)

    def catch_up(self) -> None:
        """Returns when the standby has all that is committed now."""
        behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn < pg_current_wal_lsn()"
        eventually(lambda: ask(self.primary.url, behind) == 0, SECONDS, "a standby that has everything")

    def promote(self) -> None:
        """Returns when the standby takes writes."""
        assert ask(self.standby.url, "SELECT pg_promote()") is True


@contextmanager
def running_pair() -> Iterator[Pair]:
    """Started, the standby streaming, and gone with their data afterwards. Skips where PostgreSQL is missing."""
    place = postgresql.place_for(Path(tempfile.gettempdir()), postgresql.unprivileged_user())
    homes = [Path(tempfile.mkdtemp(prefix="review-fetcher-pair-", dir=place)) for _ in range(2)]
    try:
        primary = created(homes[0])
        pair = Pair(primary, _standby_of(primary, homes[1]))
        try:
            pair.primary.start()
            _copy(primary, homes[1])
            pair.standby.start()
            eventually(lambda: _streams(pair), SECONDS, "a standby that streams")
            yield pair
        finally:
            pair.primary.stop_immediately()
            pair.standby.stop_immediately()
            sweep_files(homes[1])  # it has all that the primary had
    finally:
        for home in homes:
            shutil.rmtree(home)


def _standby_of(primary: postgresql.Cluster, home: Path) -> postgresql.Cluster:
    (port,) = free_ports(1)
    url = urlsplit(primary.url)
    address = f"{url.netloc.rpartition('@')[0]}@{url.hostname}:{port}"
    return replace(primary, home=home, port=port, url=url._replace(netloc=address).geturl(), log=home / "server.log")


def _copy(primary: postgresql.Cluster, home: Path) -> None:
    """As an operator makes a standby: `--write-recovery-conf` has it stream from where it was copied."""
    user = postgresql.unprivileged_user()
    if user is not None:
        shutil.chown(home, user)
    copy = [str(postgresql.find_binaries() / "pg_basebackup"), "--checkpoint=fast", "--no-sync"]
    command = [*copy, "--write-recovery-conf", f"--pgdata={home / 'data'}", f"--dbname={primary.url}"]
    run(command, name="pg_basebackup", cwd=home, env=postgresql.clean_environment(), user=user)


def _streams(pair: Pair) -> bool:
    return ask(pair.primary.url, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1
