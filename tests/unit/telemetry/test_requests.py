"""What is counted of HTTP requests, and that strangers cannot make it grow."""

from prometheus_client import CollectorRegistry, generate_latest

from app.telemetry.requests import Requests
from tests.unit.telemetry.test_metrics import samples


def shown(requests: Requests) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    requests.register(registry)
    return samples(generate_latest(registry))


def test_a_request_counts_for_its_route_method_and_class_of_status() -> None:
    requests = Requests()
    for status in (202, 202, 429):
        requests.began()
        requests.ended("/api/v1/review-fetch", "POST", status, 0.02)
    page = shown(requests)
    counted = "review_fetcher_http_requests_total"
    assert page[counted, ("POST", "/api/v1/review-fetch", "2xx")] == 2
    assert page[counted, ("POST", "/api/v1/review-fetch", "4xx")] == 1
    assert page["review_fetcher_http_request_seconds_count", ("/api/v1/review-fetch",)] == 3
    assert page["review_fetcher_http_request_seconds_bucket", ("0.025", "/api/v1/review-fetch")] == 3


def test_errors_that_are_awaited_are_shown_before_the_first() -> None:
    requests = Requests()
    requests.begin_at_zero("/api/v1/review-fetch", "POST")
    counted = "review_fetcher_http_requests_total"
    assert shown(requests)[counted, ("POST", "/api/v1/review-fetch", "5xx")] == 0
    assert shown(requests)[counted, ("POST", "/api/v1/review-fetch", "gone")] == 0
    requests.began()
    requests.ended("/api/v1/review-fetch", "POST", 503, 0.01)
    assert shown(requests)[counted, ("POST", "/api/v1/review-fetch", "5xx")] == 1


def test_requests_are_in_flight_until_they_end() -> None:
    requests = Requests()
    requests.began()
    requests.began()
    requests.ended("/livez", "GET", 200, 0.001)
    assert shown(requests)["review_fetcher_http_requests_in_flight", ()] == 1


def test_a_client_that_left_before_its_answer_is_told_apart() -> None:
    requests = Requests()
    requests.began()
    requests.ended("/livez", "GET", None, 1.0)
    assert shown(requests)["review_fetcher_http_requests_total", ("GET", "/livez", "gone")] == 1


def test_paths_and_methods_of_strangers_share_one_series() -> None:
    requests = Requests()
    for number in range(1000):
        requests.began()
        requests.ended(None, f"METHOD{number}", 404, 0.001)
    page = shown(requests)
    counted = {labels: value for (name, labels), value in page.items() if name == "review_fetcher_http_requests_total"}
    assert counted == {("other", "other", "4xx"): 1000}
    assert len(requests._counters) == 0
