"""What is to be sent, and how far that has come: to topics by way of the outbox, and to callbacks."""

from sqlalchemy import Column, ColumnElement, Double, Index, Integer, LargeBinary, Table, Text, literal_column, text

from app.store.schema.columns import Number, count, metadata, of_all_tenants, partial_index

outbox = Table(
    "outbox",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("location_no", Number, nullable=False),
    Column("first_seq", Number, nullable=False),
    Column("last_seq", Number, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("position", Number, unique=True),
    Column("kind", Text, nullable=False, server_default=text("'reviews'")),
    count("review_count"),
    count("review_bytes"),
)
"""What the publisher is to send, in the order of `position`, which it stamps on committed rows.

`reviews`: one row for a settled page with new reviews, sent as the rows of `reviews` from first_seq to last_seq of that
location; `review_count` is how many these are, and Google's objects in them have `review_bytes` at most.
`dead_letter`: one row for a dead letter, whose id is first_seq and last_seq; location_no is 0.
`tombstone`: the tombstones whose ids are from first_seq to last_seq; location_no is 0.
`fence`: nothing to send. It stands behind all rows of a job: once it is published, so are they.
"""

PAGE_OF_REVIEWS = "reviews"

DEAD_LETTER = "dead_letter"

TOMBSTONE = "tombstone"

FENCE = "fence"
"""The kinds of an outbox row."""


def kind_is(kind: str) -> ColumnElement[bool]:
    """With the kind as a literal, as a partial index has it."""
    return outbox.c.kind == literal_column(f"'{kind}'")


partial_index("ix_outbox_unstamped", outbox.c.id, where=outbox.c.position.is_(None))

partial_index("ix_outbox_tombstones", outbox.c.position, where=kind_is(TOMBSTONE))

partial_index("ix_outbox_fences", outbox.c.job_id, where=kind_is(FENCE))

callbacks = Table(
    "callbacks",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("sealed_url", LargeBinary, nullable=False),
    Column("shown_url", Text, nullable=False),
    Index("ix_callbacks_key_id_job_id", "key_id", "job_id"),
)
"""Where a job's end is told. A URL may hold a secret: it is sealed, and shown without its query. Both empty: its key
was lost."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("event", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    count("version"),
    count("attempts"),
    Column("due_at", Double, nullable=False),
    Column("answered", Integer),
    Column("last_error", Text),
    Column("created_at", Double, nullable=False),
    Column("delivered_at", Double),
    Index("ix_webhooks_job_id", "job_id"),
)
"""Messages about jobs to their callbacks: waiting (until `due_at`), delivered, or given up as failed."""

partial_index("ix_webhooks_due", webhooks.c.due_at, where=webhooks.c.status == literal_column("'waiting'"))

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""Reviews that were erased and whose tombstone is to be sent: an outbox row of that kind names the first and the last
of these."""

publisher_head = Table(
    "publisher_head",
    metadata,
    Column("topic", Text, primary_key=True),
    of_all_tenants(),
    count("position"),
    count("published"),
    Column("cluster_id", Text),
    Column("topic_id", Text),
    Column("updated_at", Double),
)
"""The last position stamped on a row of the outbox, the last one that is in the topic, and which topic that is."""

known_topics = Table(
    "known_topics",
    metadata,
    Column("topic", Text, primary_key=True),
    of_all_tenants(),
    Column("identity", Text, nullable=False),
)
"""The topics as they were seen last: one with another identity was made anew, and its messages are gone."""
