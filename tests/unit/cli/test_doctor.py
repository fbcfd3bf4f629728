"""What `doctor` finds, and what it says to do."""

import base64
import json
import os
import resource
import shutil
import socket
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from app.cli import checks, process_checks
from app.cli.checks import disk, misspelled, open_files
from app.cli.findings import Health
from app.cli.process_checks import roles
from app.cli.sealing_checks import sealing_key
from app.config import load_settings
from app.store.database import Database
from tests.unit.cli.conftest import Outcome, Run


def findings(ended: Outcome) -> dict[str, dict[str, str]]:
    """The last finding of each check."""
    return {finding["check"]: finding for finding in json.loads(ended.out)["checks"]}


def test_a_new_installation_is_healthy_and_stays_untouched(run: Run, tmp_path: Path) -> None:
    ended = run("doctor", "--json")
    assert ended.code == 0
    assert {finding["health"] for finding in findings(ended).values()} <= {"ok", "warning"}
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_all_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "nowhere")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    ended = run("doctor")
    assert ended.code == 1
    assert "broken   configuration: PORT:" in ended.out
    assert "broken   configuration: LOG_LEVEL:" in ended.out
    assert "2 broken" in ended.err


def test_an_env_file_that_is_no_text_is_told(run: Run) -> None:
    Path(".env").write_bytes(b"\xff\xfe")
    ended = run("doctor")
    assert ended.code == 1
    assert ".env: is not UTF-8 text" in ended.out


def test_a_file_where_the_folder_should_be_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("a file, not a folder")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///taken/store.db")
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert "is a file and no folder" in findings(ended)["disk"]["found"]


def test_production_says_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    ended = run("doctor", "--json")
    assert ended.code == 1
    mend = findings(ended)["start"]["mend"]
    assert [name in mend for name in ("MOCK_GOOGLE_API", "API_KEYS", "TOKEN_SEALING_KEYS")] == [True] * 3


def test_an_api_key_that_cannot_be_used_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "hidden")
    ended = run("doctor")
    assert ended.code == 1
    assert "API_KEYS" in ended.out
    assert "hidden" not in ended.out + ended.err


def test_a_store_that_is_none_is_broken(run: Run) -> None:
    Path("data").mkdir()
    Path("data/review-fetcher.db").write_text("not a database, but long enough to be taken for one " * 100)
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert findings(ended)["store"]["health"] == "broken"


def test_a_store_is_read_with_its_revision_and_quota(run: Run) -> None:
    run("migrate")
    ended = run("doctor", "--json")
    assert ended.code == 0
    assert "revision 0005" in findings(ended)["store"]["found"]
    assert findings(ended)["quota"]["found"] == "nothing spent yet"


class OldServer:
    """A PostgreSQL that nobody tests any more."""

    async def version(self) -> str:
        return "PostgreSQL 14.9"

    async def read(self, _work: object) -> str:
        return "0001"


async def test_a_database_server_that_is_too_old_is_noticed() -> None:
    finding = await checks.tables(load_settings(), cast(Database, OldServer()))
    assert finding.health is Health.WARNING
    assert finding.mend == "PostgreSQL 15 is the oldest that is tested"


def test_a_database_server_that_is_away_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DATABASE_URL", f"postgresql://user:hidden@127.0.0.1:{nobody.getsockname()[1]}/reviews")
        ended = run("doctor", "--json")
    assert ended.code == 1
    assert findings(ended)["store"]["health"] == "broken"
    assert "hidden" not in ended.out + ended.err


