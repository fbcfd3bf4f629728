"""How long a replica takes from its start to ready, and what an idle cluster costs."""

import time
from statistics import median

from rich.console import Console
from rich.table import Table

from cluster.borrowed import Cluster, borrowed
from cluster.lifecycle import Tell
from cluster.parts import Part
from cluster.sampling import cpu_seconds, resident_mb, with_children

STARTS = 5
READY_WITHIN = 60.0
QUIET_SECONDS = 15.0
"""Until what follows the last job is over: leases, statistics, the database's own tidying."""

LOOK_SECONDS = 0.01


def run(seconds: float, tell: Tell) -> None:
    """Prints two tables. `seconds`: how long the idle cluster is watched."""
    with borrowed({}, tell) as cluster:
        _work_once(cluster)
        time.sleep(QUIET_SECONDS)
        tell(f"watching the idle cluster for {seconds:.0f} s")
        Console().print(_idle(cluster, seconds))
        tell("starting a replica again and again")
        print(_described(_starts(cluster)))


def _work_once(cluster: Cluster) -> None:
    """Imports, pools and caches of the first job belong to no idle cluster."""
    cluster.submit("ya29.any-token-will-do")
    while cluster.unfinished():
        time.sleep(LOOK_SECONDS)


def _idle(cluster: Cluster, seconds: float) -> Table:
    families = {part.name: with_children(cluster.pid(part)) for part in cluster.parts}
    before = {name: cpu_seconds(pids) for name, pids in families.items()}
    began = time.monotonic()
    time.sleep(seconds)
    lasted = time.monotonic() - began
    table = Table("process", "CPU, % of one core", "resident, MB", title=f"idle for {lasted:.0f} s")
    total = 0.0
    for part in cluster.parts:
        share = 100 * (cpu_seconds(families[part.name]) - before[part.name]) / lasted
        total += share
        table.add_row(part.name, f"{share:.1f}", f"{resident_mb(cluster.pid(part)):.0f}")
    table.add_row("together", f"{total:.1f}", "")
    return table


def _starts(cluster: Cluster) -> list[tuple[float, float]]:
    """Seconds from the start of the process until its /readyz is 200, of a replica that joins others; and of CPU."""
    replica = cluster.replicas[0]
    taken = []
    for _ in range(STARTS):
        cluster.kill(replica)
        began = time.monotonic()
        cluster.start(replica)
        _wait(cluster, replica, began + READY_WITHIN)
        taken.append((time.monotonic() - began, cpu_seconds(with_children(cluster.pid(replica)))))
    return taken


def _wait(cluster: Cluster, part: Part, until: float) -> None:
    while not part.ready():
        cluster.pid(part)
        if time.monotonic() > until:
            raise TimeoutError(f"{part.name} was not ready within {READY_WITHIN:.0f} s")
        time.sleep(LOOK_SECONDS)


def _described(taken: list[tuple[float, float]]) -> str:
    each = ", ".join(f"{seconds:.2f}" for seconds, _ in taken)
    seconds, cpu = (median(one) for one in zip(*taken, strict=True))
    return f"start of a replica to ready: {seconds:.2f} s (median of {each}), {cpu:.2f} s of CPU in it"
