"""The closing table counts a test for the adapters that it says it runs over."""

import pytest

from tests.support.adapters import adapters_of, count, describe


@pytest.mark.parametrize(
    ("nodeid", "keywords", "adapters"),
    [
        ("test_a.py::test_x", ["kafka"], ["kafka"]),
        ("test_a.py::test_x[sqlite-good]", [], ["sqlite"]),
        ("test_a.py::test_x[in_process-postgresql]", ["postgresql"], ["postgresql", "in-process"]),
        ("test_sqlite.py::test_sqlite[other]", [], []),
        ("test_a.py::test_x[notsqlite]", [], []),
    ],
    ids=["marker", "parameter", "both", "name of the test", "part of a word"],
)
def test_a_marker_or_a_word_of_the_parameters_names_the_adapter(
    nodeid: str, keywords: list[str], adapters: list[str]
) -> None:
    assert adapters_of(nodeid, keywords) == adapters


def test_the_table_gives_each_adapter_its_version_and_outcomes() -> None:
    def report(nodeid: str) -> pytest.TestReport:
        return pytest.TestReport(nodeid, ("", None, ""), {}, "passed", None, "call")

    reports: dict[str, list[object]] = {
        "passed": [report("a[kafka]"), report("b[kafka]")],
        "skipped": [report("c[kafka]")],
        "warnings": ["w"],
    }

    lines = describe(count(reports), {"kafka": "Kafka 4.1"})

    assert lines[-1].split() == ["kafka", "Kafka", "4.1", "2", "passed,", "1", "skipped"]
    assert lines[0].split() == ["sqlite", "-", "no", "test"]
