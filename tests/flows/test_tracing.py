"""Traces as a collector gets them from real processes: one of each job, from its POST to what was published."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Message
from local_services.process import free_ports

from app.models.events import Topic
from app.telemetry import conventions
from tests.support.canaries import CANARIES
from tests.support.collector import Collector, Exported, collector
from tests.support.kafka import read
from tests.support.service import JOBS, Service, Site, arrived, eventually, site, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack
from tests.support.verdict import Call, calls_of

TOKEN = "ya29.token-of-a-traced-job"
WORLD = ("--accounts", "2", "--locations", "3", "--reviews", "120")
POST = f"POST {JOBS}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c"
REVIEWS = 2 * 3 * 120

COLLECTORS_KEY = "key-that-the-collector-asks-for"
DECLARED = {value for name, value in vars(conventions).items() if name.isupper() and isinstance(value, str)}
STAGES = ("fetch-accounts", "fetch-locations", "fetch-reviews")


def traced(to: Collector) -> dict[str, str]:
    """Settings that send traces there, without much delay."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": to.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={COLLECTORS_KEY}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


class Running(NamedTuple):
    google: str
    traces: Collector
    place: Site


@contextmanager
def running(stack: Stack, **more: str) -> Iterator[Running]:
    """A simulated Google, a collector, and a place for services that know both."""
    with ExitStack() as opened:
        google = opened.enter_context(simulator_process(*WORLD))
        traces = opened.enter_context(collector())
        CANARIES.learn(COLLECTORS_KEY)
        settings = stack.environment | traced(traces) | more
        yield Running(google, traces, opened.enter_context(site(stack.directory, google, **settings)))


def trace_of(service: Service, job_id: str, traces: Collector) -> str:
    """The id of the trace of a job, found by its settles."""

    def look() -> str | None:
        mine = (span for span in traces.spans if span.attributes.get("review_fetcher.job.id") == job_id)
        return next((span.trace_id for span in mine), None)

    return eventually(look, 30, f"a span of job {job_id}")


def expected(calls: list[Call], stack: Stack) -> Counter[str]:
    """A span for each call; for each page but tokeninfo's one of the worker, and one of its settle. Topics are called
    what they are called on the cluster."""
    prefix = prefix_of(stack)
    names = Counter(f"{call['method']} {template_of(call)}" for call in calls)
    pages = Counter(stage_of(call) for call in calls if call["method"] == "GET")
    names.update({f"process {prefix}{stage}": count for stage, count in pages.items()})
    names.update({"settle": pages.total(), POST: 1, "accept": 1})
    names.update({f"send {prefix}{stage}": 1 for stage in pages})
    return names + Counter({f"send {prefix}reviews-raw": 1} if stack.kafka else {})


def prefix_of(stack: Stack) -> str:
    return stack.kafka.topic_prefix if stack.kafka else ""


def template_of(call: Call) -> str:
    path = re.sub(r"locations/[^/]+", "{location}", re.sub(r"accounts/[^/]+", "{account}", call["path"]))
    return path.partition("?")[0]


def stage_of(call: Call) -> str:
    return f"fetch-{call['path'].rpartition('/')[2]}"


def assert_one_tree(spans: list[Exported], root: str = "") -> None:
    """Each span hangs on another that is there; `root`: the caller's span, on which the first one hangs."""
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "a span came twice"
    roots = [span for span in spans if span.parent == root]
    assert [span.name for span in roots] == [POST]
    lost = [span.name for span in spans if span.parent != root and span.parent not in by_id]
    assert not lost, f"these hang on nothing: {lost}"
    for span in spans:
        assert span.began <= span.ended
        if span.kind in ("CLIENT", "INTERNAL") and span.parent in by_id:
            above = by_id[span.parent]
            assert above.began <= span.began <= span.ended <= above.ended, (above.name, span.name)


def parents(spans: list[Exported]) -> Counter[tuple[str, str]]:
    """(span, what it hangs on), by their names."""
    names = {span.span_id: span.name for span in spans}
    return Counter((span.name, names.get(span.parent, "")) for span in spans)


