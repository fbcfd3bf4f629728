"""Named crash points: `CRASH_AT=name:n` kills the process, as kill -9 would, the n-th time it passes that point.

For crash tests only; configuration refuses it in production. Without it a point costs one comparison.
"""

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where a process can be made to die; each has a crash test."""

    BEFORE_JOB_COMMIT = "before-job-commit"
    AFTER_JOB_COMMIT = "after-job-commit"
    TOKEN_RENEWED = "token-renewed"  # noqa: S105 - a point
    PAGE_READ = "page-read"
    SETTLED = "settled"
    FAN_OUT = "fan-out"
    RETRY_WRITE = "retry-write"
    SHUTDOWN = "shutdown"
    POSITIONS_STAMPED = "positions-stamped"
    BATCH_PRODUCED = "batch-produced"
    BATCH_UNCOMMITTED = "batch-uncommitted"
    BATCH_COMMITTED = "batch-committed"
    JOBS_HIDDEN = "jobs-hidden"
    ROWS_SWEPT = "rows-swept"
    WEBHOOK_SENT = "webhook-sent"


class _Armed:
    point: CrashPoint | None = None
    remaining: int = 0


def arm(setting: str | None) -> None:
    """Set the crash point from `name:n`; None disarms. Raises ValueError with the known names for anything else."""
    if not setting:
        _Armed.point = None
        return
    name, _, count = setting.partition(":")
    if name not in set(CrashPoint) or not count.isdecimal() or int(count) < 1:
        known = ", ".join(CrashPoint)
        raise ValueError(f"CRASH_AT is not name:n with n ≥ 1 and a name of: {known}")
    _Armed.point, _Armed.remaining = CrashPoint(name), int(count)


def crash_point(point: CrashPoint) -> None:
    """Die here if armed for this point and this pass."""
    if _Armed.point is not point:
        return
    _Armed.remaining -= 1
    if _Armed.remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
