"""How many tests ran over each adapter: the closing table of a test run."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import pytest

ADAPTERS = ("sqlite", "postgresql", "in-process", "kafka")

OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


def adapters_of(nodeid: str, keywords: Collection[str]) -> list[str]:
    """The adapters that a test says it runs over: by its marker, or by a word of its parameters' id."""
    parameters = nodeid.partition("[")[2].lower().replace("_", "-")
    return [name for name in ADAPTERS if name in keywords or re.search(rf"\b{name}\b", parameters)]


def count(reports: Mapping[str, Iterable[object]]) -> dict[str, Counter[str]]:
    """Adapter → outcome → tests, from pytest's reports by outcome."""
    counts = {adapter: Counter[str]() for adapter in ADAPTERS}
    for outcome in OUTCOMES:
        for report in reports.get(outcome, ()):
            if isinstance(report, pytest.TestReport):
                for adapter in adapters_of(report.nodeid, report.keywords):
                    counts[adapter][outcome] += 1
    return counts


def describe(counts: Mapping[str, Counter[str]], versions: Mapping[str, str]) -> list[str]:
    """One line for each adapter."""
    lines = []
    for adapter, outcomes in counts.items():
        said = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()) or "no test"
        lines.append(f"{adapter:<12}{versions.get(adapter, '-'):<20}{said}")
    return lines
