"""What the tables are made of: their metadata, kinds of columns and of conditions."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Integer, MetaData, Text, literal_column, text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: SQLite counts rows up only in a column declared INTEGER, which holds 64 bits there."""


def status_in(column: ColumnElement[str], states: Iterable[StrEnum]) -> ColumnElement[bool]:
    """`column IN (…)` with the states as literals: a list of parameters would be expanded anew at each execution."""
    return column.in_([literal_column(f"'{state.value}'") for state in states])


def status_is(column: ColumnElement[str], state: StrEnum) -> ColumnElement[bool]:
    """`column = state` with the state as a literal: a parameter would keep SQLite from using a partial index."""
    return column == literal_column(f"'{state.value}'")


def count(name: str) -> Column[int]:
    """A number that begins at 0."""
    return Column(name, Number, nullable=False, server_default=text("0"))


def of_all_tenants(*, primary_key: bool = False) -> Column[str]:
    """The tenant of a row that belongs to all of them: ''."""
    return Column("tenant", Text, primary_key=primary_key, nullable=False, server_default=text("''"))


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """Kept only for the rows it is asked about, so that the millions of rows that are done cost nothing."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)
