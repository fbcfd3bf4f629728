"""Reviews as a Parquet file, row group by row group: what is in memory is one group, however long the file.

pyarrow is an extra: it is imported when the first file is asked for. It works in a thread, one step at a time.
"""

import asyncio
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from app.models.instants import instant_of
from app.store.review_pages import ReviewRow

if TYPE_CHECKING:
    import pyarrow

P = ParamSpec("P")
T = TypeVar("T")

ROWS_A_GROUP = 10_000
"""Readers skip and divide a file by its groups. Each adds 2 kB to the file's end, which is written from memory."""

BYTES_A_GROUP = 4 * 1024 * 1024
"""Of Google's objects; a group ends behind them, however few its rows."""

REPEATING = ("job_id", "account", "location", "rating")
"""Columns that are written as numbers into a dictionary of their values."""

COMPARED = ("account", "location", "review_id", "rating", "create_time", "update_time")
"""Columns of which each group tells its smallest and its largest value, so that readers can pass it over."""


_thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
"""One for all files: each thread that writes keeps memory of its own, which adds up to more than the files need."""


class ParquetMissingError(Exception):
    """Parquet is written by pyarrow, which is not installed here. Install it beside the service (its extra `parquet`,
    or pip install "pyarrow>=22") and try again, or take ndjson or csv."""

    def __init__(self) -> None:
        super().__init__(" ".join((ParquetMissingError.__doc__ or "").split()))


async def new_parquet_file() -> "ParquetFile":
    """An empty file. Raises ParquetMissingError. The first import of pyarrow takes a second."""
    return await _in_thread(ParquetFile)


async def _in_thread(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.get_running_loop().run_in_executor(_thread, partial(step, *args, **kwargs))


class ParquetFile:
    """One file that is being written, from its first byte to its last."""

    def __init__(self) -> None:
        try:
            import pyarrow  # noqa: PLC0415 - an extra, of 120 MB
            import pyarrow.parquet  # noqa: PLC0415
        except ImportError as error:
            raise ParquetMissingError from error
        self._arrow = pyarrow
        self._schema = _schema(pyarrow)
        self._written = _Written()
        self._batches: list[pyarrow.RecordBatch] = []
        self._writer = pyarrow.parquet.ParquetWriter(
            self._written, self._schema, use_dictionary=list(REPEATING), write_statistics=list(COMPARED)
        )

    async def parts(self, pages: AsyncGenerator[Sequence[ReviewRow], None]) -> AsyncIterator[bytes]:
        """The file's bytes while the pages come; it is whole with the last of them. Closes `pages`."""
        yield self._written.take()
        rows = size = 0
        async with aclosing(pages):
            async for page in pages:
                await _in_thread(self._add, page)
                rows, size = rows + len(page), size + sum(len(row.raw) for row in page)
                if rows >= ROWS_A_GROUP or size >= BYTES_A_GROUP:
                    yield await _in_thread(self._end_group)
                    rows = size = 0
        yield await _in_thread(self._end)

    def _add(self, rows: Sequence[ReviewRow]) -> None:
        """Arrow's own memory holds a page in a fraction of what Python's objects take."""
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(self._schema)
        arrays = [
            self._arrow.array(_microseconds(values) if field.name in _TIMES else values, field.type)
            for field, values in zip(self._schema, columns, strict=True)
        ]
        self._batches.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))

    def _end_group(self) -> bytes:
        table = self._arrow.Table.from_batches(self._batches, self._schema)
        self._batches.clear()
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
        return self._written.take()

    def _end(self) -> bytes:
        last = self._end_group()
        self._writer.close()
        return last + self._written.take()


_TIMES = ("create_time", "update_time")


def _microseconds(times: Sequence[str | None]) -> list[int | None]:
    """What is no RFC 3339 is null; Google's own words are in `raw`."""
    instants = (None if time is None else instant_of(time) for time in times)
    return [None if instant is None else instant // 1000 for instant in instants]


def _schema(arrow: Any) -> "pyarrow.Schema":
    """The fields of `ReviewRow`, in its order."""
    kinds = {"rating": arrow.int8(), "raw": arrow.binary()} | dict.fromkeys(_TIMES, arrow.timestamp("us", tz="UTC"))
    nullable = ("rating", "comment", "reviewer", *_TIMES, "reply")
    return arrow.schema(
        [arrow.field(name, kinds.get(name, arrow.string()), name in nullable) for name in ReviewRow._fields]
    )


class _Written(io.RawIOBase):
    """Where pyarrow writes to: keeps what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._position += len(self._parts[-1])
        return len(self._parts[-1])

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