def test_a_google_that_does_not_answer_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("GOOGLE_API_BASE_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        ended = run("doctor", "--json")
    assert ended.code == 1
    assert findings(ended)["Google"]["health"] == "broken"


def test_a_misspelled_variable_is_noticed_and_others_are_not() -> None:
    (finding,) = misspelled(
        {"RATELIMIT_PER_MINUT": "1", "PATH": "/bin", "HOME": "/", "API_KEYS_FILE": "x", "PORT": "1"}
    )
    assert "RATELIMIT_PER_MINUT" in finding.found
    assert "RATELIMIT_PER_MINUTE" in finding.mend


def test_a_sealing_key_that_others_can_read_is_broken(tmp_path: Path) -> None:
    key = tmp_path / "sealing.key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    finding = sealing_key(load_settings(database_url=f"sqlite:///{tmp_path}/x.db"))
    assert finding.health is Health.BROKEN
    assert f"chmod 600 {key}" in finding.found


def test_replicas_without_a_common_sealing_key_are_broken() -> None:
    shared = load_settings(kafka={"bootstrap_servers": "127.0.0.1:1"}, database_url="postgresql://127.0.0.1/reviews")
    finding = sealing_key(shared)
    assert finding.health is Health.BROKEN
    assert finding.mend == "set TOKEN_SEALING_KEYS"


class _Usage(NamedTuple):
    free: int


@pytest.mark.parametrize(
    ("free", "health"),
    [(2**40, Health.OK), (2**30, Health.WARNING), (2**20, Health.BROKEN)],
    ids=["much", "some", "no"],
)
def test_a_full_disk_is_noticed(free: int, health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(free))
    assert disk(load_settings()).health is health


def test_a_folder_that_cannot_be_written_to_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert disk(load_settings()).health is Health.BROKEN


def test_a_replica_needs_no_folder_to_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    replica = load_settings(
        database_url="postgresql://127.0.0.1/reviews",
        token_sealing_keys="1:" + base64.b64encode(bytes(32)).decode(),
    )
    assert disk(replica).health is Health.OK


def test_too_few_open_files_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    finding = open_files(load_settings())
    assert finding.health is Health.WARNING
    assert finding.found == "up to 4096, which is 3840 connections"
    assert finding.mend.startswith("raise the hard limit to 6256 ")
    monkeypatch.setenv("MAX_CONNECTIONS", "3840")
    assert open_files(load_settings()).health is Health.OK


@pytest.mark.parametrize("hard", [6256, resource.RLIM_INFINITY])
def test_files_that_the_service_may_allow_itself_are_enough(monkeypatch: pytest.MonkeyPatch, hard: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    assert open_files(load_settings()).health is Health.OK


def test_a_port_that_is_taken_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(number))
        finding = findings(run("doctor", "--json"))["port"]
    assert finding["health"] == "warning"
    assert f"127.0.0.1:{number}" in finding["found"]
    assert "set PORT" in finding["mend"]


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_faults_that_cannot_be_read_are_broken(
    content: str | None, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "faults.json").write_text(content)
    monkeypatch.setenv("SIMULATOR_FAULTS", "faults.json")
    ended = run("doctor", "--json")
    assert ended.code == 1
    assert findings(ended)["simulator"]["found"].startswith("SIMULATOR_FAULTS: faults.json")


def test_faults_do_not_matter_without_the_simulator(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_FAULTS", "nothing.json")
    monkeypatch.setenv("GOOGLE_API_BASE_URL", "http://127.0.0.1:1")
    assert "simulator" not in findings(run("doctor", "--json"))


def test_a_part_of_the_roles_needs_others_for_the_rest() -> None:
    settings = load_settings(
        roles="api,reviews", kafka={"bootstrap_servers": "127.0.0.1:1"}, database_url="postgresql://127.0.0.1/reviews"
    )
    finding = roles(settings)
    assert finding.health is Health.OK
    assert finding.mend.endswith("ROLES=scheduler,accounts,locations,publisher")


def test_a_kafka_that_is_away_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_checks, "KAFKA_SECONDS", 1.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{nobody.getsockname()[1]}")
        ended = run("doctor", "--json")
    assert ended.code == 1
    assert findings(ended)["Kafka"]["health"] == "broken"
    assert "is Kafka running" in findings(ended)["Kafka"]["mend"]
