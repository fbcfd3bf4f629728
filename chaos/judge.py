"""Compares what is true with what the store and the reader have, job by job; and the whole run at its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.checks import Accepted, Review, compare, follow_up
from chaos.google import Google
from chaos.orders import Order
from chaos.records import Ends, Records
from chaos.store import Store

READER_SECONDS = 30.0
"""For the last records to reach the reader, once nothing new comes."""

QUIET_SECONDS = 5.0
"""How long nothing may come once all is read: longer than a publisher's lease, after which another may send again."""

LATE_SECONDS = 30.0
"""For the last records of a job that has completed while others go on, and a broker comes back."""

LOOK_SECONDS = 0.2


@dataclass
class Findings:
    """What is lost and doubled, with the first few in words. `unread`: partitions not read to their end."""

    lost: int = 0
    doubled: int = 0
    examples: list[str] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    def join(self, other: "Findings") -> None:
        self.lost += other.lost
        self.doubled += other.doubled
        self.examples += other.examples

    def add(self, where: str, lost: list[Review], doubled: list[Review]) -> None:
        self.lost += len(lost)
        self.doubled += len(doubled)
        for what, found in (("lost", lost), ("doubled", doubled)):
            if found:
                self.examples.append(f"{len(found)} {what} {where}, the first {found[0]}")


class Judge:
    """Asks the store and Google itself; believes nothing of what the service says."""

    def __init__(self, store: Store, google: Google, records: Records, ends: Callable[[], Ends]) -> None:
        self._store = store
        self._google = google
        self._records = records
        self._ends = ends
        self._judged: set[str] = set()

    def so_far(self, orders: list[Order]) -> Findings:
        """The jobs that completed since the last time, once their last records had time to arrive."""
        stored = self._store.eventually(lambda store: store.jobs())
        fresh = [
            order for order in orders if stored.get(order.job_id) == "completed" and order.job_id not in self._judged
        ]
        self._judged.update(order.job_id for order in fresh)
        deadline = time.monotonic() + LATE_SECONDS
        while True:
            self._records.look()
            found = self._compare(fresh)
            if not found.lost or time.monotonic() > deadline:
                return found
            time.sleep(LOOK_SECONDS)

    def at_the_end(self, orders: list[Order]) -> tuple[Findings, Accepted]:
        """All jobs, once the reader has had time for the last records."""
        unread = self._wait_for_reader()
        stored = self._store.jobs()
        findings = self._compare([order for order in orders if stored.get(order.job_id) == "completed"])
        findings.unread = unread
        findings.examples += [f"partition {number} was not read to its end" for number in unread]
        for job in sorted(self._records.jobs - stored.keys()):
            findings.add(f"in records of an unknown job {job}", [], self._records.of(job))
        return findings, follow_up([order.job_id for order in orders], stored)

    def _compare(self, orders: list[Order]) -> Findings:
        findings = Findings()
        for order in orders:
            true = self._google.truth(order.token)
            rows = self._store.eventually(lambda store, job=order.job_id: store.reviews(job))  # type: ignore[misc]
            findings.add(f"in the store of job {order.job_id}", *compare(true, rows))
            findings.add(f"by the reader of job {order.job_id}", *compare(true, self._records.of(order.job_id)))
        return findings

    def _wait_for_reader(self) -> list[int]:
        """Until it has read all that there is and nothing comes any more; the partitions that it has not.

        As many records as rows are no sign of the end: what is sent twice comes behind them.
        """
        (row,) = self._store.rows("SELECT count(*) FROM reviews")
        seen, since = (-1, self._ends()), time.monotonic()
        while True:
            now = self._records.look(), self._ends()
            if now != seen:
                seen, since = now, time.monotonic()
            records, ends = now
            unread = self._records.short_of(ends)
            complete = records >= int(row[0]) and not unread
            if time.monotonic() - since >= (QUIET_SECONDS if complete else READER_SECONDS):
                return unread
            time.sleep(LOOK_SECONDS)
