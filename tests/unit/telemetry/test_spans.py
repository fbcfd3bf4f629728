"""What spans say of messages, pages and requests: by OpenTelemetry's conventions, as a collector gets it."""

from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from starlette.types import Receive, Scope, Send

from app.api.traces import ServerSpans
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.in_process import InProcessBroker
from app.broker.kafka import KafkaBroker
from app.clock import SystemClock
from app.google.errors import ErrorKind, GoogleAPIError, broken_answer
from app.google.spans import Call, call_span, tell_failed
from app.models.job import Problem, Stage, TaskStatus, Work
from app.models.settlement import Move, Settled
from app.pipeline.outcome import Advance, DeadLetter, Outcome, Retry, Snooze
from app.pipeline.spans import page_span, settle_span, tell_page, tell_settled
from app.results.spans import publish_spans
from app.retry.spans import release_spans
from app.telemetry import conventions, tracing
from tests.support.collector import Collector, Exported
from tests.support.traced import PARENT, Traced
from tests.unit.pipeline.stage import held
from tests.unit.results.test_records import LETTER
from tests.unit.results.test_records import batch as made

OTHER = PARENT._replace(trace_id="0af7651916cd43dd8448eb211c80319c")
UNSAMPLED = PARENT._replace(sampled=False)
WAITING = Settled(Move(TaskStatus.WAITING))
LOOPS = Advance(Move(TaskStatus.DEAD, error=Problem("page_token_loop", "In circles.")))


def kafka() -> KafkaBroker:
    """It is not started: nothing is asked of a cluster."""
    return KafkaBroker(
        KafkaConnection("127.0.0.1:1"), "shops-fetchers", SystemClock(), layout=TopicLayout(1), topic_prefix="shops-"
    )


def work(traceparent: str, job_id: str) -> Work:
    return Work(1, 1, Stage.REVIEWS, "default", job_id, "locations/1", "accounts/1", "", traceparent=traceparent)


async def sent(traced: Traced, receiving: Collector) -> list[Exported]:
    await traced.tracer.close()
    return receiving.spans


async def test_what_is_released_together_runs_in_no_job_s_trace(traced: Traced, receiving: Collector) -> None:
    """Each message names its own job's span, and what is logged meanwhile none."""
    contexts = (PARENT, OTHER, UNSAMPLED)
    works = [work(context.traceparent, f"job-{number}") for number, context in enumerate(contexts)]
    with release_spans(works, kafka()) as released:
        assert tracing.current() is None
        named = [tracing.parse_traceparent(one.traceparent) for one in released]
    assert tracing.current() is None
    assert [one and one.trace_id for one in named] == [PARENT.trace_id, OTHER.trace_id, PARENT.trace_id]
    spans = await sent(traced, receiving)
    assert [(span.trace_id, span.failed) for span in spans] == [(OTHER.trace_id, False), (PARENT.trace_id, False)]
    assert named[0] is not None
    assert named[0].span_id == spans[1].span_id


async def test_what_is_published_together_runs_in_no_job_s_trace(traced: Traced, receiving: Collector) -> None:
    page = made().pages[7]._replace(traceparent=PARENT.traceparent)
    batch = made()._replace(pages={7: page}, letters=[LETTER._replace(traceparent=OTHER.traceparent)])

    def publish() -> None:
        with publish_spans(batch, "shops-"):
            assert tracing.current() is None
            raise ConnectionError

    with pytest.raises(ConnectionError):
        publish()
    assert tracing.current() is None
    spans = await sent(traced, receiving)
    assert {(span.name, span.trace_id, span.attributes["error.type"]) for span in spans} == {
        ("send shops-reviews-raw", PARENT.trace_id, "ConnectionError"),
        ("send shops-review-fetcher-dlq", OTHER.trace_id, "ConnectionError"),
    }
    assert {f"send {span.attributes['messaging.destination.name']}" for span in spans} == {span.name for span in spans}


async def test_topics_and_groups_are_named_as_kafka_knows_them(traced: Traced, receiving: Collector) -> None:
    broker = kafka()
    with release_spans([work(PARENT.traceparent, "job-1")], broker):
        pass
    with page_span(held(Stage.REVIEWS, traceparent=PARENT.traceparent), broker):
        pass
    release, page = await sent(traced, receiving)
    topic = "shops-fetch-reviews"
    assert (release.name, release.attributes["messaging.destination.name"]) == (f"send {topic}", topic)
    assert (page.name, page.attributes["messaging.destination.name"]) == (f"process {topic}", topic)
    assert broker._group_settings(Stage.REVIEWS)["group.id"] == "shops-fetchers-reviews"
    assert page.attributes[messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME] == "shops-fetchers-reviews"
    assert messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME not in release.attributes


