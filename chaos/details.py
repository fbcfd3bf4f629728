"""What a person needs to look into each row that is red."""

from collections.abc import Iterator

from chaos.arena import Case
from chaos.checks import Stall, wasted_calls
from chaos.door import refusals
from chaos.verdict import MOST_STALL, Evidence, longest_stall, not_tested, without_death

SOME = 20
"""The first few say enough."""


def details(evidence: Evidence) -> list[str]:
    """In words; nothing for a run in which all was kept."""
    return [*_jobs(evidence), *_calls(evidence), *_disturbances(evidence)]


def _jobs(evidence: Evidence) -> Iterator[str]:
    jobs = evidence.jobs
    yield from evidence.findings.examples[:SOME]
    yield from (f"job {job} is not in the store" for job in jobs.missing)
    yield from (f"job {job} never ended" for job in jobs.stuck)
    yield from (f"job {job} ended, but not well" for job in jobs.failed)
    yield from (f"job {job} was never answered 202" for job in jobs.unasked)
    yield from (f"the counters of job {job} disagree with its rows" for job in evidence.counters_off)
    yield from (f"a POST was answered {refusal}" for refusal in evidence.refused)
    yield from (f"after a round: {example}" for example in evidence.between.examples[:SOME])
    if evidence.door is not None:
        for knock in refusals(evidence.door.knocks)[:SOME]:
            yield f"a POST through the proxy was answered {knock.status} {knock.body}"
        if evidence.door.failed:
            yield f"nobody knows whether the proxy let POSTs in to the end: {evidence.door.failed}"


def _calls(evidence: Evidence) -> Iterator[str]:
    for page in without_death(evidence, wasted_calls(evidence.calls))[:SOME]:
        yield f"{page.path} {page.page_token} was read twice, {page.again - page.first:.1f} s apart"


def _disturbances(evidence: Evidence) -> Iterator[str]:
    for case in not_tested(evidence.cases):
        yield f"{case.name} was not tested: {case.failed or case.told or 'nothing to disturb'}"
    for key in sorted(set(evidence.poison) - set(evidence.buried))[:SOME]:
        yield f"{key} is not on the dead-letter topic"
    yield from (f"replica {number} ended by itself" for number in evidence.fell)
    yield from (f"a secret is in {place}" for place in evidence.secrets[:SOME])
    stall = longest_stall(evidence)
    if stall.seconds > MOST_STALL:
        yield f"a review waited {stall.seconds:.1f} s for the reader, {_when(stall, evidence.cases)}"


def _when(stall: Stall, cases: list[Case]) -> str:
    """Which disturbance it met, and how long after its beginning the wait began and ended."""
    for case in cases:
        if case.began <= stall.received and stall.settled <= case.ended + (case.recovered or 0.0):
            return f"from {stall.settled - case.began:+.1f} to {stall.received - case.began:+.1f} s of {case.name}"
    return "while nothing was disturbed"
