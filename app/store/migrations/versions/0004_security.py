"""Keys that expire, tenants' own settings and submissions, the audit log, erasures and their tombstones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

works_with = "0001"
"""Every table and column is new and may be missing, or has a default."""

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    finished = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "ix_jobs_finished",
        "jobs",
        ["tenant", "finished_at"],
        unique=False,
        sqlite_where=finished,
        postgresql_where=finished,
    )
    op.create_index("ix_locations_tenant_location", "locations", ["tenant", "location"], unique=False)
    _index_of_kind("ix_outbox_tombstones", "position", "tombstone")
    _index_of_kind("ix_outbox_fences", "job_id", "fence")
    op.add_column("api_keys", sa.Column("expires_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("replaced_by", sa.Text(), nullable=True))
    _create_tenants()
    _create_audit_log()
    _create_erasures()


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=True),
        sa.Column("max_open_jobs", sa.Integer(), nullable=True),
        sa.Column("submits_per_minute", sa.Integer(), nullable=True),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("drop_reviewers", sa.Boolean(), nullable=True),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_tenants")),
    )
    op.create_table(
        "submit_rates",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("arrival_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_submit_rates")),
    )


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("request_id", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("detail", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_tenant_id", "audit_log", ["tenant", "id"], unique=False)
    op.create_index("ix_audit_log_subject_id", "audit_log", ["subject", "id"], unique=False)


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        _count("jobs_erased"),
        _count("reviews_erased"),
        _count("reached"),
        _count("upto"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_tenant_id", "erasures", ["tenant", "id"], unique=False)
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_erasures_open", "erasures", ["id"], unique=False, sqlite_where=unfinished, postgresql_where=unfinished
    )
    op.create_table(
        "tombstones",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("review_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstones")),
    )


def _index_of_kind(name: str, column: str, kind: str) -> None:
    of_kind = sa.text(f"kind = '{kind}'")
    op.create_index(name, "outbox", [column], unique=False, sqlite_where=of_kind, postgresql_where=of_kind)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, NUMBER, server_default=sa.text("0"), nullable=False)


def downgrade() -> None:
    for table in ("tombstones", "erasures", "audit_log", "submit_rates", "tenants"):
        op.drop_table(table)
    for column in ("replaced_by", "last_used_at", "expires_at"):
        op.drop_column("api_keys", column)
    for index in ("ix_outbox_fences", "ix_outbox_tombstones"):
        op.drop_index(index, table_name="outbox")
    op.drop_index("ix_locations_tenant_location", table_name="locations")
    op.drop_index("ix_jobs_finished", table_name="jobs")
