"""What is asked of a page of metrics, over HTTP."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from cluster.sampling import metric


@pytest.fixture
def port() -> Iterator[int]:
    registry = CollectorRegistry()
    places = Gauge("places", "Of two pools.", ["pool"], registry=registry)
    places.labels("store").set(3)
    places.labels("google").set(4)
    Gauge("places_waiting", "Begins like another.", registry=registry).set(50)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_metric_is_summed_over_its_labels(port: int) -> None:
    assert metric(port, "places") == 7


def test_a_metric_that_is_missing_is_no_zero(port: int) -> None:
    with pytest.raises(LookupError, match="has no sleepers"):
        metric(port, "sleepers")
