"""Leaders, the publisher's head, known topics; dead letters in the outbox; indexes for what is out or dead."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

works_with = "0001"
"""Every table and column is new or has a default, and PostgreSQL uses the new index for the old one's question."""


def upgrade() -> None:
    """While others work: each table is locked once, fully, and `tasks` before `outbox` as every settle does."""
    op.drop_index("ix_tasks_released", table_name="tasks")
    op.create_index(
        "ix_tasks_out",
        "tasks",
        ["stage", "status", "job_id"],
        unique=False,
        sqlite_where=sa.text("status IN ('released', 'held')"),
        postgresql_where=sa.text("status IN ('released', 'held')"),
    )
    op.add_column("outbox", sa.Column("kind", sa.Text(), server_default=sa.text("'reviews'"), nullable=False))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name in ("review_count", "review_bytes"):
        op.add_column("outbox", sa.Column(name, number, server_default=sa.text("0"), nullable=False))
    op.create_index(
        "ix_outbox_unstamped",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("position IS NULL"),
        postgresql_where=sa.text("position IS NULL"),
    )
    undriven = sa.text("redriven_at IS NULL AND task_id IS NOT NULL")
    op.create_index(
        "ix_dead_letters_undriven",
        "dead_letters",
        ["stage"],
        unique=False,
        sqlite_where=undriven,
        postgresql_where=undriven,
    )
    _create_tables()


def _create_tables() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "leaders",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leaders")),
    )
    op.create_table(
        "publisher_head",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("position", number, server_default=sa.text("0"), nullable=False),
        sa.Column("published", number, server_default=sa.text("0"), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=True),
        sa.Column("topic_id", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_publisher_head")),
    )
    op.create_table(
        "known_topics",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_known_topics")),
    )
    op.create_table(
        "schema_compatibility",
        sa.Column("tenant", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("oldest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_schema_compatibility")),
    )


def downgrade() -> None:
    op.create_index(
        "ix_tasks_released",
        "tasks",
        ["stage", "job_id"],
        unique=False,
        sqlite_where=sa.text("status = 'released'"),
        postgresql_where=sa.text("status = 'released'"),
    )
    op.drop_index("ix_tasks_out", table_name="tasks")
    op.drop_index("ix_outbox_unstamped", table_name="outbox")
    op.drop_index("ix_dead_letters_undriven", table_name="dead_letters")
    for column in ("review_bytes", "review_count", "kind"):
        op.drop_column("outbox", column)
    op.drop_table("schema_compatibility")
    op.drop_table("known_topics")
    op.drop_table("publisher_head")
    op.drop_table("leaders")
