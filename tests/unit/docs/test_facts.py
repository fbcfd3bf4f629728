"""What the pages tell of the code is so: defaults, errors, paths, metrics, crash points, numbers."""

import re
from functools import reduce

import pytest

import app
from app.api.application import create_api
from app.api.body import READ_SECONDS
from app.api.errors import ERRORS
from app.api.stored_keys import FRESH_SECONDS
from app.api.stream import EventStream
from app.broker.reach import CUT_OFF_SECONDS
from app.broker.transactions import TRANSACTION_MILLISECONDS
from app.config import Settings, load_settings, variables
from app.crash import CrashPoint
from app.edge.stopping import SLOW_SECONDS
from app.ingest.committer import BATCH_SIZE
from app.leadership import LEASE_SECONDS as LEADING_SECONDS
from app.lifecycle import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS
from app.limits.permits import LONGEST_WAIT_SECONDS
from app.models.audit import Action
from app.models.events import Topic
from app.pipeline.leases import EXTEND_SECONDS, LEASE_SECONDS
from app.pipeline.reviews import SPARE_PAGES
from app.pipeline.worker import MOST_CRASHES
from app.results.events import HEARTBEAT_SECONDS, LONGEST_SECONDS
from app.results.portion import BATCH_BYTES, BATCH_REVIEWS
from app.retry.keeper import KEEP_SECONDS
from app.store.lanes import UNITS_A_COMMIT as UNITS_A_LANE
from app.store.schema import tasks
from app.store.serving import RELEASE_SECONDS
from app.store.signals import PAUSE_SECONDS
from app.store.sqlite import UNITS_A_COMMIT
from app.store.turns import MOST_JOBS
from app.telemetry import names
from app.webhooks.attempts import BACKOFF_SECONDS as WEBHOOK_BACKOFF
from app.webhooks.client import DEADLINE_SECONDS
from app.webhooks.sender import LEASE_SECONDS as WEBHOOK_LEASE
from app.wiring import DRAIN_SECONDS, WINDOW_PER_SLOT
from app.wiring.assembling import UNWOKEN_SECONDS
from app.wiring.values import SHARED_WINDOW_PER_SLOT
from tests.support.pages import PAGES, PROJECT, text_of

WORDS: dict[float, str] = {2: "two", 10: "ten"}


@pytest.mark.parametrize("page", ["README.md", "docs/operating.md"])
def test_the_settings_that_a_page_shows_have_these_defaults(page: str) -> None:
    settings = load_settings(_env_file=None)
    defaults = {variable.name: reduce(getattr, variable.path, settings) for variable in variables(Settings)}
    table = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", (PROJECT / page).read_text(), re.MULTILINE)
    assert len(table) >= 6
    assert [(name, told) for name, told in table if written(defaults[name]) != told] == []


def test_the_command_for_older_topics_names_each_topic() -> None:
    (told,) = re.findall(r"^for topic in (.+); do$", text_of("docs/operating.md"), re.MULTILINE)
    assert told.split() == [topic.value for topic in Topic]


def written(default: object) -> str:
    """As a reader would write it into the environment."""
    if hasattr(default, "get_secret_value"):
        return str(default.get_secret_value())
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if default == 0 else str(default)


def test_the_api_page_lists_every_error_with_its_status() -> None:
    table = re.findall(r"^\| `([a-z-]+)` \| (\d{3}|4xx) \|", (PROJECT / "docs/api.md").read_text(), re.MULTILINE)
    listed = dict(table)
    assert len(listed) == len(table)
    assert {kind.word: str(kind.status) for kind in ERRORS.values()}.items() <= listed.items()
    assert set(listed) == {kind.word for kind in ERRORS.values()} | words_in_the_code()


def words_in_the_code() -> set[str]:
    """The problems that are made without the table."""
    sources = [path.read_text() for room in ("api", "edge") for path in (PROJECT / "app" / room).rglob("*.py")]
    return {word for source in sources for word in re.findall(r'(?:Problem|Fault)\(\s*"([a-z-]+)"', source)}


def test_the_api_page_names_every_path() -> None:
    text = (PROJECT / "docs/api.md").read_text().replace("$API", "/api/v1").replace("$JOB", "{job_id}")
    text = text.replace("$LONG", "{job_id}").replace("$TOLD", "{job_id}").replace("$WEBHOOK", "{webhook_id}")
    assert [path for path in create_api(version="1").openapi()["paths"] if path not in text] == []


def test_the_architecture_page_tells_what_a_crash_does_at_every_point() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| [^|]+\| [^|]+\| [^|]+\|$", text_of("docs/architecture.md"), re.MULTILINE)
    assert told == list(CrashPoint)


def test_the_architecture_page_names_the_loops_that_run() -> None:
    told = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]+ \| restarted", text_of("docs/architecture.md"), re.MULTILINE)
    source = text_of("app/wiring/running.py")
    run = re.findall(r'(?:yield|"\w+": \()\s*"(\w+)", (?:_led\(|state\.)', source)
    assert sorted(re.findall(r"\w+", " ".join(told))) == sorted(run)