async def test_one_trace_leads_from_the_post_to_what_was_published(stack: Stack) -> None:
    def walk() -> None:
        with running(stack) as (google, traces, place):
            service = place.start()
            job_id = service.submit(TOKEN)
            assert service.job_ended(job_id)["status"] == "completed"
            trace = trace_of(service, job_id, traces)
            calls = calls_of(google, TOKEN)
            names, prefix = traces.waited_for(trace, expected(calls, stack)), prefix_of(stack)
            service.terminate()
            spans = traces.of(trace)
            assert_one_tree(spans)
            of_google = {name: count for name, count in names.items() if name.split()[0] in ("GET", "POST")}
            assert of_google == Counter(f"{call['method']} {template_of(call)}" for call in calls) + Counter({POST: 1})
            hangs = parents(spans)
            for stage in STAGES:
                send, process = f"send {prefix}{stage}", f"process {prefix}{stage}"
                assert hangs[send, POST] >= 1
                assert hangs[process, send] == names[process]
            assert hangs["GET /v4/{account}/{location}/reviews", f"process {prefix}fetch-reviews"] == 18
            assert sum(count for (name, above), count in hangs.items() if name == "settle" and "process" in above)
            assert_attributes(spans, job_id, google)
            assert_names_of(stack, spans)
            assert_logs_name_the_trace(service, spans, f"process {prefix}fetch-reviews")
            assert_nothing_private(spans, calls)
            assert {headers["x-api-key"] for headers in traces.headers} == {COLLECTORS_KEY}

    await asyncio.to_thread(walk)


def assert_names_of(stack: Stack, spans: list[Exported]) -> None:
    """What the cluster itself calls topics and groups, so that a span leads to them."""
    topic = f"{prefix_of(stack)}fetch-reviews"
    page = next(span for span in spans if span.name == f"process {topic}")
    assert page.attributes["messaging.system"] == ("kafka" if stack.kafka else "in_process")
    assert page.attributes["messaging.destination.name"] == topic
    group = page.attributes.get("messaging.consumer.group.name")
    assert group == (
        f"{topic.removesuffix('fetch-reviews')}{stack.kafka.consumer_group}-reviews" if stack.kafka else None
    )


def assert_attributes(spans: list[Exported], job_id: str, google: str) -> None:
    by_name = {span.name: span for span in spans}
    (post,) = (span for span in spans if span.name == POST)
    assert post.kind == "SERVER"
    assert post.attributes["http.response.status_code"] == 202
    assert post.attributes["http.route"] == JOBS
    assert re.fullmatch("[0-9a-f]{16}", post.attributes["review_fetcher.request.id"])
    assert post.resource["service.name"] == "review-fetcher-service"
    assert post.resource["deployment.environment.name"] == "development"
    page = next(span for span in spans if span.name.endswith("fetch-reviews") and span.kind == "CONSUMER")
    assert page.attributes["review_fetcher.job.id"] == job_id
    assert page.attributes["review_fetcher.outcome"] == "advance"
    call = by_name["GET /v4/{account}/{location}/reviews"]
    assert call.kind == "CLIENT"
    assert call.attributes["url.full"].startswith(f"{google}/v4/accounts/")
    assert "?" not in call.attributes["url.full"]
    assert call.attributes["http.response.status_code"] == 200
    settles = [span for span in spans if span.name == "settle"]
    assert sum(span.attributes["review_fetcher.reviews.new"] for span in settles) == REVIEWS
    assert [
        span.attributes["review_fetcher.job.status"]
        for span in settles
        if span.attributes.get("review_fetcher.job.status")
    ]


