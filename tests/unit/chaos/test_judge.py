"""The judge reads to the end of the topic before it says that nothing came twice."""

from pathlib import Path
from typing import Any, cast

import pytest

from chaos import judge
from chaos.google import Google
from chaos.judge import Judge
from chaos.orders import Order
from chaos.records import Records
from chaos.store import Store

REVIEW = ("locations/1", "a")
FIRST = "1.0\t0\t0\tj\tlocations/1\ta\n"
AGAIN = "2.0\t0\t1\tj\tlocations/1\ta\n"


class Known:
    """Stands for a store and a Google that agree on one job of one review."""

    def rows(self, _statement: str) -> list[tuple[int]]:
        return [(1,)]

    def jobs(self) -> dict[str, str]:
        return {"j": "completed"}

    def reviews(self, _job: str) -> list[tuple[str, str]]:
        return [REVIEW]

    def eventually(self, ask: Any) -> Any:
        return ask(self)

    def truth(self, _token: str) -> list[tuple[str, str]]:
        return [REVIEW]


class Topic:
    """One partition, and what its reader has written down. `later` happens at the third question for its end."""

    def __init__(self, written: Path) -> None:
        self.end = 1
        self.asked = 0
        self.later = ""
        self._written = written
        written.write_text(f"# reading\n{FIRST}# end\t0\t1\n")

    def ends(self) -> dict[int, int]:
        self.asked += 1
        if self.asked == 3 and self.later:
            self.end = 2
            with self._written.open("a") as file:
                file.write(self.later)
        return {0: self.end}


@pytest.fixture
def topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Topic:
    monkeypatch.setattr(judge, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(judge, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(judge, "READER_SECONDS", 0.4)
    return Topic(tmp_path / "records.tsv")


@pytest.fixture
def judging(topic: Topic, tmp_path: Path) -> Judge:
    known = Known()
    return Judge(cast(Store, known), cast(Google, known), Records(tmp_path / "records.tsv"), topic.ends)


def test_what_was_read_to_its_end_once_is_well(judging: Judge) -> None:
    findings, jobs = judging.at_the_end([Order("j", "t")])
    assert (findings.lost, findings.doubled, findings.unread, findings.examples) == (0, 0, [], [])
    assert not any(jobs)


def test_the_last_batch_that_comes_twice_is_found_although_all_rows_were_there(judging: Judge, topic: Topic) -> None:
    topic.later = f"{AGAIN}# end\t0\t2\n"
    findings, _ = judging.at_the_end([Order("j", "t")])
    assert findings.doubled == 1


def test_a_partition_that_is_not_read_to_its_end_is_told(judging: Judge, topic: Topic) -> None:
    topic.end = 5
    findings, _ = judging.at_the_end([Order("j", "t")])
    assert findings.unread == [0]
    assert findings.examples == ["partition 0 was not read to its end"]
