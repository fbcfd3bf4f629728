"""What a check of `doctor` says."""

from enum import StrEnum
from typing import NamedTuple


class Health(StrEnum):
    """ok, worth knowing, or to be mended before the service works."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


class Finding(NamedTuple):
    """What a check found; `mend` says what to do about it, empty when nothing."""

    check: str
    health: Health
    found: str
    mend: str = ""
