"""Keys that expire, tenants' own settings and submissions, the audit log, erasures and their tombstones."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

works_with = "0001"
"""Every table and column is new and may be missing, or has a default; indexes only answer other questions fast."""

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


APPEND_ONLY = {
    "sqlite": (
        *(
            f"CREATE TRIGGER audit_log_no_{change} BEFORE {change.upper()} ON audit_log"
            " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            for change in ("update", "delete")
        ),
        # INSERT OR REPLACE takes a row away without asking a DELETE trigger.
        "CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log"
        " WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)"
        " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation';"
        " END $$",
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log()",
    ),
}


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
    _index_tasks(["tenant", "job_id"])
    op.add_column("api_keys", sa.Column("expires_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("replaced_by", sa.Text(), nullable=True))
    _index_sealing_keys()
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ended_sessions")),
    )
    _create_tenants()
    _create_audit_log()
    _create_erasures()


def _index_sealing_keys() -> None:
    """Which keys are still needed must be cheap to ask. A row has one key from here on: until now a grant could be
    older than its job's token. Such a row names the grant's key, with which it is sealed anew."""
    op.create_index("ix_credentials_created_at", "credentials", ["created_at"], unique=False)
    for table in ("credentials", "callbacks"):
        op.create_index(f"ix_{table}_key_id_job_id", table, ["key_id", "job_id"], unique=False)
    connection = op.get_bind()
    grants = sa.text("SELECT job_id, key_id, sealed_grant FROM credentials WHERE sealed_grant IS NOT NULL")
    older = [
        {"job": job_id, "key": key_id}
        for job_id, of_token, grant in connection.execute(grants)
        if (key_id := bytes(grant[2 : 2 + grant[1]]).decode()) != of_token
    ]
    if older:
        connection.execute(sa.text("UPDATE credentials SET key_id = :key WHERE job_id = :job"), older)


def _index_tasks(names: list[str]) -> None:
    """The indexes by which the scheduler finds work, with these columns in their middle."""
    for index, where, first, last in (
        ("ix_tasks_waiting", "status = 'waiting'", ["stage"], ["due_at", "id"]),
        ("ix_tasks_out", "status IN ('released', 'held')", ["stage", "status"], []),
    ):
        op.drop_index(index, table_name="tasks")
        op.create_index(
            index,
            "tasks",
            [*first, *names, *last],
            unique=False,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


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
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


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
    for table in ("tombstones", "erasures", "audit_log", "submit_rates", "tenants", "ended_sessions"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change_of_audit_log()")
    for column in ("replaced_by", "last_used_at", "expires_at"):
        op.drop_column("api_keys", column)
    for table in ("credentials", "callbacks"):
        op.drop_index(f"ix_{table}_key_id_job_id", table_name=table)
    op.drop_index("ix_credentials_created_at", table_name="credentials")
    for index in ("ix_outbox_fences", "ix_outbox_tombstones"):
        op.drop_index(index, table_name="outbox")
    op.drop_index("ix_locations_tenant_location", table_name="locations")
    _index_tasks(["job_id"])
    op.drop_index("ix_jobs_finished", table_name="jobs")
