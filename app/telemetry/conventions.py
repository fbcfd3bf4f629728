"""The names of attributes, once: OpenTelemetry's semantic conventions, and ours under `review_fetcher.`.

A test compares the first with the package of OpenTelemetry, which only the exporter needs. What they ask for and is
left out: `url.path` and `url.query` of requests (a stranger's text; `http.route` says what was asked), the client's
address, and of Google's URLs everything behind `?`, where page tokens are.
"""

HTTP_REQUEST_METHOD = "http.request.method"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
HTTP_ROUTE = "http.route"
URL_SCHEME = "url.scheme"
URL_FULL = "url.full"
URL_TEMPLATE = "url.template"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

MESSAGING_SYSTEM = "messaging.system"
MESSAGING_DESTINATION_NAME = "messaging.destination.name"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_OPERATION_TYPE = "messaging.operation.type"
MESSAGING_BATCH_MESSAGE_COUNT = "messaging.batch.message_count"
MESSAGING_CONSUMER_GROUP_NAME = "messaging.consumer.group.name"

DB_SYSTEM_NAME = "db.system.name"

OK = 200

OTHER_METHOD = "_OTHER"
"""What the conventions call a method that HTTP does not know: it is a stranger's text."""

UNKNOWN_METHOD = "HTTP"
"""The same in the name of a span."""

METHODS = frozenset("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split())

SEND = "send"
PROCESS = "process"
"""Operations on messages."""

KAFKA = "kafka"

TENANT = "review_fetcher.tenant"
JOB_ID = "review_fetcher.job.id"
JOB_STATUS = "review_fetcher.job.status"
REQUEST_ID = "review_fetcher.request.id"
TASK_ID = "review_fetcher.task.id"
TASK_STATUS = "review_fetcher.task.status"
RESOURCE = "review_fetcher.resource"
PAGE = "review_fetcher.page"
ATTEMPT = "review_fetcher.attempt"
OUTCOME = "review_fetcher.outcome"
REVIEWS_NEW = "review_fetcher.reviews.new"
REVIEWS_DUPLICATE = "review_fetcher.reviews.duplicate"
TASKS_NEW = "review_fetcher.tasks.new"

FOREIGN = frozenset({REQUEST_ID, RESOURCE, URL_FULL})
"""What others have named: it is looked through for what looks like a secret, as log lines are."""


def server_span_name(method: str, route: str = "") -> str:
    """`method` as the attribute has it, `route` once it is known."""
    return f"{UNKNOWN_METHOD if method == OTHER_METHOD else method} {route}".rstrip()


def error_type(status: int | None, word: str) -> str:
    """The status of an answer that was an error: the word that came with it may be any text. Else `word`, of ours."""
    return word if status is None or status == OK else str(status)


def sent(system: str, topic: str, count: int) -> dict[str, str | int]:
    """Of a span that sends so many messages; `topic` as the system calls it."""
    return _messaging(system, topic, SEND) | {MESSAGING_BATCH_MESSAGE_COUNT: count}


def processed(system: str, topic: str, group: str | None) -> dict[str, str | int]:
    """Of a span that does what a message asks for, as one of a group of consumers."""
    return _messaging(system, topic, PROCESS) | ({MESSAGING_CONSUMER_GROUP_NAME: group} if group else {})


def _messaging(system: str, topic: str, operation: str) -> dict[str, str | int]:
    return {
        MESSAGING_SYSTEM: system,
        MESSAGING_DESTINATION_NAME: topic,
        MESSAGING_OPERATION_NAME: operation,
        MESSAGING_OPERATION_TYPE: operation,
    }