def assert_logs_name_the_trace(service: Service, spans: list[Exported], last: str) -> None:
    """`last`: the name of the span in which the job ended."""
    text = service.log.read_text()
    (post,) = (span for span in spans if span.name == POST)
    assert re.search(rf"request\.answered.*{JOBS}.*span_id={post.span_id}.*trace_id={post.trace_id}", text)
    ended = re.search(r"job\.ended.*span_id=(\w+).*trace_id=(\w+)", text)
    assert ended is not None
    assert ended[2] == post.trace_id
    assert {span.name for span in spans if span.span_id == ended[1]} == {last}


def assert_nothing_private(spans: list[Exported], calls: list[Call]) -> None:
    """Names that are declared, and values without page tokens. The sweep looks for secrets in what arrived."""
    assert {name for span in spans for name in span.attributes} <= DECLARED
    told = {str(value) for span in spans for value in span.attributes.values()}
    tokens = {call["page_token"] for call in calls if call["page_token"]}
    assert tokens, "no list had a second page"
    assert not [token for token in tokens if any(token in value for value in told)]


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_messages_carry_the_trace_between_processes_and_to_their_readers(servers: Stack) -> None:
    """The readers know nothing of us; and the caller's trace is gone on with."""

    def walk() -> str:
        with running(servers) as (_, traces, place):
            api = place.launch(ROLES="api,scheduler")
            workers = place.launch(ROLES="accounts,locations,reviews,publisher").started()
            job_id = submitted_in(api.started(), CALLER)
            assert api.job_ended(job_id)["status"] == "completed"
            prefix = prefix_of(servers)
            traces.waited_for(TRACE, Counter({f"send {prefix}reviews-raw": 1, POST: 1}))
            eventually(lambda: not asyncio.run(servers.anything_waits()), 30, "an empty outbox")
            for process in (api, workers):
                process.terminate()
            spans = traces.of(TRACE)
            assert_one_tree(spans, root=CALLER.split("-")[2])
            assert process_of(spans, POST) == process_of(spans, f"send {prefix}fetch-reviews")
            assert process_of(spans, POST) != process_of(spans, "settle")
            sent = {span.span_id for span in spans if span.name == f"send {prefix}fetch-reviews"}
            assert {traceparent(message).split("-")[2] for message in messages(servers, Topic.FETCH_REVIEWS)} == sent
            return next(span.traceparent for span in spans if span.name == POST)

    post = await asyncio.to_thread(walk)
    published = await asyncio.to_thread(messages, servers, Topic.REVIEWS_RAW)
    assert len(published) == REVIEWS
    assert {traceparent(message) for message in published} == {post}


def submitted_in(service: Service, context: str) -> str:
    """The id of a job that a caller submitted within its own trace."""
    service.headers = {"traceparent": context}
    job_id = service.submit(TOKEN)
    service.headers = {}
    return job_id


def process_of(spans: list[Exported], name: str) -> set[str]:
    return {span.resource["service.instance.id"] for span in spans if span.name == name}


async def test_a_job_keeps_its_trace_when_its_process_is_killed(tmp_path: Path) -> None:
    def walk() -> None:
        with running(Stack.on_sqlite(tmp_path)) as (google, traces, place):
            control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 0.1}]})
            first = place.start()
            job_id = submitted_in(first, CALLER)
            wait_for(google, "answered", 8)
            traces.waited_for(TRACE, Counter({POST: 1}))
            first.kill()
            before = arrived(google)
            second = place.start()
            assert second.job_ended(job_id)["status"] == "completed"
            second.terminate()
            later = [span for span in traces.of(TRACE) if of_process(span, second)]
            calls = [call for call in calls_of(google, TOKEN) if call["sequence"] > before]
            assert Counter(span.name for span in later if span.name.startswith("GET")) == Counter(
                f"GET {template_of(call)}" for call in calls
            )
            known = {span.span_id for span in traces.of(TRACE)}
            assert {span.name for span in later if span.parent not in known} == set(), "what came after hangs together"
            assert {span.trace_id for span in traces.spans if "review_fetcher.job.id" in span.attributes} == {TRACE}

    await asyncio.to_thread(walk)