async def test_one_process_has_no_group(traced: Traced, receiving: Collector) -> None:
    with page_span(held(Stage.REVIEWS, traceparent=PARENT.traceparent), InProcessBroker()):
        pass
    (page,) = await sent(traced, receiving)
    assert page.name == "process fetch-reviews"
    assert messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME not in page.attributes


@pytest.mark.parametrize(
    ("outcome", "settled", "told"),
    [
        (Retry(Problem("http_503", "Google is ill.", 503)), WAITING, ("retry", "503")),
        (Retry(Problem("timeout", "No answer.")), WAITING, ("retry", "timeout")),
        (Retry(Problem("not_json", "No JSON.", 200)), WAITING, ("retry", "not_json")),
        (
            DeadLetter(Problem("whatever Google says", "No.", 403)),
            Settled(Move(TaskStatus.DEAD)),
            ("dead_letter", "403"),
        ),
        (DeadLetter(Problem("crash_loop", "Again.")), Settled(Move(TaskStatus.DEAD)), ("dead_letter", "crash_loop")),
        (LOOPS, Settled(LOOPS.move), ("advance", "page_token_loop")),
        (Snooze(0.0, "quota"), WAITING, ("snooze", None)),
    ],
)
async def test_a_page_that_failed_says_of_what(
    traced: Traced, receiving: Collector, outcome: Outcome, settled: Settled, told: tuple[str, str | None]
) -> None:
    """The status, or a word of ours: what Google calls it may be any text."""
    with page_span(held(Stage.REVIEWS, traceparent=PARENT.traceparent), InProcessBroker()) as span:
        tell_page(span, outcome, settled)
    (page,) = await sent(traced, receiving)
    assert (page.attributes[conventions.OUTCOME], page.attributes.get("error.type")) == told
    assert page.failed is (told[1] is not None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (broken_answer("not_json"), (200, "not_json")),
        (GoogleAPIError(ErrorKind.TRANSIENT, "http_503", "ill", status=503), (503, "503")),
        (GoogleAPIError(ErrorKind.TRANSIENT, "timeout", "none"), (None, "timeout")),
    ],
)
async def test_a_call_that_failed_says_of_what(
    traced: Traced, receiving: Collector, error: GoogleAPIError, told: tuple[int | None, str]
) -> None:
    request = Call("GET", "/v4/{account}/{location}/reviews", "http://google/v4")
    with tracing.server_span("POST", PARENT.traceparent, {}), call_span(request) as span:
        tell_failed(span, error)
    call = next(span for span in await sent(traced, receiving) if span.kind == "CLIENT")
    assert (call.attributes.get("http.response.status_code"), call.attributes["error.type"]) == told


@pytest.mark.parametrize(("method", "name"), [("GET", "GET /jobs/{id}"), ("BREW", "HTTP /jobs/{id}")])
async def test_a_method_that_http_does_not_know_is_called_http_in_a_name(
    traced: Traced, receiving: Collector, method: str, name: str
) -> None:
    class Route:
        path = "/jobs/{id}"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nothing(*_: object) -> Any:
        """Nobody sends, and nobody listens."""

    scope = {"type": "http", "method": method, "scheme": "http", "path": "/jobs/1", "headers": []}
    await ServerSpans(app)(scope, nothing, nothing)
    (span,) = await sent(traced, receiving)
    assert span.name == name
    assert span.attributes["http.request.method"] == ("GET" if method == "GET" else "_OTHER")


async def test_a_settle_is_no_operation_that_a_database_knows(traced: Traced, receiving: Collector) -> None:
    """It is a transaction of many."""
    with tracing.server_span("POST", PARENT.traceparent, {}), settle_span() as span:
        tell_settled(span, WAITING, "sqlite")
    settle = next(span for span in await sent(traced, receiving) if span.kind == "CLIENT")
    assert settle.name == "settle"
    assert {name for name in settle.attributes if not name.startswith("review_fetcher.")} == {"db.system.name"}
