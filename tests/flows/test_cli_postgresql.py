"""The commands over a store in PostgreSQL."""

import json
from pathlib import Path

import pytest

from app.cli.exits import ExitCode
from tests.flows.test_cli_serve import command

pytestmark = pytest.mark.postgresql


async def test_keys_jobs_and_doctor_read_and_write_the_same_store(tmp_path: Path, postgresql_database: str) -> None:
    settings = {"DATABASE_URL": postgresql_database}
    migrated = await command(tmp_path, "migrate", **settings)
    assert migrated.code == ExitCode.OK, migrated.err
    created = await command(tmp_path, "keys", "create", "for the import", **settings)
    assert created.code == ExitCode.OK, created.err
    listed = await command(tmp_path, "keys", "list", "--json", **settings)
    assert [key["name"] for key in json.loads(listed.out)] == ["for the import"]
    assert json.loads((await command(tmp_path, "jobs", "list", "--json", **settings)).out)["jobs"] == []
    examined = await command(tmp_path, "doctor", **settings)
    assert examined.code == ExitCode.OK, examined.out
    assert "store: PostgreSQL" in examined.out


async def test_a_store_without_tables_is_explained(tmp_path: Path, postgresql_database: str) -> None:
    ended = await command(tmp_path, "jobs", "list", DATABASE_URL=postgresql_database)
    assert ended.code == ExitCode.FAILED
    assert "run `review-fetcher migrate`" in ended.err