def of_process(span: Exported, service: Service) -> bool:
    return str(span.resource["service.instance.id"]).endswith(f"-{service.pid}")


async def test_who_is_not_sampled_is_named_in_the_log_and_exported_nowhere(tmp_path: Path) -> None:
    """The caller decides; without one the ratio does."""
    sampling = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}

    def walk() -> None:
        with running(Stack.on_sqlite(tmp_path), **sampling) as (_, traces, place):
            service = place.start()
            service.job_ended(service.submit(TOKEN))
            service.job_ended(submitted_in(service, f"00-{OTHER_TRACE}-00f067aa0ba902b7-00"))
            service.job_ended(submitted_in(service, CALLER))
            service.terminate()
            assert {span.trace_id for span in traces.spans} == {TRACE}
            assert traces.names(TRACE)["settle"] > 0
            assert re.search(rf"job\.ended.*trace_id={OTHER_TRACE}", service.log.read_text())

    await asyncio.to_thread(walk)


async def test_a_stranger_s_id_decides_nothing_where_callers_have_no_say(tmp_path: Path) -> None:
    """A sampler by ratio takes the last 16 digits of a trace's id for a number, and records the small ones."""
    sampling = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.000001"}
    chosen = f"{1:032x}"

    def walk() -> None:
        with running(Stack.on_sqlite(tmp_path), **sampling) as (_, traces, place):
            service = place.start()
            service.job_ended(submitted_in(service, f"00-{chosen}-00f067aa0ba902b7-01"))
            service.terminate()
            assert traces.spans == []
            assert re.search(r"job\.ended.*trace_id=[0-9a-f]{32}", service.log.read_text())
            assert chosen not in service.log.read_text()

    await asyncio.to_thread(walk)


async def test_a_collector_that_hangs_holds_up_neither_the_work_nor_the_stop(tmp_path: Path) -> None:
    patience = {"OTEL_EXPORTER_OTLP_TIMEOUT": "60000", "OTEL_BSP_MAX_QUEUE_SIZE": "20"}

    def walk() -> None:
        with running(Stack.on_sqlite(tmp_path), **patience, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10") as (_, traces, place):
            traces.held.clear()
            service = place.start()
            assert service.job_ended(service.submit(TOKEN))["status"] == "completed"
            eventually(lambda: dropped(service) > 0, 30, "spans that found no room")
            assert traces.requests == 1, "the queue is behind one request"
            service.terminate()
            assert service.log.read_text().count("spans.dropped ") == 1

    await asyncio.to_thread(walk)


async def test_a_collector_that_is_away_costs_its_spans_and_gets_those_that_follow(tmp_path: Path) -> None:
    def walk() -> None:
        (port,) = free_ports(1)
        address = f"http://127.0.0.1:{port}"
        stack = Stack.on_sqlite(tmp_path)
        away = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_TIMEOUT": "5000"}
        with running(stack, **away) as (_, _, place):
            service = place.start()
            assert service.job_ended(service.submit(TOKEN))["status"] == "completed"
            eventually(lambda: dropped(service) > 0, 30, "spans that nobody took")
            with collector(port) as back:
                service.job_ended(submitted_in(service, CALLER))
                back.waited_for(TRACE, Counter({POST: 1}))
                eventually(lambda: "spans.taken" in service.log.read_text(), 30, "a line that says so")
                service.terminate()
            assert service.log.read_text().count("spans.dropped ") == 1
            assert "Traceback" not in service.log.read_text()

    await asyncio.to_thread(walk)


def dropped(service: Service) -> float:
    lines = service.get("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("review_fetcher_spans_dropped_total"))


def messages(servers: Stack, topic: Topic) -> list[Message]:
    assert servers.kafka is not None
    servers_at, name = ",".join(servers.kafka.bootstrap_servers), servers.kafka.topic_prefix + topic
    return asyncio.run(read(servers_at, name))


def traceparent(message: Message) -> str:
    found = dict(message.headers() or ())["traceparent"]
    assert isinstance(found, bytes)
    return found.decode()
