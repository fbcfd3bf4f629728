"""The table: what was promised, what was found, and whether that is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from chaos.arena import Case
from chaos.checks import (
    Accepted,
    Call,
    Progress,
    Sample,
    Span,
    Stall,
    Wasted,
    bucket_overshoot,
    most_within,
    percentile,
    progress,
    stalls,
    unexplained,
    wasted_calls,
    worst_stall,
)
from chaos.door import Door, accepted, longest_closed, refusals
from chaos.judge import Findings

MOST_RECOVERY = 30.0
MOST_STALL = 5.0
MOST_STOP = 25.0
MOST_CLOSED = 10.0
"""A replica that hangs is left after 5 s, and the next may hang as well."""

AWAY = "work without a broker"
MINUTE = 60.0
APIS = ("accounts", "locations", "reviews")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `kept` None: it only informs."""

    name: str
    found: str
    target: str = ""
    kept: bool | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the replicas were told to keep."""

    capacity: int
    rate: float
    per_minute: int


@dataclass
class Evidence:
    """Everything a run has collected, none of it from the service. `fell`: replicas that ended by themselves.

    `between`: what was lost or doubled when a round was over. What comes later than that is late.
    """

    jobs: Accepted
    accepted: int
    findings: Findings
    cases: list[Case]
    calls: list[Call]
    samples: list[Sample]
    received: Sequence[float]
    stopped: list[float]
    limits: Limits
    counters_off: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)
    buried: list[str] = field(default_factory=list)
    fell: list[int] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    door: Door | None = None
    between: Findings = field(default_factory=Findings)


def rows(evidence: Evidence) -> list[Row]:
    jobs, findings = evidence.jobs, evidence.findings
    lost, doubled = findings.lost + len(jobs.missing), findings.doubled + len(jobs.unasked)
    return [
        Row("cases", str(len(evidence.cases))),
        Row("kills", str(sum(case.kills for case in evidence.cases))),
        Row("jobs accepted", f"{evidence.accepted:,}", "some", evidence.accepted > 0),
        read_row(evidence),
        none_of("data lost", lost),
        none_of("data doubled", doubled),
        none_of("broken between rounds", evidence.between.lost + evidence.between.doubled),
        none_of("jobs stuck", len(jobs.stuck)),
        none_of("jobs not completed", len(jobs.failed) + len(evidence.refused)),
        none_of("jobs miscounted", len(evidence.counters_off)),
        wasted_row(evidence),
        quota_row(evidence),
        recovery_row(evidence.cases),
        stall_row(evidence),
        *away_rows(evidence),
        stop_row(evidence.stopped),
        *door_rows(evidence),
        none_of("poison not buried", len(set(evidence.poison) - set(evidence.buried))),
        none_of("replicas fallen", len(evidence.fell)),
        none_of("secrets left in", len(evidence.secrets)),
        none_of("not tested", len(not_tested(evidence.cases))),
    ]


def none_of(name: str, count: int) -> Row:
    return Row(name, f"{count:,}", "0", count == 0)


def not_tested(cases: Iterable[Case]) -> list[Case]:
    """What was planned and met nothing, or was broken off."""
    return [case for case in cases if not case.reached or case.failed]


def read_row(evidence: Evidence) -> Row:
    unread = evidence.findings.unread
    found = f"{len(evidence.received):,}" + (f", {len(unread)} partitions not to their end" if unread else "")
    return Row("reviews read", found, "some, to the end", bool(evidence.received) and not unread)


def wasted_row(evidence: Evidence) -> Row:
    """As many as pages were in flight when somebody died, and none that no death explains."""
    wasted = wasted_calls(evidence.calls)
    in_flight = sum(case.in_flight for case in evidence.cases)
    without_excuse = without_death(evidence, wasted)
    found = f"{len(wasted)} of {len(evidence.calls):,}"
    if without_excuse:
        found += f", {len(without_excuse)} without a death"
    return Row("calls wasted", found, f"≤ {in_flight} in flight", len(wasted) <= in_flight and not without_excuse)


def without_death(evidence: Evidence, wasted: Iterable[Wasted]) -> list[Wasted]:
    return unexplained(wasted, [death for case in evidence.cases for death in case.deaths])


def quota_row(evidence: Evidence) -> Row:
    """The worst of the three APIs, by when the calls reached Google."""
    limits = evidence.limits
    times = {api: [float(call["time"]) for call in evidence.calls if call["api"] == api] for api in APIS}
    bucket = max((bucket_overshoot(each, limits.capacity, limits.rate) for each in times.values() if each), default=0.0)
    minute = max(most_within(each, MINUTE) for each in times.values())
    over = max(0.0, bucket, float(minute - limits.per_minute))
    found = f"{minute:,} of {limits.per_minute:,} a minute; bucket {bucket:+.1f}"
    return Row("worst quota window", found, "overshoot 0", over == 0)


def recovery_row(cases: Sequence[Case]) -> Row:
    seconds = [case.recovered for case in cases if case.recovered is not None]
    never = sum(case.recovered is None for case in cases)
    p50, p99 = percentile(seconds, 0.5), percentile(seconds, 0.99)
    found = f"{p50:.1f} s / {p99:.1f} s" + (f", {never} never" if never else "")
    return Row("recovery p50/p99", found, f"p99 ≤ {MOST_RECOVERY:.0f} s", p99 <= MOST_RECOVERY and not never)


def longest_stall(evidence: Evidence) -> Stall:
    """Of the records after the first: Kafka makes its own topics at the first transaction, which takes seconds."""
    beginning = [(0.0, min(evidence.received))] if evidence.received else []
    return worst_stall(stalls(evidence.samples, evidence.received), [*beginning, *outages(evidence.cases)])


def stall_row(evidence: Evidence) -> Row:
    stall = longest_stall(evidence)
    usual = percentile([each.seconds for each in stalls(evidence.samples, evidence.received)], 0.5)
    return Row(
        "reader stall",
        f"{stall.seconds:.1f} s (half within {usual:.1f} s)",
        f"≤ {MOST_STALL:.0f} s",
        stall.seconds <= MOST_STALL,
    )


def outages(cases: Iterable[Case]) -> list[Span]:
    """From a server's end until work went on again, or until another has taken its place."""
    return [(case.began, case.replaced or case.ended + (case.recovered or 0.0)) for case in cases if case.outage]


