"""The promises as pure functions: what was found against what is true. Each says what is wrong, not only that it is."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

Review = tuple[str, str]
"""A location's name and a review's id."""

Call = Mapping[str, Any]
"""An entry of the simulated Google's ledger."""

Span = tuple[float, float]
"""From and to, by the machine's monotonic clock."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not overlap, in order."""
    apart: list[Span] = []
    for begin, end in sorted(spans):
        if apart and begin <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(apart[-1][1], end)
        else:
            apart.append((begin, end))
    return apart


def shared(span: Span, apart: Iterable[Span]) -> float:
    """Seconds of the span that lie in others, which do not overlap."""
    first, last = span
    return sum(max(0.0, min(last, end) - max(first, begin)) for begin, end in apart)


SPOILT = ("cut", "invalid_json", "empty_body")
"""Outcomes of a 200 whose page cannot be read."""


class Difference(NamedTuple):
    """`lost`: true and not found. `doubled`: found more than once (once for each time too many), or never true."""

    lost: list[Review]
    doubled: list[Review]


def compare(true: Iterable[Review], found: Iterable[Review]) -> Difference:
    """Each review once: no less and no more."""
    expected, counts = set(true), Counter(found)
    lost = sorted(expected - counts.keys())
    doubled = [
        review for review, count in sorted(counts.items()) for _ in range(count - 1 if review in expected else count)
    ]
    return Difference(lost, doubled)


class Accepted(NamedTuple):
    """What became of the jobs that were answered 202. Job ids."""

    missing: list[str]
    stuck: list[str]
    failed: list[str]
    unasked: list[str]


ENDED = ("completed", "failed", "dlq", "cancelled")


def follow_up(accepted: Iterable[str], stored: Mapping[str, str]) -> Accepted:
    """`stored`: job id → status. Every accepted job is there, has ended, and well; and none is there twice.

    `unasked` are jobs of the store that nobody was answered 202 for. A POST that broke off was repeated under its
    Idempotency-Key until it was answered, so there must be none.
    """
    known = set(accepted)
    return Accepted(
        missing=sorted(known - stored.keys()),
        stuck=sorted(job for job in known & stored.keys() if stored[job] not in ENDED),
        failed=sorted(job for job in known & stored.keys() if stored[job] in ENDED and stored[job] != "completed"),
        unasked=sorted(stored.keys() - known),
    )


class Wasted(NamedTuple):
    """A call that brought a page which an earlier call had brought. Times are those of the ledger."""

    path: str
    page_token: str
    first: float
    again: float


def brought_a_page(call: Call) -> bool:
    return call["status"] == 200 and call["outcome"] not in SPOILT and call["api"] not in ("tokeninfo", "token")


def wasted_calls(calls: Iterable[Call]) -> list[Wasted]:
    """Every page of a job once: each job has a token of its own, so that token, path and page token name a page."""
    wasted: list[Wasted] = []
    brought: dict[tuple[str, str, str], float] = {}
    for call in sorted(calls, key=lambda call: int(call["sequence"])):
        if not brought_a_page(call):
            continue
        page = str(call["token"]), str(call["path"]), str(call["page_token"])
        if page in brought:
            wasted.append(Wasted(page[1], page[2], brought[page], float(call["time"])))
        brought[page] = float(call["time"])
    return wasted


def unexplained(wasted: Iterable[Wasted], deaths: Iterable[float]) -> list[Wasted]:
    """What was read again although nobody who worked died between the two calls."""
    moments = sorted(deaths)
    return [page for page in wasted if bisect_left(moments, page.first) == bisect_right(moments, page.again)]


def bucket_overshoot(times: Iterable[float], capacity: float, rate: float) -> float:
    """By how many calls the worst stretch of T seconds holds more than capacity + rate · T; negative: room was left."""
    worst = start = -math.inf
    for index, moment in enumerate(sorted(times)):
        start = max(start, rate * moment - index)
        worst = max(worst, index + 1 - rate * moment + start)
    return worst - capacity


def most_within(times: Iterable[float], seconds: float) -> int:
    """The most calls in any half-open stretch of so many seconds."""
    moments = sorted(times)
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Sample(NamedTuple):
    """What the store held when it was asked at `time` (monotonic): settled pages, rows of reviews, unfinished jobs."""

    time: float
    pages: int
    reviews: int
    unfinished: int


class Stall(NamedTuple):
    """A review that was in the store from `settled` on (at the latest) and reached the reader at `received`.

    `excused`: seconds of that in which it waited for a server and not for the publisher.
    """

    settled: float
    received: float
    excused: float = 0.0

    @property
    def seconds(self) -> float:
        return max(0.0, self.received - self.settled - self.excused)


NO_STALL = Stall(0.0, 0.0)


def stalls(samples: Sequence[Sample], received: Iterable[float]) -> Iterator[Stall]:
    """How long each review that has arrived was on its way.

    The n-th to arrive is taken for the n-th to be committed, which was after the last sample that holds less than n:
    the answer is too long by one pause between samples at most.
    """
    totals = list(accumulate((sample.reviews for sample in samples), max))
    for number, moment in enumerate(sorted(received), start=1):
        before = bisect_left(totals, number) - 1
        if before >= 0:
            yield Stall(samples[before].time, moment)


def worst_stall(found: Iterable[Stall], outages: Sequence[Span]) -> Stall:
    """The longest, without the seconds of an outage of a server and of the recovery that belongs to it.

    An outage takes its own seconds from a wait that meets it, and no more: what stands still afterwards is no excuse.
    """
    apart = merged(outages)
    worst = NO_STALL
    for stall in found:
        if stall.seconds > worst.seconds:
            excused = stall._replace(excused=shared((stall.settled, stall.received), apart))
            worst = max(worst, excused, key=lambda one: one.seconds)
    return worst


class Progress(NamedTuple):
    """Pages that were settled and records that reached the reader within a span."""

    pages: int
    records: int


def progress(samples: Iterable[Sample], received: Iterable[float], span: Span) -> Progress:
    begin, end = span
    pages = [sample.pages for sample in samples if begin <= sample.time <= end]
    return Progress(max(pages, default=0) - min(pages, default=0), sum(begin <= moment <= end for moment in received))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
