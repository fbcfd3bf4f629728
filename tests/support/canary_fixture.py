"""What `tests/flows` and `tests/browser` do around their tests: no secret of theirs may be left anywhere afterwards."""

import logging
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import structlog

from app.credentials import Purpose, Sealed, SealingKey, TokenSealer
from app.telemetry.logging import configure_logging
from tests.support.canaries import CANARIES
from tests.support.sweeping import sweep_files


@contextmanager
def swept(*directories: Path) -> Iterator[None]:
    """Learns the secrets that are used inside, and looks for them in the end: in what was swept meanwhile, in the log
    of this process at its most talkative, and in the files of these directories and of every place of a service.
    """
    CANARIES.begin()
    log = _Log()
    with _sealed_is_learned(), _logging_to(log):
        yield
    CANARIES.search("the log of this process", [log.getvalue().encode()])
    _sweep({*directories, *CANARIES.directories})
    CANARIES.end()


def _sweep(directories: Iterable[Path]) -> None:
    for directory in directories:
        for key in directory.rglob("sealing.key"):
            CANARIES.learn(b64encode(key.read_bytes()).decode())
    for directory in directories:
        sweep_files(directory)


class _Log(StringIO):
    """Goes to stderr as well, where pytest shows it when the test fails."""

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return super().write(text)


@contextmanager
def _logging_to(log: StringIO) -> Iterator[None]:
    root = logging.getLogger()
    level, of_ours = root.level, logging.getLogger("app").level
    configure_logging(level="DEBUG", stream=log)
    try:
        yield
    finally:
        for handler in root.handlers[:]:
            if getattr(handler, "stream", None) is log:
                root.removeHandler(handler)
        root.setLevel(level)
        logging.getLogger("app").setLevel(of_ours)
        logging.captureWarnings(False)
        structlog.reset_defaults()


@contextmanager
def _sealed_is_learned() -> Iterator[None]:
    """Whatever is sealed is secret, and so are the keys."""
    seal, begin = TokenSealer.seal, TokenSealer.__init__

    def learning(
        sealer: TokenSealer, tenant: str, job_id: str, token: str, purpose: Purpose = Purpose.ACCESS_TOKEN
    ) -> Sealed:
        CANARIES.learn_sealed(token)
        return seal(sealer, tenant, job_id, token, purpose)

    def beginning(sealer: TokenSealer, keys: Sequence[SealingKey]) -> None:
        CANARIES.learn(*(b64encode(key.secret).decode() for key in keys))
        begin(sealer, keys)

    with patch.object(TokenSealer, "seal", learning), patch.object(TokenSealer, "__init__", beginning):
        yield
