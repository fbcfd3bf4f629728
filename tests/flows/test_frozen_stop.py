"""SIGTERM while neither the database nor the broker answers: each wait ends in time, and the stop as a whole."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from app.config.groups import KafkaConfig
from tests.support.own_kafka import running_kafka
from tests.support.own_postgresql import running_postgresql
from tests.support.service import site, upstream, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.nightly, pytest.mark.timeout(240)]

TOKEN = "ya29.sim-accounts2-locations8-reviews100-seed11"


def test_a_stop_ends_in_time_while_everything_is_frozen_and_the_next_process_goes_on(tmp_path: Path) -> None:
    with ExitStack() as undo:
        kafka = undo.enter_context(running_kafka())
        postgresql = undo.enter_context(running_postgresql())
        google = undo.enter_context(simulator_process())
        control(google, "POST", "faults", {"fault": "latency", "seconds": 0.3})
        settings = KafkaConfig(bootstrap_servers=(kafka.connection.bootstrap_servers,), topic_partitions=6)
        stack = Stack.on_servers(tmp_path, postgresql.url, settings)
        place = undo.enter_context(site(tmp_path, google, **stack.environment))
        service = place.start()
        job_id = service.submit(TOKEN)
        wait_for(google, "answered", 12)
        with kafka.frozen(), postgresql.frozen():
            service.terminate()
        control(google, "DELETE", "faults")
        after = place.start()
        assert after.job_ended(job_id)["status"] == "completed"
        assert after.exported(job_id) == upstream(google, TOKEN)
