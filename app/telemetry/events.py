"""The names of what is logged: `log.info(Event.JOB_ENDED, …)`. A line's other fields say to what it happened."""

from enum import StrEnum


class Event(StrEnum):
    """thing.happened, in the order of a service's life."""

    SERVICE_STARTING = "service.starting"
    SERVICE_STARTED = "service.started"
    SERVICE_STOPPING = "service.stopping"
    SERVICE_STOPPED = "service.stopped"
    LOOP_DIED = "loop.died"
    STORE_MIGRATED = "store.migrated"
    SEALING_KEY_CREATED = "sealing_key.created"
    SIMULATOR_STARTED = "simulator.started"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    REQUEST_FAILED = "request.failed"
    JOB_ACCEPTED = "job.accepted"
    JOB_ENDED = "job.ended"
    JOB_CANCELLED = "job.cancelled"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_NEEDS_TOKEN = "job.needs_token"  # noqa: S105 - an event
    JOB_GOT_TOKEN = "job.got_token"  # noqa: S105 - an event
    SETTLE_DROPPED = "settle.dropped"
    TASK_RETRIED = "task.retried"
    TASK_DEAD = "task.dead"
    DEAD_LETTERS_REDRIVEN = "dead_letters.redriven"
    BUDGET_CLOSED = "budget.closed"
    METRICS_WITHOUT_STORE = "metrics.without_store"