def test_the_architecture_page_tells_the_fields_of_a_task() -> None:
    section = text_of("docs/architecture.md").partition("## What a task can become")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert len(told) >= 5
    assert set(told) <= set(tasks.c.keys())


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("docs/architecture.md", f"{LEASE_SECONDS:.0f} s for a held task, extended every {EXTEND_SECONDS:.0f} s"),
        ("docs/architecture.md", f"{RELEASE_SECONDS:.0f} s for a released one"),
        ("docs/architecture.md", f"dead-lettered after {MOST_CRASHES} claims"),
        ("docs/architecture.md", f"in flight settle for at most {DRAIN_SECONDS:.0f} seconds"),
        ("docs/architecture.md", f"up to {BATCH_SIZE} jobs a transaction"),
        ("docs/architecture.md", f"({FIRST_BACKOFF_SECONDS:g} s doubling to {LONGEST_BACKOFF_SECONDS:g} s)"),
        ("docs/architecture.md", f"by the database's time: {LEADING_SECONDS:.0f} seconds, renewed each second"),
        ("docs/architecture.md", f"at most one for each topic and {1000 * PAUSE_SECONDS:.0f} ms"),
        ("docs/architecture.md", f"ask the store every {UNWOKEN_SECONDS:.0f} seconds by themselves"),
        ("docs/architecture.md", f"the scheduler's leader looks every {KEEP_SECONDS:.0f} seconds"),
        ("docs/architecture.md", f"`{SHARED_WINDOW_PER_SLOT} × WORKER_CONCURRENCY` tasks of a stage"),
        ("docs/architecture.md", f"up to {UNITS_A_LANE} pages a commit"),
        ("docs/architecture.md", f"up to {BATCH_REVIEWS:,} reviews or {BATCH_BYTES // 2**20} MiB"),
        ("docs/architecture.md", f"ends that after {TRANSACTION_MILLISECONDS // 1000}"),
        ("docs/architecture.md", f"after {CUT_OFF_SECONDS:.0f} seconds it gives up its place"),
        ("docs/architecture.md", f"it is sent again {WEBHOOK_LEASE:.0f} seconds later"),
        ("docs/api.md", f"A comment comes every {HEARTBEAT_SECONDS:.0f} seconds"),
        ("docs/api.md", f"by itself after {LONGEST_SECONDS / 60:.0f} minutes"),
        ("docs/api.md", f"has taken nothing for {EventStream.send_seconds:.0f} seconds"),
        ("docs/operating.md", f"loses its connection after {EventStream.send_seconds:.0f} seconds"),
        ("docs/operating.md", f"or {WORDS[SLOW_SECONDS]} seconds after a SIGTERM"),
        ("docs/api.md", f"2xx within {DEADLINE_SECONDS:.0f} seconds counts as delivered"),
        ("docs/api.md", f"nine times in about {sum(WEBHOOK_BACKOFF) / 3600:.0f} hours"),
        ("docs/decisions/0003-jobs-take-turns.md", f"`{WINDOW_PER_SLOT} × WORKER_CONCURRENCY` tasks of a stage"),
        ("docs/decisions/0003-jobs-take-turns.md", f"A pass looks at {MOST_JOBS} jobs"),
        ("docs/decisions/0010-one-file-one-writer.md", f"Up to {UNITS_A_COMMIT} units of work"),
        ("docs/decisions/0011-second-look.md", f"the total needs plus {SPARE_PAGES}"),
        ("docs/decisions/0012-turns-of-a-task.md", f"claimed more than {WORDS[MOST_CRASHES]} times"),
        ("docs/decisions/0012-turns-of-a-task.md", f"for at most {WORDS[LONGEST_WAIT_SECONDS]} seconds"),
        ("docs/api.md", f"did not arrive within {READ_SECONDS:.0f} seconds"),
        ("docs/api.md", f"refused within {FRESH_SECONDS:.0f} seconds"),
    ],
)
def test_a_number_that_a_page_tells_is_that_of_the_code(page: str, sentence: str) -> None:
    assert sentence in " ".join(text_of(page).split())


def test_every_metric_that_a_page_names_is_declared() -> None:
    declared = {metric.name for metric in names.ALL}
    told = {name for page in PAGES for name in re.findall(r"`(review_fetcher_\w+)`", text_of(page))}
    assert {name.removesuffix("_total") for name in told} <= declared


def test_the_map_has_a_line_for_every_room() -> None:
    lines = re.findall(r"^(\w+) {2,}\S", app.__doc__ or "", re.MULTILINE)
    found = {
        path.stem for path in (PROJECT / "app").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(lines) == sorted(found - {"__init__"})


def test_operating_explains_every_action_of_the_audit_log_and_no_other() -> None:
    rows = (PROJECT / "docs/operating.md").read_text().partition("| action |")[2].partition("\n\n")[0]
    told = [name for row in rows.splitlines()[2:] for name in re.findall(r"`([a-z_.]+)`", row.split("|")[1])]
    assert sorted(told) == sorted(Action)
