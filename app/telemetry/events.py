"""The names of what is logged: `log.info(Event.JOB_ENDED, …)`. A line's other fields say to what it happened."""

from enum import StrEnum


class Event(StrEnum):
    """thing.happened, thing by thing. A test keeps every line of the code to these names, and every name in use."""

    SERVICE_STARTED = "service.started"
    SERVICE_STOPPED = "service.stopped"
    SERVICE_CUT_OFF = "service.cut_off"
    STORE_OPENED = "store.opened"
    SIMULATOR_STARTED = "simulator.started"
    SERVICE_OPEN = "service.open"
    LOOP_DIED = "loop.died"
    REQUEST_ANSWERED = "request.answered"
    REQUEST_FAILED = "request.failed"
    AUTHENTICATION_FAILED = "authentication.failed"
    REQUEST_REFUSED = "request.refused"
    CONNECTIONS_ENDED = "connections.ended"
    CONNECTIONS_UNBOUNDED = "connections.unbounded"
    METRICS_LISTENING = "metrics.listening"
    METRICS_WITHOUT_STORE = "metrics.without_store"

    JOBS_ACCEPTED = "jobs.accepted"
    JOB_ENDED = "job.ended"
    JOB_CANCELLED = "job.cancelled"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_NEEDS_TOKEN = "job.needs_token"  # noqa: S105 - an event
    JOB_GOT_TOKEN = "job.got_token"  # noqa: S105 - an event
    TOKEN_RENEWED = "token.renewed"  # noqa: S105 - an event
    TOKEN_NOT_RENEWED = "token.not_renewed"  # noqa: S105 - an event
    TOKENS_TOO_OLD = "tokens.too_old"

    WEBHOOK_DELIVERED = "webhook.delivered"
    WEBHOOK_RETRIED = "webhook.retried"
    WEBHOOK_FAILED = "webhook.failed"
    WEBHOOK_RESENT = "webhook.resent"
    WEBHOOK_FAULT = "webhook.fault"
    WEBHOOK_NOT_NOTED = "webhook.not_noted"
    WEBHOOKS_STORE_AWAY = "webhooks.store_away"

    EVENTS_STORE_AWAY = "events.store_away"
    EVENTS_LOOK_FAILED = "events.look_failed"

    TASK_RETRIED = "task.retried"
    TASK_DEAD = "task.dead"
    TASK_BROKEN_OFF = "task.broken_off"
    TASK_NOT_GIVEN_BACK = "task.not_given_back"
    ITEM_GIVEN_UP = "item.given_up"
    TASKS_RECLAIMED = "tasks.reclaimed"
    WORK_FORGED = "work.forged"
    SETTLE_DROPPED = "settle.dropped"
    DEAD_LETTERS_REDRIVEN = "dead_letters.redriven"

    BUDGET_CLOSED = "budget.closed"
    BUDGET_CLOSED_HERE_ONLY = "budget.closed_here_only"
    BUDGET_NOT_REFRESHED = "budget.not_refreshed"
    BUDGET_STORE_AWAY = "budget.store_away"
    BUDGET_STREAK_KEPT = "budget.streak_kept"
    BUDGET_SHARE_NOT_RETURNED = "budget.share_not_returned"

    CLAIM_STORE_AWAY = "claim.store_away"
    SETTLE_STORE_AWAY = "settle.store_away"
    LEASES_NOT_EXTENDED = "leases.not_extended"
    SCHEDULER_AWAY = "scheduler.away"
    HOUSEKEEPING_STORE_AWAY = "housekeeping.store_away"
    ERASING_STORE_AWAY = "erasing.store_away"
    ERASURE_DONE = "erasure.done"
    KEY_USES_STORE_AWAY = "key_uses.store_away"
    ACTIVITY_STORE_AWAY = "activity.store_away"
    SIGNALS_AWAY = "signals.away"

    TOPICS_NOT_SEEN = "topics.not_seen"
    TOPICS_UNFIT = "topics.unfit"
    LEADERSHIP_TAKEN = "leadership.taken"
    LEADERSHIP_LOST = "leadership.lost"
    LEADERSHIP_NOT_RENEWED = "leadership.not_renewed"
    LEADERSHIP_NOT_GIVEN_BACK = "leadership.not_given_back"

    PUBLISHER_STARTED = "publisher.started"
    PUBLISHER_STOPPED = "publisher.stopped"
    PUBLISHER_AWAY = "publisher.away"

    TRACING_STARTED = "tracing.started"
    SPANS_DROPPED = "spans.dropped"
    SPANS_TAKEN = "spans.taken"

    KAFKA_CLIENT = "kafka.client"
    KAFKA_CONSUMER_ENDED = "kafka.consumer_ended"
    KAFKA_CONSUMER_ERROR = "kafka.consumer_error"
    KAFKA_COMMIT_REFUSED = "kafka.commit_refused"
    KAFKA_DEAD_LETTER_NOT_TAKEN = "kafka.dead_letter_not_taken"
