"""A job's reviews as Parquet, over every database: every row and every value, whatever the groups."""

import io
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pyarrow
import pyarrow.parquet
import pytest

from app.models.errors import JobNotFoundError
from app.models.review import Review
from app.models.review_filter import ReviewFilter
from app.results import export as export_module
from app.results import parquet
from app.results.export import Export
from app.results.parquet import ParquetMissingError
from app.store.database import Database
from tests.support.jobs import finished_with
from tests.support.store import new_job

FIRST = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

STRANGE = Review(
    "strange",
    "accounts/1/locations/1/reviews/strange",
    None,
    "=1+1 \N{PILE OF POO} \u202etxt\n\t\"'",
    None,
    "2026-01-31T10:30:00.123456789+01:00",
    "some day",
    "",
    b'{"s": "\xed\xa0\x80", "a" : 1.00,\r\n "b":"\\u0000"}',
)
"""A formula, a lone surrogate as Google might send it, nine digits, and no time at all."""


def plain(review_id: str, rating: int | None, raw: bytes = b'{"a":1}') -> Review:
    name = f"accounts/1/locations/1/reviews/{review_id}"
    return Review(review_id, name, rating, "Gut", "A. Gast", "2026-01-31T09:30:00Z", None, None, raw)


FOUND = {
    "locations/1": [plain(f"r{at:02}", 1 + at % 5) for at in range(23)],
    "locations/2": [STRANGE],
    "locations/3": [],
    "locations/4": [plain("last", None)],
}


async def table_of(parts: AsyncIterator[bytes]) -> pyarrow.Table:
    return pyarrow.parquet.read_table(io.BytesIO(b"".join([part async for part in parts])))


async def test_every_row_and_every_value_is_in_the_file(database: Database) -> None:
    job_id = await finished_with(database, FOUND)
    table = await table_of(await Export(database).parquet("default", job_id))
    seen = {(row["location"], row["review_id"]): row for row in table.to_pylist()}
    assert len(seen) == table.num_rows == 25
    for place, reviews in FOUND.items():
        for review in reviews:
            row = seen[place, review.review_id]
            assert (row.pop("job_id"), row.pop("account"), row.pop("location")) == (job_id, "accounts/1", place)
            row.pop("create_time"), row.pop("update_time")
            assert row == {name: value for name, value in review._asdict().items() if not name.endswith("time")}


async def test_times_are_instants_and_what_is_none_is_null(database: Database) -> None:
    job_id = await finished_with(database, FOUND)
    rows = (await table_of(await Export(database).parquet("default", job_id))).to_pylist()
    times = {row["review_id"]: (row["create_time"], row["update_time"]) for row in rows}
    assert times["last"] == (FIRST, None)
    assert times["strange"] == (FIRST.replace(microsecond=123456), None)


async def test_columns_have_types(database: Database) -> None:
    job_id = await finished_with(database, FOUND)
    schema = (await table_of(await Export(database).parquet("default", job_id))).schema
    kinds = {field.name: str(field.type) for field in schema}
    texts = dict.fromkeys("job_id account location review_id name comment reviewer reply".split(), "string")
    times = dict.fromkeys(("create_time", "update_time"), "timestamp[us, tz=UTC]")
    assert kinds == {**texts, **times, "rating": "int8", "raw": "binary"}
    assert [field.name for field in schema if not field.nullable] == [
        "job_id",
        "account",
        "location",
        "review_id",
        "name",
        "raw",
    ]


@pytest.mark.parametrize(("rows_a_group", "bytes_a_group"), [(10, 10**9), (10**9, 50), (1, 1), (24, 10**9)])
async def test_a_file_is_the_same_in_however_many_groups(
    database: Database, rows_a_group: int, bytes_a_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await finished_with(database, FOUND)
    in_one = await table_of(await Export(database).parquet("default", job_id))
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", rows_a_group)
    monkeypatch.setattr(parquet, "BYTES_A_GROUP", bytes_a_group)
    monkeypatch.setattr(export_module, "ROWS_A_READ", 4)
    content = b"".join([part async for part in await Export(database).parquet("default", job_id)])
    file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    assert file.metadata.num_row_groups > 1
    assert file.read().equals(in_one)


async def test_what_is_made_of_one_group_is_sent_before_the_next_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 5)
    monkeypatch.setattr(export_module, "ROWS_A_READ", 5)
    job_id = await finished_with(database, FOUND)
    parts = [part async for part in await Export(database).parquet("default", job_id)]
    assert parts[0] == b"PAR1"
    assert len(parts) == 7
    assert parts[-1].endswith(b"PAR1")


async def test_a_filter_applies_and_nothing_found_is_a_file_of_no_rows(database: Database) -> None:
    export, job_id = Export(database), await finished_with(database, FOUND)
    table = await table_of(await export.parquet("default", job_id, ReviewFilter(rating=frozenset({"none"}))))
    assert [row["review_id"] for row in table.to_pylist()] == ["strange", "last"]
    empty = await table_of(await export.parquet("default", job_id, ReviewFilter(text="nowhere")))
    nothing = await table_of(await export.parquet("default", await new_job(database)))
    assert (empty.num_rows, nothing.num_rows) == (0, 0)
    assert empty.schema == nothing.schema == table.schema


async def test_the_three_files_tell_the_same(database: Database) -> None:
    export, job_id = Export(database), await finished_with(database, FOUND)
    lines = b"".join([part async for part in await export.ndjson("default", job_id)]).splitlines()
    rows = (await table_of(await export.parquet("default", job_id))).to_pylist()
    exact = ("job_id", "account", "location", "review_id", "name", "rating", "comment", "reviewer", "reply")
    assert [[row[name] for name in exact] for row in rows] == [
        [json.loads(line)[name] for name in exact] for line in lines
    ]


async def test_without_pyarrow_it_is_said_what_to_install(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await finished_with(database, FOUND)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParquetMissingError, match="pip install"):
        await Export(database).parquet("default", job_id)
    with pytest.raises(JobNotFoundError):
        await Export(database).parquet("other", job_id)
