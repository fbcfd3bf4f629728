"""What scripts/ has for services of a machine, under one name."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from local_services import kafka, postgresql  # noqa: E402 - found through the line above
from local_services.process import (  # noqa: E402
    NotInstalledError,
    ServiceError,
    free_ports,
    launch,
    tail,
)
from local_services.records import Recorded, birth_of, recorded, stat_of  # noqa: E402

__all__ = [
    "PROJECT",
    "NotInstalledError",
    "Recorded",
    "ServiceError",
    "birth_of",
    "free_ports",
    "kafka",
    "launch",
    "postgresql",
    "recorded",
    "stat_of",
    "tail",
]
