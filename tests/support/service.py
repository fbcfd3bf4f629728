"""The real service as a process: `python -m uvicorn app.main:app`, as a user starts it, killed and stopped at will.

Everything here blocks: these are tests of processes. Nothing sleeps for a guessed time: `eventually` looks until what
it waits for is there, and says so when it never is.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from app.simulator.faults import Faults
from tests.support.canaries import CANARIES
from tests.support.simulator import control
from tests.support.sweeping import sweep_process

JOBS = "/api/v1/review-fetch"
ENDED = ("completed", "failed", "dlq", "cancelled")

START_SECONDS = 60.0
ANSWER_SECONDS = 30.0
STOP_SECONDS = 25.0
"""What is promised of an orderly stop."""

METRICS_SECONDS = 1.0
LOOK_SECONDS = 0.02

ROOT = Path(__file__).resolve().parents[2]
_RUNNING = re.compile(r"(?:Uvicorn running|Listening) on (http://127\.0\.0\.1:\d+)")

T = TypeVar("T")
Review = tuple[str, str]
"""A location's name and a review's id."""


class Answer(NamedTuple):
    """What the service answered; header names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def eventually(look: Callable[[], T | None], seconds: float, what: str, every: float = LOOK_SECONDS) -> T:
    """The first thing `look` gives that is not None or False; AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)


class Service:
    """One running process of the service."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""
        self.headers: dict[str, str] = {}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def listening(self) -> "Service":
        """Returns when it takes requests, ready or not."""
        self.url = eventually(self._said_where, START_SECONDS, f"start of the service: {self.log}")
        return self

    def started(self) -> "Service":
        """Returns when it answers that it is ready."""
        self.listening()
        eventually(lambda: self.get("/readyz").status == 200, START_SECONDS, f"readiness: {self.log}")
        return self

    def request(self, method: str, path: str, body: Any = None, also: Mapping[str, str] | None = None) -> Answer:
        """`also`: more headers. Raises OSError or HTTPException when the service is not there, or dies before it has
        answered."""
        CANARIES.learn_request(self.headers, body)
        connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)
        try:
            data = None if body is None else json.dumps(body).encode()
            content = {"Content-Type": "application/json"} if data else {}
            connection.request(method, path, data, self.headers | content | dict(also or {}))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            content_of_answer = answer.read()
            CANARIES.search(f"the answer to {method}", [repr(headers).encode(), content_of_answer])
            return Answer(answer.status, headers, content_of_answer)
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, token: str) -> Answer:
        return self.request("POST", JOBS, {"access_token": token})

    def submit(self, token: str) -> str:
        """The id of a job that was accepted."""
        answer = self.post(token)
        assert answer.status == 202, answer
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.get(f"{JOBS}/{job_id}")
        assert answer.status == 200, answer
        return dict(answer.json())

    def job_ended(self, job_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """The job as soon as it has ended, however it did."""

        job: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            job.update(self.job(job_id))
            return job if job["status"] in ENDED else None

        try:
            return eventually(look, seconds, f"end of job {job_id}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {job}") from None

    def jobs(self) -> Iterator[dict[str, Any]]:
        """All jobs, page by page."""
        query: dict[str, Any] = {"limit": 500}
        while True:
            page = self.get(JOBS, **query).json()
            yield from page["jobs"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def audit_log(self) -> Iterator[dict[str, Any]]:
        """All entries, page by page."""
        query: dict[str, Any] = {"limit": 1000}
        more = True
        while more:
            page = self.get("/api/v1/audit", **query).json()
            yield from page["entries"]
            query["after"], more = page["next_cursor"], page["more"]

    def all_ended(self, seconds: float = 60.0) -> list[dict[str, Any]]:
        """Every job in the store, once none of them has anything left to do."""
        for status in ("pending", "processing"):
            eventually(partial(self._none_is, status), seconds, f"no job {status}")
        jobs = list(self.jobs())
        assert {job["status"] for job in jobs} <= set(ENDED)
        return jobs

    def exported(self, job_id: str) -> list[Review]:
        """Each review of the job as the NDJSON export has it, in order; one that is there twice is in it twice."""
        answer = self.get(f"{JOBS}/{job_id}/reviews", format="ndjson")
        assert answer.status == 200, answer
        lines = (json.loads(line) for line in answer.body.splitlines())
        return sorted((line["location"], line["review_id"]) for line in lines)

    def open_sockets(self) -> int:
        """Its files come and go with the work; connections only with clients."""
        return sum(_is_socket(path) for path in Path(f"/proc/{self.pid}/fd").iterdir())

    def resident_mb(self) -> float:
        """Resident memory now."""
        return _status_mb(self.pid, "VmRSS")

    def peak_resident_mb(self) -> float:
        return _status_mb(self.pid, "VmHWM")

    def kill(self) -> None:
        """kill -9, and gone."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def sweep(self) -> None:
        """Look for secrets in its arguments, and in its metrics if it shows them."""
        if not CANARIES.active or not self.url or self.process.poll() is not None:
            return
        sweep_process(self.pid)
        connection = http.client.HTTPConnection(*self.address, timeout=METRICS_SECONDS)
        try:
            connection.request("GET", "/metrics", headers=self.headers)
            CANARIES.search("metrics", [connection.getresponse().read()])
        except (OSError, http.client.HTTPException):  # it hangs, or cannot be asked: the test is about that
            pass
        finally:
            connection.close()

    def terminate(self, within: float = STOP_SECONDS) -> float:
        """SIGTERM; the seconds until it had ended in good order."""
        self.sweep()
        began = time.monotonic()
        self.process.terminate()
        self.process.wait(within + STOP_SECONDS)
        took = time.monotonic() - began
        assert took <= within, f"the stop took {took:.1f} s: {self.log}"
        assert "service.stopped" in self.log.read_text()
        return took

    def killed_itself(self, seconds: float = 60.0) -> None:
        """Returns when it has died at its crash point; red when it ends otherwise, or lives on."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the crash point was never reached: {self.log}") from None
        assert code == -signal.SIGKILL, f"ended with {code}: {self.log}"

    def _none_is(self, status: str) -> bool:
        return not self.get(JOBS, limit=1, status=status).json()["jobs"]

    def _said_where(self) -> str | None:
        assert self.process.poll() is None, f"ended with {self.process.returncode} at its start: {self.log}"
        found = _RUNNING.search(self.log.read_text(errors="replace"))
        return found[1] if found else None


class Site:
    """A data directory, the settings of its service, and every process started there."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.database = directory / "data" / "reviews.db"
        self.settings = {"DATABASE_URL": f"sqlite:///{self.database}", **settings}
        self.services: list[Service] = []
        self.program = ROOT
        """Whose code runs: a test may put another version here."""
        CANARIES.directories.add(directory)
        CANARIES.learn_settings(settings)

    def launch(self, **settings: str) -> Service:
        """A service that may not have started yet."""
        return self.launch_at(0, settings)

    def launch_at(self, port: int, settings: Mapping[str, str]) -> Service:
        """The same at a port; 0: a free one."""
        return self._launch(self._uvicorn(port), settings)

    def launch_by(self, starter: list[str], **settings: str) -> Service:
        """The same, by a command that becomes the service."""
        return self._launch([*starter, *self._uvicorn(0)], settings)

    def _uvicorn(self, port: int) -> list[str]:
        uvicorn = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
        return [*uvicorn, "--app-dir", str(self.program)]

    def serve(self, *, files: int | None = None, **settings: str) -> Service:
        """A service that is ready, started as `review-fetcher serve`; it may have so many files open."""
        limit = ["/usr/bin/env", "prlimit", f"--nofile={files}"] if files else []
        command = [*limit, sys.executable, "-m", "app.cli", "serve", "--port", "0"]
        return self._launch(command, {"PYTHONPATH": str(ROOT), **settings}).started()

    def _launch(self, command: list[str], settings: Mapping[str, str]) -> Service:
        inherited = {name: value for name in ("PATH", "HOME", "TMPDIR") if (value := os.environ.get(name))}
        CANARIES.learn_settings(settings)
        log = self.directory / f"service-{len(self.services) + 1}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=inherited | self.settings | dict(settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.services.append(Service(process, log))
        return self.services[-1]

    def start(self, **settings: str) -> Service:
        """A service that is ready."""
        return self.launch(**settings).started()

    def end(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.sweep()
                service.kill()

    def logs(self) -> str:
        return "".join(service.log.read_text(errors="replace") for service in self.services)


UNLIMITED = {"RATELIMIT_TOKEN_BUCKET_CAPACITY": "0", "RATELIMIT_PER_MINUTE": "0", "RATELIMIT_PER_DAY": "0"}
QUICK_RETRIES = {"RETRY_INITIAL_BACKOFF_MS": "1", "RETRY_MAX_BACKOFF_MS": "20"}


def retries_for(kills: int) -> dict[str, str]:
    """Retries that outlast a Google that fails now and then, whatever chance makes of it.

    It never fails one page more often in a row than `most_in_a_row`; but each kill may take away an answer that was
    good, and then another row follows the one before.
    """
    return {"RETRY_MAX_RETRIES": str(Faults().most_in_a_row * (kills + 1))}


@contextmanager
def site(directory: Path, google: str, **settings: str) -> Iterator[Site]:
    """A place where services run that ask the Google at this URL; none is left when it closes.

    Without other `settings` they have no limits, retry at once, work on four tasks of each stage, and log what there is
    to log: nothing of it may tell a secret.
    """
    usual = {"GOOGLE_API_BASE_URL": google, "WORKER_CONCURRENCY": "4", "LOG_LEVEL": "DEBUG"}
    usual |= {**UNLIMITED, **QUICK_RETRIES}
    place = Site(directory, usual | settings)
    try:
        yield place
    finally:
        place.end()


def upstream(google: str, token: str) -> list[Review]:
    """Every review that exists for this token at the simulated Google, in order."""
    names = [str(item["name"]) for item in _paged(google, "locations", token=token)]
    return sorted((name, review_id) for name in names for review_id in _reviews_of(google, token, name))


def arrived(google: str) -> int:
    """The number of the last call that reached the simulated Google. Asked after a kill, it counts the dead one's last.

    What a dead process had sent is read within two turns of the simulator's loop; three questions outlast them.
    """
    return max(int(control(google, "GET", "wait?timeout=0")["counts"].get("arrived", 0)) for _ in range(3))


def ledger(google: str) -> Iterator[dict[str, Any]]:
    """Every call that the simulated Google answered, in the order of its answers."""
    number = 0
    while page := control(google, "GET", f"ledger?after={number}")["calls"]:
        yield from page
        number = page[-1]["number"]


def wait_for(google: str, name: str, count: int, seconds: float = 30.0) -> None:
    """Until the simulated Google counted so many of `arrived`, `answered`, `held`, `fault:hang` … since its start."""
    told = control(google, "GET", f"wait?{name}={count}&timeout={seconds}")
    assert told["reached"], f"not within {seconds:.0f} s: {count} {name}, but {told['counts']}"


def _reviews_of(google: str, token: str, location: str) -> Iterator[str]:
    return (str(review_id) for review_id in _paged(google, "review_ids", token=token, location=location))


def _paged(google: str, what: str, **query: str) -> Iterator[Any]:
    seen = 0
    while page := control(google, "GET", f"truth?{urlencode(query | {'after': str(seen)})}")[what]:
        yield from page
        seen += len(page)


def _is_socket(descriptor: Path) -> bool:
    try:
        return str(descriptor.readlink()).startswith("socket:")
    except FileNotFoundError:  # closed since it was listed
        return False


def _status_mb(pid: int, name: str) -> float:
    """Linux tells it in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {name} of process {pid}")
