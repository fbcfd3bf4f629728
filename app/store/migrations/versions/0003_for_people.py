"""Grants that refresh tokens, callbacks and their messages, activity by the minute, redrives of dead work."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

works_with = "0001"
"""Every table and column is new and has a default, or may be missing."""

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


_COUNT_REDRIVES = """
    UPDATE dead_letters SET earlier_redrives = (
        SELECT count(*) FROM dead_letters AS earlier
        WHERE earlier.task_id = dead_letters.task_id
        AND earlier.redriven_at IS NOT NULL AND earlier.id < dead_letters.id
    ) WHERE task_id IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("token_refreshable", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("jobs", _count("locations_begun"))
    op.add_column("jobs", sa.Column("clocked_from", sa.Double(), nullable=True))
    op.add_column("jobs", _count("clocked_calls"))
    op.add_column("credentials", sa.Column("sealed_grant", sa.LargeBinary(), nullable=True))
    op.add_column("credentials", sa.Column("refreshing_until", sa.Double(), nullable=True))
    op.add_column("credentials", sa.Column("refreshed_at", sa.Double(), nullable=True))
    op.add_column("dead_letters", _count("earlier_redrives"))
    _index_letters("redriven", ["task_id", "id"], "redriven_at IS NOT NULL")
    op.execute(_COUNT_REDRIVES)
    _index_letters("still_dead", ["tenant", "id"], "redriven_at IS NULL")
    _index_letters("causes", ["tenant", "cause", "earlier_redrives", "created_at"], "redriven_at IS NULL")
    _create_webhooks()
    op.create_table(
        "activity",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("minute", NUMBER, nullable=False),
        _count("reviews"),
        _count("calls"),
        _count("throttled"),
        sa.PrimaryKeyConstraint("tenant", "minute", name=op.f("pk_activity")),
    )
    op.create_index("ix_activity_minute", "activity", ["minute"], unique=False)


def _index_letters(name: str, columns: list[str], where: str) -> None:
    which = sa.text(where)
    op.create_index(
        f"ix_dead_letters_{name}",
        "dead_letters",
        columns,
        unique=False,
        sqlite_where=which,
        postgresql_where=which,
    )


def _create_webhooks() -> None:
    op.create_table(
        "callbacks",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed_url", sa.LargeBinary(), nullable=False),
        sa.Column("shown_url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_callbacks")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        _count("version"),
        _count("attempts"),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("message_id", name=op.f("uq_webhooks_message_id")),
    )
    op.create_index("ix_webhooks_job_id", "webhooks", ["job_id"], unique=False)
    waiting = sa.text("status = 'waiting'")
    op.create_index(
        "ix_webhooks_due", "webhooks", ["due_at"], unique=False, sqlite_where=waiting, postgresql_where=waiting
    )


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, NUMBER, server_default=sa.text("0"), nullable=False)


def downgrade() -> None:
    op.drop_table("activity")
    op.drop_table("webhooks")
    op.drop_table("callbacks")
    for name in ("causes", "still_dead", "redriven"):
        op.drop_index(f"ix_dead_letters_{name}", table_name="dead_letters")
    op.drop_column("dead_letters", "earlier_redrives")
    op.drop_column("credentials", "refreshed_at")
    op.drop_column("credentials", "refreshing_until")
    op.drop_column("credentials", "sealed_grant")
    for column in ("clocked_calls", "clocked_from", "locations_begun", "token_refreshable"):
        op.drop_column("jobs", column)
