"""Values that make no sense are refused, by a sentence that says where and what to do, and without a secret."""

from typing import Any

import pytest

from tests.contract.chart.combinations import CANARIES, KAFKA, KEDA, PASSWORD, SERVERS
from tests.support.chart import refused

MANY: dict[str, Any] = {"mode": "replicas", **SERVERS}
SECRET = {"value": CANARIES[1], "existingSecret": "keys"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mode": "triple"}, "at '/mode': value must be one of 'single', 'replicas', 'roles'"),
    ({"replica": 3}, "additional properties 'replica' not allowed"),
    ({"settings": {"WORKER_CONCURENCY": 3}}, "at '/settings': additional properties 'WORKER_CONCURENCY' not allowed"),
    ({"settings": {"WORKER_CONCURRENCY": 0}}, "at '/settings/WORKER_CONCURRENCY': minimum: got 0, want 1"),
    ({"settings": {"RATELIMIT_PER_DAY": "many"}}, "at '/settings/RATELIMIT_PER_DAY': got string, want integer"),
    ({"settings": {"ROLES": "api"}}, "at '/settings': additional properties 'ROLES' not allowed"),
    ({"settings": {"CRASH_AT": "settled:1"}}, "at '/settings': additional properties 'CRASH_AT' not allowed"),
    ({"settings": {"API_KEYS": CANARIES[1]}}, "at '/settings': additional properties 'API_KEYS' not allowed"),
    ({"secrets": {"PASSWORD": {"value": "x"}}}, "at '/secrets': additional properties 'PASSWORD' not allowed"),
    ({"image": {"digest": "latest"}}, "at '/image/digest': 'latest' does not match pattern"),
    ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "at '/commonLabels/app.kubernetes.io~1name'"),
    ({"roles": {"api": {"replicas": 0}}}, "at '/roles/api/replicas': minimum: got 0, want 1"),
    ({"mode": "replicas"}, "mode replicas shares one PostgreSQL: set secrets.DATABASE_URL.value"),
    ({"mode": "roles", "secrets": SERVERS["secrets"]}, "mode roles hands work out over Kafka: set settings.KAFKA"),
    ({"secrets": {"DATABASE_URL": {"value": f"mysql://u:{PASSWORD}@h/d"}}}, "must be postgresql://user:password@host"),
    ({"settings": {"MOCK_GOOGLE_API": True}}, "production does not fetch from the simulator: set it to false, or"),
    ({"settings": {"MOCK_KAFKA": True}}, "production takes no mock: unset it"),
    (
        {**MANY, "settings": {**KAFKA, "ENVIRONMENT": "development", "MOCK_KAFKA": True}},
        "mode replicas needs a real Kafka: unset it, or choose mode single",
    ),
    (
        {**MANY, "mode": "roles", "settings": {**KAFKA, "ENVIRONMENT": "development", "MOCK_GOOGLE_API": True}},
        "each pod would have a simulator of its own: set settings.GOOGLE_API_BASE_URL",
    ),
    ({"generateSecrets": False}, "secrets.API_KEYS: generateSecrets is false, so it must be given"),
    ({"secrets": {"API_KEYS": SECRET}}, "secrets.API_KEYS: has a value and an existingSecret: keep one of them"),
    ({"externalSecret": {"enabled": True}}, "externalSecret: needs store.name, and in data where each secret"),
    (
        {
            "secrets": {"API_KEYS": {"value": CANARIES[1]}},
            "externalSecret": {"enabled": True, "store": {"name": "v"}, "data": {"API_KEYS": {"key": "k"}}},
        },
        "secrets.API_KEYS: is also in externalSecret.data: keep one of them",
    ),
    ({"autoscaling": {"enabled": True}}, "mode single is one pod and cannot grow: choose mode replicas or roles"),
    ({**MANY, "autoscaling": {"enabled": True}, "keda": KEDA}, "both would set the number of the same pods"),
    ({**MANY, "keda": {"enabled": True}}, "keda.prometheusAddress: name the Prometheus that scrapes this release"),
    ({**MANY, "keda": {**KEDA, "maxReplicas": 13}}, "pods beyond settings.KAFKA_TOPIC_PARTITIONS (12) get no work"),
    ({**MANY, "keda": {**KEDA, "minReplicas": 9}}, "keda: minReplicas is above maxReplicas"),
    ({**MANY, "keda": KEDA, "metrics": {"enabled": False}}, "live on the metrics: set it to true"),
    (
        {"persistence": {"enabled": False}, "maintenance": {"enabled": True}},
        "maintenance.enabled: the store is gone with its pod, and that pod would go: set persistence.enabled",
    ),
    ({"maintenance": {"replicas": 1}}, "at '/maintenance': additional properties 'replicas' not allowed"),
    ({"terminationGracePeriodSeconds": 29}, "a stop takes up to preStopSeconds and 25 s: at least 30"),
    ({"networkPolicy": {"web": {"ports": []}}}, "at '/networkPolicy/web/ports': minItems: got 0, want 1"),
    ({"keda": {"cooldownPeriod": 300}}, "at '/keda': additional properties 'cooldownPeriod' not allowed"),
    ({"metrics": {"port": 8000}}, "metrics.port: 8000 is where the pods serve HTTP: choose another"),
    (
        {"metrics": {"prometheusRule": {"runbookUrl": "https://docs.example.com/alerts.html#"}}},
        "at '/metrics/prometheusRule/runbookUrl': 'https://docs.example.com/alerts.html#' does not match pattern",
    ),
    ({"ingress": {"enabled": True}}, "ingress.hosts: name at least one host"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=map(str, range(len(WRONG))))
def test_wrong_values_are_refused_and_told(values: dict[str, Any], sentence: str) -> None:
    told = refused(values)
    assert sentence in told
    assert [secret for secret in CANARIES if secret in told] == []
