"""The commands over a store in PostgreSQL."""

import json
from pathlib import Path

import pytest

from app.cli.exits import ExitCode
from tests.flows.test_cli_serve import command
from tests.support.stack import SEALING_KEY

pytestmark = pytest.mark.postgresql


async def test_keys_jobs_and_doctor_read_and_write_the_same_store(tmp_path: Path, postgresql_database: str) -> None:
    settings = {"DATABASE_URL": postgresql_database}
    migrated = await command(tmp_path, "migrate", **settings)
    assert migrated.code == ExitCode.OK, migrated.err
    created = await command(tmp_path, "keys", "create", "for the import", **settings)
    assert created.code == ExitCode.OK, created.err
    listed = await command(tmp_path, "keys", "list", "--json", **settings)
    assert [key["name"] for key in json.loads(listed.out)["keys"]] == ["for the import"]
    assert json.loads((await command(tmp_path, "jobs", "list", "--json", **settings)).out)["jobs"] == []
    examined = await command(tmp_path, "doctor", **settings)
    assert examined.code == ExitCode.OK, examined.out
    assert "store: PostgreSQL" in examined.out


async def test_a_store_without_tables_is_explained(tmp_path: Path, postgresql_database: str) -> None:
    ended = await command(tmp_path, "jobs", "list", DATABASE_URL=postgresql_database)
    assert ended.code == ExitCode.FAILED
    assert "run `review-fetcher migrate`" in ended.err


async def test_jobs_are_held_and_ended_in_the_store_and_a_token_needs_the_services_own_key(
    tmp_path: Path, postgresql_database: str
) -> None:
    settings = {"DATABASE_URL": postgresql_database}
    sealing = settings | {"TOKEN_SEALING_KEYS": SEALING_KEY, "REVIEW_FETCHER_TOKEN": "ya29.some-token-or-other"}
    await command(tmp_path, "migrate", **settings)
    refused = await command(tmp_path, "jobs", "submit", **sealing | {"TOKEN_SEALING_KEYS": ""})
    assert (refused.code, refused.out) == (ExitCode.FAILED, "")
    assert "TOKEN_SEALING_KEYS" in refused.err
    assert "--server" in refused.err
    assert not (tmp_path / "data").exists()
    submitted = await command(tmp_path, "jobs", "submit", **sealing)
    assert submitted.code == ExitCode.OK, submitted.err
    job_id = submitted.out.strip()
    for action, status in (("pause", "paused"), ("resume", "pending"), ("cancel", "cancelled")):
        done = await command(tmp_path, "jobs", action, job_id, "--json", **settings)
        assert json.loads(done.out)["status"] == status
    assert (await command(tmp_path, "jobs", "watch", job_id, **settings)).code == ExitCode.JOB_CANCELLED
    assert (await command(tmp_path, "reviews", "tail", **settings)).code == ExitCode.OK
