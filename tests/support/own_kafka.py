"""A Kafka that a test may kill, freeze, start again and rob of its disks: nobody else uses it."""

import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from local_services import kafka
from local_services.process import NotInstalledError

from app.broker.connection import KafkaConnection
from tests.support.machine import lacking
from tests.support.sweeping import sweep_files


class OwnKafka:
    """One node. Everything here blocks: it is called off the event loop, or when nothing runs on it."""

    def __init__(
        self, home: Path, properties: Mapping[str, str] | None = None, ports: tuple[int, int] | None = None
    ) -> None:
        self._home = home
        self._properties = properties
        self._ports = ports
        self._node: kafka.Node | None = None
        self._process: Popen[bytes] | None = None

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(self._made.bootstrap_servers)

    @property
    def _made(self) -> kafka.Node:
        assert self._node is not None, "it was never started"
        return self._node

    def start(self) -> None:
        """Returns when it answers; at once when it runs."""
        if self._node is None:
            self._node = self._create(self._ports)
        if self._process is None:
            self._process = kafka.start_node(self._node, kafka.SHORT_LIVED)

    def kill(self) -> None:
        """SIGKILL: the data stays. Twice is once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Its connections stay open and nobody answers on them."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """The same address and an empty disk; it does not run afterwards."""
        self.kill()
        old = self._made
        shutil.rmtree(old.data)
        self._node = self._create(old.ports)

    def _create(self, ports: tuple[int, int] | None) -> kafka.Node:
        data = Path(tempfile.mkdtemp(prefix="data-", dir=self._home))
        return kafka.create(data, log=self._home / "kafka.log", ports=ports, properties=self._properties)


@contextmanager
def running_kafka(
    properties: Mapping[str, str] | None = None, ports: tuple[int, int] | None = None
) -> Iterator[OwnKafka]:
    """Started, and gone with its data afterwards. Skips the test where Java or Maven is missing.

    `properties` go beyond those of deploy/services/kafka; `ports` are for those that have to name them.
    """
    with tempfile.TemporaryDirectory(prefix="review-fetcher-kafka-") as home:
        own = OwnKafka(Path(home), properties, ports)
        try:
            own.start()
            yield own
        except NotInstalledError as missing:
            lacking(str(missing))
        finally:
            own.kill()
            sweep_files(Path(home))
