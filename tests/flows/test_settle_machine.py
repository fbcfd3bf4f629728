"""Any order of releases, claims, pages, failures, crashes and commands: the promises hold after each of them.

The store is a real SQLite file and what a page means is the workers' own decision; Google is a small model whose pages
shift. Nothing is concurrent here, because nothing needs to be: every transaction is one step of the machine.
"""

import copy
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from app.google.errors import ErrorKind
from app.models.errors import IllegalTransitionError
from app.models.job import ENDED, OPEN, HeldTask, JobStatus, Problem, Stage, TaskStatus, Work
from app.models.settlement import Settled, Settlement, SettleOptions
from app.models.transitions import TRANSITIONS, JobAction
from app.models.views import RedriveRequest
from app.pipeline import refusals
from app.pipeline.outcome import DeadLetter, Outcome, Retry, Snooze, Spent
from app.pipeline.settle import Situation, settlement_of
from app.pipeline.worker import Worker, _carry_on
from app.retry.policy import ExponentialBackoffPolicy
from app.store import control
from app.store.database import Transaction
from app.store.redrive import match_dead_letters, redrive
from app.store.release import Window, release
from app.store.settle import settle
from app.store.submit import NewJob, submit
from app.store.tasks import claim, extend, reclaim_all, reclaim_expired
from app.store.tidy import tidy
from tests.flows.settle_model import TABLES, Contents, Known, Row, World, open_store, template, worlds
from tests.unit.pipeline.stage import Bench, ListeningStore, ScriptedGoogle, error

LEASE, TOKEN_WAIT, WINDOW = 15.0, 600.0, 4
OPTIONS = SettleOptions(announce=True, token_wait=TOKEN_WAIT)
POLICY = ExponentialBackoffPolicy(initial_ms=1, max_ms=2, max_retries=2, random=lambda: 0.0)
TENANT = "default"


@cache
def workers() -> dict[Stage, Worker[Any]]:
    """Only asked what a page or a refusal means; they never run."""
    return {stage: Bench(stage, ScriptedGoogle(), ListeningStore()).worker for stage in Stage}


KINDS = st.sampled_from(
    ["page"] * 8 + ["retry", "snooze", "not_found", "forbidden", "token", "page_token", "unverified", "gone"]
)

REFUSED = {"not_found": 404, "forbidden": 403, "unverified": 400}
PROBLEMS: dict[str, Outcome] = {
    "retry": Retry(Problem("http_503", "Google answered 503.")),
    "gone": DeadLetter(Problem("crash_loop", "It seems to end its process.")),
}

WHAT_HAPPENS = (
    *["settle"] * 10,
    *["go on"] * 4,
    *["old messages", "zombie"] * 3,
    *["lag"] * 2,
    *["crash", "leases run out", "extension", "shift", "command", "another job", "housekeeping"],
)

Draw = Callable[[st.SearchStrategy[Any]], Any]