def away_rows(evidence: Evidence) -> list[Row]:
    """Only where a broker was away that others had to replace: the time until it was back, the worst one.

    Nothing is asked of a time in which a second server was away.
    """
    spans = [(case, (case.replaced, case.restored)) for case in evidence.cases if case.replaced and case.restored]
    alone = [span for case, span in spans if not _another_was_away(case, evidence.cases)]
    if not spans:
        return []
    if not alone:
        return [Row(AWAY, "not judged: another server was away as well")]
    found = [progress(evidence.samples, evidence.received, span) for span in alone]
    return [Row(AWAY, _worst(found), "some of both", all(min(each) > 0 for each in found))]


def _worst(found: Iterable[Progress]) -> str:
    pages, records = (min(each) for each in zip(*found, strict=True))
    return f"{pages:,} pages, {records:,} records"


def _another_was_away(case: Case, cases: Iterable[Case]) -> bool:
    others = [other for other in cases if other.outage and other is not case]
    return any(other.began <= case.ended and case.began <= other.ended + (other.recovered or 0.0) for other in others)


def stop_row(stopped: Sequence[float]) -> Row:
    if not stopped:
        return Row("SIGTERM to exit", "-")
    longest = max(stopped)
    return Row("SIGTERM to exit", f"{longest:.1f} s", f"≤ {MOST_STOP:.0f} s", longest <= MOST_STOP)


def door_rows(evidence: Evidence) -> list[Row]:
    """Only where a proxy stands before the replicas."""
    door = evidence.door
    if door is None:
        return []
    seconds = longest_closed(door, closed(evidence.cases))
    refused = refusals(door.knocks)
    let_in = len(accepted(door.knocks))
    knocked = f"{len(door.knocks):,}, {let_in:,} accepted" + (", broken off" if door.failed else "")
    return [
        Row("POSTs through the proxy", knocked, "some accepted", let_in > 0 and not door.failed),
        Row("longest without a 202", f"{seconds:.1f} s", f"≤ {MOST_CLOSED:.0f} s", seconds <= MOST_CLOSED),
        none_of("POSTs refused", len(refused)),
    ]


def closed(cases: Iterable[Case]) -> list[Span]:
    """When the database was away, where every job is written down."""
    return [(case.began, case.ended + (case.recovered or 0.0)) for case in cases if case.closed]


def table(found: Iterable[Row], title: str) -> Table:
    drawn = Table(title=title, title_justify="left")
    for column in ("", "found", "target", ""):
        drawn.add_column(column, justify="left")
    for row in found:
        drawn.add_row(row.name, row.found, row.target, {None: "", True: "kept", False: "MISSED"}[row.kept])
    return drawn
