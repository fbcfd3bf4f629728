"""A replica that leads and cannot reach the broker: another one, that can, takes its place."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from app.broker.reach import CUT_OFF_SECONDS
from app.config.groups import KafkaConfig
from tests.support.replicas import published
from tests.support.service import eventually, site, upstream
from tests.support.simulator import simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.nightly, pytest.mark.timeout(240)]

TOKEN = "ya29.sim-accounts1-locations4-reviews50-seed12"
NOWHERE = "127.0.0.1:1"

TAKEN_OVER_SECONDS = 2 * CUT_OFF_SECONDS + 30.0
"""The scheduler, then the publisher, each with the deadlines of what it waits for; ample, on a busy machine."""


def test_a_leader_that_is_cut_off_from_the_broker_does_not_keep_the_others_idle(
    tmp_path: Path, postgresql_database: str, kafka_bootstrap_servers: str, topic_prefix: str
) -> None:
    settings = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    stack = Stack.on_servers(tmp_path, postgresql_database, settings)
    with ExitStack() as undo:
        google = undo.enter_context(simulator_process())
        place = undo.enter_context(site(tmp_path, google, **stack.environment))
        lonely = place.launch(KAFKA_BOOTSTRAP_SERVERS=NOWHERE).listening()
        eventually(lambda: lonely.log.read_text().count("leadership.taken") == 2, 30.0, "a leader of both kinds")
        able = place.start()
        job = able.job_ended(able.submit(TOKEN), TAKEN_OVER_SECONDS)
        assert job["status"] == "completed"
        assert able.exported(job["job_id"]) == upstream(google, TOKEN)
        eventually(lambda: published(stack), TAKEN_OVER_SECONDS, "an empty outbox")
