"""What a Kubernetes API server adds to an object that it is given, and which changes it refuses."""

from collections.abc import Collection, Mapping
from typing import Any

Object = dict[str, Any]

CHANGEABLE = {
    "statefulsets": {
        *("minReadySeconds", "ordinals", "persistentVolumeClaimRetentionPolicy", "replicas", "revisionHistoryLimit"),
        *("template", "updateStrategy"),
    },
    "persistentvolumeclaims": {"resources", "volumeAttributesClassName"},
}
"""Fields of `spec`; all others stay as they were made: ValidateStatefulSetUpdate and its like in Kubernetes' source."""

SCALABLE = ("deployments", "statefulsets")


def defaulted(plural: str, one: Object) -> Object:
    """With the number of pods of a workload that does not say how many."""
    if plural not in SCALABLE:
        return one
    return one | {"spec": {"replicas": 1} | one["spec"]}


def refusal(plural: str, before: Object, after: Object) -> str | None:
    """Why the change is not taken; None when it is."""
    if before.get("immutable") and after.get("data") != before.get("data"):
        return "data: field is immutable when `immutable` is set"
    allowed = CHANGEABLE.get(plural)
    if allowed is not None and fixed(before, allowed) != fixed(after, allowed):
        return f"spec: Forbidden: updates to {plural} spec for fields other than {sorted(allowed)} are forbidden"
    return None


def fixed(one: Object, changeable: Collection[str]) -> Object:
    return {name: value for name, value in one["spec"].items() if name not in changeable}


def waits_for(pod: Object, secrets: Mapping[str, Object]) -> set[tuple[str, str]]:
    """Secrets and their keys that the pod mounts and that are not there: until they are, it does not start."""
    wanted = {
        (source["secret"]["name"], item["key"])
        for volume in pod["spec"].get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }
    return wanted - {(name, key) for name, one in secrets.items() for key in one.get("data", {})}
