"""The three brokers of compose.yaml: Kafka's own program takes their settings, which are those of `make cluster`."""

from pathlib import Path

import pytest
import yaml
from local_services import kafka

from tests.support.services import PROJECT

pytestmark = pytest.mark.kafka

SERVICES = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
BROKERS = sorted(name for name in SERVICES if name.startswith("kafka"))
OF_THE_IMAGE = {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}
"""Variables that the image's start reads itself. Every other one is a property, by its rule for names."""


def properties_of(broker: str) -> dict[str, str]:
    environment = SERVICES[broker]["environment"]
    own = environment.keys() - OF_THE_IMAGE
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): str(environment[name]) for name in own}


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.usefixtures("kafka_bootstrap_servers")
def test_kafka_takes_the_settings_of_each_broker(broker: str, tmp_path: Path) -> None:
    """Its start in the image begins with this: it refuses what contradicts itself."""
    settings = properties_of(broker) | {"log.dirs": str(tmp_path / "data")}
    written = tmp_path / "server.properties"
    written.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    kafka.format_storage(written, tmp_path, SERVICES[broker]["environment"]["CLUSTER_ID"])
    assert f"node.id={settings['node.id']}" in (tmp_path / "data" / "meta.properties").read_text()


def test_one_of_three_may_be_away_as_on_a_cluster_of_processes() -> None:
    of_the_cluster = kafka.properties_in(PROJECT / "deploy" / "cluster" / "kafka.properties")
    copies = {name: value for name, value in of_the_cluster.items() if name.endswith((".factor", ".isr", ".replicas"))}
    assert len(copies) >= 5
    for broker in BROKERS:
        assert properties_of(broker).items() >= copies.items()


def test_the_brokers_differ_in_what_is_their_own_alone() -> None:
    found = [properties_of(broker) for broker in BROKERS]
    differ = {name for name in found[0] if len({one[name] for one in found}) > 1}
    assert differ == {"node.id", "advertised.listeners"}
    assert found[0]["controller.quorum.voters"] == ",".join(
        f"{one['node.id']}@{name}:9093" for one, name in zip(found, BROKERS, strict=True)
    )
    for name, one in zip(BROKERS, found, strict=True):
        assert SERVICES[name]["hostname"] == name
        inside, outside = one["advertised.listeners"].split(",")
        assert inside == f"INSIDE://{name}:9092"
        assert SERVICES[name]["ports"] == [f"{outside.removeprefix('OUTSIDE://')}:9094"]
