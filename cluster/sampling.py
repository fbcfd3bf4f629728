"""What a process uses, as Linux tells it, and what the servers hold."""

import os
from collections.abc import Iterable
from pathlib import Path

from cluster.asking import ask
from cluster.local import stat_of

PARENT, USER_TIME, SYSTEM_TIME = 1, 11, 12
"""Fields of /proc/PID/stat behind the name, counted from 0: see proc(5)."""

TICKS = os.sysconf("SC_CLK_TCK")
BLOCK = 512
"""Of st_blocks, whatever the disk has: see stat(2)."""

PAGE = os.sysconf("SC_PAGE_SIZE")


def with_children(pid: int) -> list[int]:
    """The process and whatever it has started, and they in turn."""
    parents = {
        int(entry.name): int(fields[PARENT])
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (fields := stat_of(int(entry.name)))
    }
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Spent by these since each began."""
    fields = [stat for pid in pids if (stat := stat_of(pid))]
    return sum(int(stat[USER_TIME]) + int(stat[SYSTEM_TIME]) for stat in fields) / TICKS


def resident_mb(pid: int) -> float:
    """Memory that only it has, with what it shares."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def bytes_below(directory: Path) -> int:
    """What they take on the disk: Kafka's indexes are as long as they may become. Files come and go meanwhile."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_blocks * BLOCK
            except FileNotFoundError:
                continue
    return total


def metric(port: int, name: str) -> float:
    """The sum of a metric over its labels. Raises LookupError when it is not there."""
    lines = ask(port, "/metrics").body.decode().splitlines()
    found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    if not found:
        raise LookupError(f"the page of metrics at port {port} has no {name}")
    return sum(found)