class SettleMachine(RuleBasedStateMachine):
    """The store between workers that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="settle-machine-"))
        shutil.copy(template(), self.directory / "store.db")
        self.connection = open_store(self.directory / "store.db")
        self.now = 1_700_000_000.0
        self.known: dict[str, Known] = {}
        self.messages: list[Work] = []
        self.held: list[HeldTask] = []
        self.past: list[Settlement] = []
        self.rows: dict[int, Row] = {}
        self.seen: Contents | None = None

    # --- what happens

    @initialize(world=worlds)
    def first_job(self, world: World) -> None:
        self.submit(world)
        self.release()
        self.take(self.messages)

    @rule(data=st.data(), what=st.sampled_from(WHAT_HAPPENS))
    def happen(self, data: st.DataObject, what: str) -> None:
        """One thing of many; where there is nothing that it could happen to, the usual course goes on."""
        possible = {"settle": self.held, "zombie": self.past, "old messages": self.messages}
        if not possible.get(what, True):
            what = "go on"
        getattr(self, what.replace(" ", "_"))(data.draw)

    def submit(self, world: World) -> None:
        job_id = f"job-{len(self.known)}"
        (answer,) = self.write(submit, [NewJob(job_id, TENANT, "key-1", b"sealed")])
        assert answer.job_id == job_id
        self.known[job_id] = Known(world)

    def another_job(self, draw: Draw) -> None:
        if len(self.known) < 3:
            self.submit(draw(worlds))

    def go_on(self, draw: Draw) -> None:
        """What is released is claimed, once."""
        self.release()
        self.take(self.messages[-2 * WINDOW :])

    def lag(self, draw: Draw) -> None:
        """What is released stays where it is."""
        self.release()

    def old_messages(self, draw: Draw) -> None:
        """Of all messages there ever were, old copies and duplicates included, some are claimed."""
        at = st.integers(0, len(self.messages) - 1)
        self.take([self.messages[-1 - age] for age in draw(st.lists(at, min_size=1, max_size=6))])

    def settle(self, draw: Draw) -> None:
        task = draw(st.sampled_from(self.held))
        self.settle_one(task, self.outcome(task, draw(KINDS)), draw(st.booleans()))

    def zombie(self, draw: Draw) -> None:
        """Somebody settles what was settled, or what another has taken over, a moment or long ago."""
        age = draw(st.integers(0, len(self.past) - 1))
        before = self.store
        assert self.write(settle, self.past[-1 - age], OPTIONS).move is None
        assert self.store == before

    def crash(self, draw: Draw) -> None:
        self.held.clear()
        self.write(reclaim_all)

    def leases_run_out(self, draw: Draw) -> None:
        """Unnoticed, the holders settle in good faith what is no longer theirs."""
        self.now += LEASE + 1
        self.write(reclaim_expired)
        if draw(st.booleans()):
            self.held.clear()

    def extension(self, draw: Draw) -> None:
        self.write(extend, [task.task_id for task in self.held], "worker", LEASE)

    def shift(self, draw: Draw) -> None:
        world = self.known[draw(st.sampled_from(sorted(self.known)))].world
        name = draw(st.sampled_from(sorted(world.reviews)))
        insert, edit, delete = (draw(st.integers(0, 2)) for _ in range(3))
        ids = world.reviews[name]
        del ids[:delete]
        ids[:] = ids[len(ids) - edit :] + ids[: len(ids) - edit]
        ids[:0] = [f"{name}:new-{len(ids)}-{self.now}-{number}" for number in range(insert)]
        world.changed = True

    def command(self, draw: Draw) -> None:
        self.act(draw(st.sampled_from(sorted(self.known))), draw(st.sampled_from(JobAction)))

    def housekeeping(self, draw: Draw) -> None:
        self.now += draw(st.sampled_from([0.01, 1.0, TOKEN_WAIT]))
        self.write(tidy, TOKEN_WAIT, 100)
        for job_id, known in self.known.items():
            job = self.job(job_id)
            if known.end is None and job["status"] == JobStatus.FAILED:
                known.end = job

    # --- how it is done

    def release(self) -> None:
        for stage in Stage:
            works = self.write(release, stage, Window(WINDOW, WINDOW)).works
            assert len(works) <= WINDOW
            self.messages += works

    def take(self, works: list[Work]) -> None:
        wanted = [(work.task_id, work.version) for work in works]
        current = {(row["id"], row["version"]) for row in self.store.tasks if row["status"] == "released"}
        taken = self.write(claim, wanted, "worker", LEASE)
        assert len({task.task_id for task in taken}) == len(taken)
        for task in taken:
            assert (task.task_id, task.version - 1) in current & set(wanted)
            assert self.job(task.job_id)["status"] == JobStatus.PROCESSING
        self.held += taken

    def outcome(self, task: HeldTask, kind: str) -> Outcome:
        worker = workers()[task.stage]
        refused = PROBLEMS.get(kind)
        if kind == "page":
            return worker.advance(task, self.known[task.job_id].world.page(task))
        if kind == "token":
            return refusals.token_refused(task, error(ErrorKind.UNAUTHENTICATED, 401), self.now)
        if kind == "page_token" and task.cursor is not None:
            failure = error(ErrorKind.PAGE_TOKEN_REFUSED, 400)
            return refusals.start_again(task, failure) or worker.page_token_refused_again(task, failure)
        if kind in REFUSED and task.stage is not Stage.ACCOUNTS:
            return worker.refused(task, error(ErrorKind.REFUSED, REFUSED[kind]))
        return refused or Snooze(self.now + 0.5, "quota")

    def settle_one(self, task: HeldTask, outcome: Outcome, yields: bool) -> None:
        settlement = settlement_of(task, outcome, Spent(calls=1), Situation(POLICY, self.now, yields))
        self.past.append(copy.copy(settlement))
        self.past[-1].task = copy.copy(task)
        before, attempt = self.store.task(task.task_id), task.attempt
        job_before = self.job(task.job_id)
        settled: Settled = self.write(settle, settlement, OPTIONS)
        if settled.move is None:
            assert before["version"] != task.version or job_before["status"] in ENDED
            self.held.remove(task)
            return
        assert before["version"] == task.version
        assert job_before["status"] in OPEN
        self.note(task, settlement, settled)
        row = self.store.task(task.task_id)
        failed = isinstance(outcome, Retry | DeadLetter) and settled.status is not TaskStatus.DONE
        assert row["attempt"] <= attempt + failed
        if settled.status is TaskStatus.HELD:
            _carry_on(task, settled)
        else:
            self.held.remove(task)

    def note(self, task: HeldTask, settlement: Settlement, settled: Settled) -> None:
        known = self.known[task.job_id]
        known.calls += 1
        found = {(task.resource, item.review_id) for item in settlement.reviews}
        assert settled.new_reviews == len(found - known.settled)
        known.settled |= found
        if settled.job_ended is not None:
            assert known.end is None
            known.end = self.job(task.job_id)
            assert known.end["status"] == settled.job_ended

    def act(self, job_id: str, action: JobAction) -> None:
        before, known = self.job(job_id), self.known[job_id]
        if action is JobAction.REDRIVE:
            found = self.write(match_dead_letters, TENANT, RedriveRequest(all=True), None, 100)
            self.write(redrive, TENANT, [letter.id for letter in found])
            for other_id, other in self.known.items():
                if other.end is not None and self.job(other_id)["status"] in OPEN:
                    assert other.end["status"] == JobStatus.DLQ
                    other.end = None
            return
        calls: dict[JobAction, Callable[[], object]] = {
            JobAction.CANCEL: lambda: self.write(control.cancel, TENANT, job_id),
            JobAction.PAUSE: lambda: self.write(control.pause, TENANT, job_id),
            JobAction.RESUME: lambda: self.write(control.resume, TENANT, job_id),
            JobAction.REPLACE_TOKEN: lambda: self.write(
                control.replace_token, TENANT, job_id, "key-1", b"new", token_wait=TOKEN_WAIT
            ),
        }
        possible = TRANSITIONS[action].get(JobStatus(before["status"]))
        if possible is None:
            with pytest.raises(IllegalTransitionError):
                calls[action]()
            return
        calls[action]()
        after = self.job(job_id)
        assert after["status"] in possible
        if after["status"] in ENDED:
            known.end = after

    # --- what always holds

    @invariant()
    def counters_are_what_a_count_says(self) -> None:
        for job_id in self.known:
            job = self.job(job_id)
            if job["status"] in (*OPEN, JobStatus.COMPLETED, JobStatus.DLQ):
                counts = self.store.counts(job_id)
                assert {name: job[name] for name in counts} == counts
            assert job["calls"] == self.known[job_id].calls

    @invariant()
    def rows_are_the_reviews_of_the_pages_that_were_settled_each_once(self) -> None:
        for job_id, known in self.known.items():
            rows = self.store.reviews_of(job_id)
            assert len(rows) == len(set(rows))
            assert set(rows) == known.settled

    @invariant()
    def a_job_ends_with_its_last_task_and_then_never_changes(self) -> None:
        for job_id, known in self.known.items():
            job = self.job(job_id)
            assert (job["status"] in ENDED) == (known.end is not None)
            if job["status"] in OPEN:
                assert job["tasks_open"] > 0
            elif job["status"] in (JobStatus.COMPLETED, JobStatus.DLQ):
                assert job["tasks_open"] == 0
                assert (job["tasks_dead"] > 0) == (job["status"] == JobStatus.DLQ)
            if known.end is not None:
                assert _lasting(job) == _lasting(known.end)

    @invariant()
    def a_task_changes_only_under_a_higher_version(self) -> None:
        rows = {row["id"]: row for row in self.store.tasks}
        for task_id, before in self.rows.items():
            after = rows[task_id]
            if {**after, "lease_until": None} != {**before, "lease_until": None}:
                assert after["version"] > before["version"]
        self.rows = rows

    @invariant()
    def every_dead_task_has_its_letter_and_no_other(self) -> None:
        for job_id in self.known:
            dead = {row["id"] for row in self.store.of(job_id, "tasks") if row["status"] == "dead"}
            letters = self.store.of(job_id, "dead_letters")
            assert dead == {letter["task_id"] for letter in letters if letter["redriven_at"] is None}

    def teardown(self) -> None:
        """Left alone, with a good Google, every job ends; and what was not disturbed is complete."""
        try:
            self.drain()
        finally:
            self.connection.close()
            shutil.rmtree(self.directory)

    def drain(self) -> None:
        self.held.clear()
        for job_id in self.known:
            for action in (JobAction.RESUME, JobAction.REPLACE_TOKEN):
                if self.job(job_id)["status"] in (JobStatus.PAUSED, JobStatus.NEEDS_TOKEN):
                    self.act(job_id, action)
        for _ in range(400):
            if all(self.job(job_id)["status"] in ENDED for job_id in self.known):
                break
            self.now += LEASE + 1
            self.write(reclaim_expired)
            self.held.clear()
            self.release()
            self.take(self.messages[-3 * WINDOW :])
            while self.held:
                self.settle_one(self.held[0], self.outcome(self.held[0], "page"), yields=True)
            self.a_task_changes_only_under_a_higher_version()
        for job_id in self.known:
            assert self.job(job_id)["status"] in ENDED
        for check in (
            self.counters_are_what_a_count_says,
            self.rows_are_the_reviews_of_the_pages_that_were_settled_each_once,
            self.a_job_ends_with_its_last_task_and_then_never_changes,
            self.what_was_read_undisturbed_is_complete,
        ):
            check()

    def what_was_read_undisturbed_is_complete(self) -> None:
        for job_id, known in self.known.items():
            if known.world.changed or self.job(job_id)["status"] not in (JobStatus.COMPLETED, JobStatus.DLQ):
                continue
            for place in self.store.of(job_id, "locations"):
                if (place["state"], place["cause"]) == ("done", None):
                    name = place["location"]
                    assert {row for row in known.settled if row[0] == name} == {
                        row for row in known.world.truth() if row[0] == name
                    }

    def write(self, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.seen = None
        with self.connection.begin():
            return work(Transaction(self.connection, self.now), *arguments, **named)

    @property
    def store(self) -> "Contents":
        """All rows, read once after each write."""
        if self.seen is None:
            self.seen = Contents(*(self.write(_all, table) for table in TABLES))
        return self.seen

    def job(self, job_id: str) -> Row:
        (job,) = [job for job in self.store.jobs if job["id"] == job_id]
        return job


def _all(transaction: Transaction, table: Any, *where: Any) -> list[Row]:
    rows = transaction.connection.execute(select(table).where(*where).order_by(*table.primary_key)).mappings()
    return [dict(row) for row in rows]


def _lasting(job: Row) -> Row:
    """A job that ended in `dlq` may be given another token."""
    may_change = {"credential_version", "token_expires_at", "updated_at", "error_type", "error_detail", "error_status"}
    return {name: value for name, value in job.items() if job["status"] != "dlq" or name not in may_change}


def run_machine(examples: int, steps: int, phases: tuple[Phase, ...]) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=phases,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=True,
    )
    run_state_machine_as_test(SettleMachine, settings=chosen)


def test_the_promises_hold_after_every_step() -> None:
    """Shrinking takes minutes: it is for the nightly run."""
    run_machine(examples=40, steps=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_promises_hold_after_every_step_of_many_long_runs() -> None:
    run_machine(examples=1500, steps=100, phases=tuple(Phase))
