"""What was found at Google: locations and reviews, and the dead letters of what could not be fetched.

`reviews` is the hot table: a narrow unique key (the location's number in place of job and name) keeps an insert within
the pages of the location being read.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

from app.store.schema.columns import Number, count, metadata, partial_index

locations = Table(
    "locations",
    metadata,
    Column("no", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("store_code", Text),
    Column("place_id", Text),
    Column("verified", Boolean),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("total", Number),
    Column("average", Double),
    count("fetched"),
    count("duplicates"),
    Column("gap", Number),
    UniqueConstraint("job_id", "location"),
    Index("ix_locations_tenant_location", "tenant", "location"),
)

other_accounts = Table(
    "other_accounts",
    metadata,
    Column("location_no", Number, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""Further accounts that list a location and have not been tried for it: asked when its own answers 403 or 404."""

reviews = Table(
    "reviews",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("location_no", Number, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rating", SmallInteger),
    Column("comment", Text),
    Column("reviewer", Text),
    Column("create_time", Text),
    Column("update_time", Text),
    Column("reply", Text),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("location_no", "review_id"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("task_id", Number),
    Column("stage", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cursor", Text),
    Column("created_at", Double, nullable=False),
    count("redrives"),
    Column("redriven_at", Double),
    count("earlier_redrives"),
    Index("ix_dead_letters_tenant_id", "tenant", "id"),
    Index("ix_dead_letters_job_id", "job_id"),
)

partial_index(
    "ix_dead_letters_undriven",
    dead_letters.c.stage,
    where=and_(dead_letters.c.redriven_at.is_(None), dead_letters.c.task_id.is_not(None)),
)

_still_dead = dead_letters.c.redriven_at.is_(None)

partial_index("ix_dead_letters_still_dead", dead_letters.c.tenant, dead_letters.c.id, where=_still_dead)

partial_index(
    "ix_dead_letters_causes",
    dead_letters.c.tenant,
    dead_letters.c.cause,
    dead_letters.c.earlier_redrives,
    dead_letters.c.created_at,
    where=_still_dead,
)

partial_index(
    "ix_dead_letters_redriven",
    dead_letters.c.task_id,
    dead_letters.c.id,
    where=dead_letters.c.redriven_at.is_not(None),
)
