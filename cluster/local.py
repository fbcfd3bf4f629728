"""What scripts/ has for services of a machine, under one name."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from local_services import kafka, postgresql  # noqa: E402 - found through the line above
from local_services.process import (  # noqa: E402
    READY_WITHIN,
    NotInstalledError,
    Service,
    ServiceError,
    birth_of,
    data_directory,
    free_ports,
    launch,
    tail,
    wait_until_ready,
)
from local_services.records import Recorded, recorded, stat_of  # noqa: E402

__all__ = [
    "PROJECT",
    "READY_WITHIN",
    "NotInstalledError",
    "Recorded",
    "Service",
    "ServiceError",
    "birth_of",
    "data_directory",
    "free_ports",
    "kafka",
    "launch",
    "postgresql",
    "recorded",
    "stat_of",
    "tail",
    "wait_until_ready",
]
