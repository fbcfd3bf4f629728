"""Which values the chart is rendered with: every mode, with every option at least once."""

import base64
from typing import Any

PASSWORD = "canary-of-the-database"
DATABASE_URL = f"postgresql://review_fetcher:{PASSWORD}@postgresql:5432/review_fetcher"
API_KEY = "canary-of-the-api-key-of-these-tests"
SEALING_KEY = base64.b64encode(b"canary of the sealing key 32 byt").decode()
KAFKA_PASSWORD = "canary-of-the-broker"
CANARIES = (PASSWORD, API_KEY, SEALING_KEY, KAFKA_PASSWORD)

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "kafka-0:9092,kafka-1:9092", "KAFKA_REPLICATION_FACTOR": 3}
SERVERS: dict[str, Any] = {"settings": KAFKA, "secrets": {"DATABASE_URL": {"value": DATABASE_URL}}}

ELSEWHERE = {
    "DATABASE_URL": {"existingSecret": "database-app", "key": "uri"},
    "API_KEYS": {"existingSecret": "keys", "key": "api"},
    "TOKEN_SEALING_KEYS": {"existingSecret": "keys", "key": "sealing"},
}
EXISTING = {("database-app", "uri"), ("keys", "api"), ("keys", "sealing")}
"""Secrets and keys that a user of `ELSEWHERE` has."""

VAULT = {
    "enabled": True,
    "store": {"name": "vault", "kind": "ClusterSecretStore"},
    "data": {
        "DATABASE_URL": {"key": "review-fetcher", "property": "database-url"},
        "API_KEYS": {"key": "review-fetcher", "property": "api-keys"},
        "TOKEN_SEALING_KEYS": {"key": "review-fetcher", "property": "sealing-keys"},
    },
}
MONITORING = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "runbookUrl": "https://docs.example.com/alerts.html"},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Review Fetcher"}},
}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
CLOSED = {
    "enabled": True,
    "clients": [PEER],
    "monitoring": [PEER],
    "postgresql": {"to": [PEER]},
    "kafka": {"to": [PEER]},
    "web": {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]},
    "extraEgress": [{"ports": [{"port": 4318, "protocol": "TCP"}], "to": [PEER]}],
}
INGRESS = {
    "enabled": True,
    "className": "nginx",
    "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "90"},
    "hosts": ["reviews.example.com", "reviews.example.org"],
    "tls": [{"secretName": "reviews-tls", "hosts": ["reviews.example.com"]}],
}
KEDA = {"enabled": True, "prometheusAddress": "http://prometheus-operated.monitoring.svc:9090"}
APART = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "example.com/spot", "operator": "DoesNotExist"}]}]
        }
    },
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "noisy"}}}
        ]
    },
}
EVERYWHERE = {
    "commonLabels": {"team": "reviews"},
    "podLabels": {"cost": "reviews"},
    "podAnnotations": {"example.com/scrape": "no"},
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"annotations": {"example.com/role": "reader"}},
    "priorityClassName": "important",
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "reviews", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {}},
    "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
    "extraVolumes": [{"name": "ca", "secret": {"secretName": "kafka-ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/run/kafka-ca", "readOnly": True}],
    "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/internal": "true"}},
}

COMBINATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "single, given secrets": {
        "secrets": {"API_KEYS": {"value": API_KEY}, "TOKEN_SEALING_KEYS": {"value": f"1:{SEALING_KEY}"}},
        "image": {"repository": "registry.example.com/review-fetcher", "digest": f"sha256:{'0' * 64}"},
    },
    "single, for trying out": {
        "settings": {"ENVIRONMENT": "development", "MOCK_GOOGLE_API": True},
        "persistence": {"enabled": False},
    },
    "single, existing claim": {"persistence": {"existingClaim": "reviews"}, "serviceAccount": {"create": False}},
    "single, a class of storage": {"persistence": {"storageClass": "fast", "accessModes": ["ReadWriteOncePod"]}},
    "single, a server": {"secrets": {"DATABASE_URL": {"value": DATABASE_URL}}},
    "single, everything": {"metrics": MONITORING, "networkPolicy": CLOSED, "ingress": INGRESS, **EVERYWHERE},
    "single, no metrics": {"metrics": {"enabled": False}, "networkPolicy": {"enabled": True}},
    "single, maintenance": {"maintenance": {"enabled": True}},
    "single, a server, maintenance": {
        "secrets": {"DATABASE_URL": {"value": DATABASE_URL}},
        "maintenance": {"enabled": True},
    },
    "replicas": {"mode": "replicas", **SERVERS},
    "replicas, secrets elsewhere": {
        "mode": "replicas",
        "settings": KAFKA,
        "secrets": ELSEWHERE,
        "generateSecrets": False,
    },
    "replicas, a vault": {"mode": "replicas", "settings": KAFKA, "externalSecret": VAULT, "generateSecrets": False},
    "replicas, KEDA": {"mode": "replicas", **SERVERS, "keda": KEDA, "metrics": MONITORING},
    "replicas, CPU": {"mode": "replicas", **SERVERS, "autoscaling": {"enabled": True}},
    "replicas, everything": {
        "mode": "replicas",
        "settings": {**KAFKA, "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "reviews"},
        "secrets": {**SERVERS["secrets"], "KAFKA_SASL_PASSWORD": {"value": KAFKA_PASSWORD}},
        "keda": {**KEDA, "authenticationRef": {"name": "prometheus"}},
        "metrics": MONITORING,
        "networkPolicy": CLOSED,
        "ingress": INGRESS,
        **EVERYWHERE,
    },
    "replicas, no extras": {
        "mode": "replicas",
        **SERVERS,
        "podDisruptionBudget": {"enabled": False},
        "topologySpread": {"enabled": False},
        "migrations": {"enabled": False},
        "preStopSeconds": 0,
    },
    "replicas, KEDA, everything, maintenance": {
        "mode": "replicas",
        **SERVERS,
        "keda": KEDA,
        "metrics": MONITORING,
        "networkPolicy": CLOSED,
        "ingress": INGRESS,
        **EVERYWHERE,
        "affinity": APART,
        "maintenance": {"enabled": True},
    },
    "roles": {"mode": "roles", **SERVERS},
    "roles, everything": {
        "mode": "roles",
        **SERVERS,
        "roles": {"reviews": {"replicas": 4, "resources": {"limits": {"memory": "1Gi"}}}},
        "autoscaling": {"enabled": True},
        "keda": {**KEDA, "query": "vector(1)"},
        "metrics": MONITORING,
        "networkPolicy": CLOSED,
        "ingress": INGRESS,
        **EVERYWHERE,
    },
    "roles, KEDA, CPU, maintenance": {
        "mode": "roles",
        **SERVERS,
        "autoscaling": {"enabled": True},
        "keda": KEDA,
        "maintenance": {"enabled": True},
    },
    "roles, a vault": {
        "mode": "roles",
        "settings": KAFKA,
        "externalSecret": VAULT,
        "serviceAccount": {"create": False},
    },
}
