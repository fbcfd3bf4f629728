"""As much of a Kubernetes API server as Helm needs to install, upgrade and uninstall: objects in memory, over HTTP.

It has no controllers: a Job has ended as soon as it is there, and has failed if a Secret that it mounts is not there.
As the real one does, it keeps names unique, gives a workload one pod that does not say how many it has, and refuses to
change what cannot be changed (`tests.support.admission`).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.support.admission import defaulted, refusal, waits_for
from tests.support.protobuf_secret import CONTENT_TYPE, secret

Object = dict[str, Any]
Place = tuple[str, str]
"""Plural and name."""

RESOURCES = {
    "v1": {
        "ConfigMap": "configmaps",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Pod": "pods",
        "Secret": "secrets",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
    },
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"Job": "jobs"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "autoscaling/v2": {"HorizontalPodAutoscaler": "horizontalpodautoscalers"},
    "external-secrets.io/v1": {"ExternalSecret": "externalsecrets"},
    "keda.sh/v1alpha1": {"ScaledObject": "scaledobjects"},
    "monitoring.coreos.com/v1": {"PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"},
    "networking.k8s.io/v1": {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"},
}
SCHEMAS = "/openapi/v2"
NO_SCHEMAS = "application/octet-stream"
"""An empty document: Helm passes over what it has no schema of. The schemas have a test of their own."""

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class Cluster:
    """The objects that there are, and what was done to them in its order."""

    def __init__(self) -> None:
        self.objects: dict[Place, Object] = {}
        self.jobs_fail = False
        self.deeds: list[tuple[str, str, str]] = []
        """Method, plural, name; without Helm's own records."""

    def of(self, plural: str) -> dict[str, Object]:
        return {name: one for (kind, name), one in self.objects.items() if kind == plural}

    def note(self, method: str, place: Place) -> None:
        if not place[1].startswith("sh.helm."):
            self.deeds.append((method, *place))


class RefusedError(Exception):
    """A Status of the API: code and reason."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
        self.status["message"] = message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait for the acknowledgement of its headers
    cluster: Cluster

    def do_GET(self) -> None:
        self._answered(self._read)

    def do_POST(self) -> None:
        self._answered(self._create)

    def do_PATCH(self) -> None:
        self._answered(self._change)

    def do_PUT(self) -> None:
        self._answered(self._change)

    def do_DELETE(self) -> None:
        self._answered(self._delete)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is the base class's
        pass

    def _answered(self, act: Any) -> None:
        if urlsplit(self.path).path == SCHEMAS:
            self._send(200, NO_SCHEMAS, b"")
            return
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            code, told = 200, act({} if self.command == "DELETE" else self._understood(content))
        except RefusedError as refusal:
            code, told = int(str(refusal.status["code"])), refusal.status
        self._send(code, "application/json", json.dumps(told).encode())

    def _send(self, code: int, kind: str, answer: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _understood(self, content: bytes) -> Object:
        """Helm sends its own records in protobuf, and all else in JSON."""
        if self.headers.get("Content-Type", "").startswith(CONTENT_TYPE):
            return secret(content)
        found: Object = json.loads(content) if content else {}
        return found

    def _read(self, _body: Object) -> Object:
        path = urlsplit(self.path).path.rstrip("/")
        found = discovered(path)
        if found is not None:
            return found
        plural, name = self._place()
        if name:
            return self._known((plural, name))
        query = parse_qs(urlsplit(self.path).query)
        if "watch" in query:
            raise RefusedError(422, "Invalid", "there is nothing to watch: ask for the list")
        items = [one for one in self.cluster.of(plural).values() if fits(one, query)]
        (version, kind), *_ = [
            (version, kind) for version, kinds in RESOURCES.items() for kind, known in kinds.items() if known == plural
        ]
        told = {"apiVersion": version, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}}
        return told | {"items": items}

    def _create(self, body: Object) -> Object:
        plural, _ = self._place()
        place = (plural, body["metadata"]["name"])
        if place in self.cluster.objects:
            raise RefusedError(409, "AlreadyExists", f"{place} is there already")
        self.cluster.note("create", place)
        body["metadata"] |= {"uid": str(len(self.cluster.deeds)), "resourceVersion": "1"}
        if plural == "jobs":
            missing = waits_for(body["spec"]["template"], self.cluster.of("secrets"))
            ended = "Failed" if self.cluster.jobs_fail or missing else "Complete"
            body["status"] = {"conditions": [{"type": ended, "status": "True"}]}
        self.cluster.objects[place] = defaulted(plural, body)
        return self.cluster.objects[place]

    def _change(self, body: Object) -> Object:
        place = self._place()
        before = self._known(place)
        after = defaulted(place[0], merged(before, body))
        problem = refusal(place[0], before, after)
        if problem:
            raise RefusedError(422, "Invalid", problem)
        self.cluster.note("change", place)
        self.cluster.objects[place] = after
        return after

    def _delete(self, _body: Object) -> Object:
        place = self._place()
        self._known(place)
        self.cluster.note("delete", place)
        del self.cluster.objects[place]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _known(self, place: Place) -> Object:
        found = self.cluster.objects.get(place)
        if found is None:
            raise RefusedError(404, "NotFound", f"{place} is not there")
        return found

    def _place(self) -> Place:
        """Of …/namespaces/{namespace}/{plural}/{name}; the name may be missing."""
        parts = urlsplit(self.path).path.strip("/").split("/")
        within = parts[parts.index("namespaces") + 2 :] if "namespaces" in parts else []
        plural, *name = within or [""]
        if plural not in {known for kinds in RESOURCES.values() for known in kinds.values()}:
            raise RefusedError(404, "NotFound", f"there is nothing at {self.path}")
        return plural, name[0] if name else ""


def discovered(path: str) -> Object | None:
    """What the server tells of itself."""
    groups = [version.split("/") for version in RESOURCES if "/" in version]
    fixed: dict[str, Object] = {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*group) for group in groups]},
    }
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if path in fixed:
        return fixed[path]
    return _resources(version) if version in RESOURCES else None


def _group(name: str, version: str) -> Object:
    known = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [known], "preferredVersion": known}


def _resources(version: str) -> Object:
    told = [
        {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": VERBS}
        for kind, plural in RESOURCES[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": told}


def fits(one: Object, query: Mapping[str, list[str]]) -> bool:
    """Whether the object has the labels and the name that a list asks for."""
    labels = one["metadata"].get("labels", {})
    wanted = [part.split("=") for part in ",".join(query.get("labelSelector", [])).split(",") if part]
    named = [part.split("=") for part in ",".join(query.get("fieldSelector", [])).split(",") if part]
    return all(labels.get(name) == value for name, value in wanted) and all(
        one["metadata"]["name"] == value for name, value in named if name == "metadata.name"
    )


def merged(before: Any, patch: Any) -> Any:
    """A merge patch; of lists of named things (containers, ports, volumes) each is merged by its name."""
    if isinstance(before, dict) and isinstance(patch, dict):
        kept = {name: value for name, value in before.items() if patch.get(name, value) is not None}
        new = {name: value for name, value in patch.items() if value is not None and not name.startswith("$")}
        return kept | {name: merged(before.get(name), value) for name, value in new.items()}
    if _is_named(before) and _is_named(patch):
        known = {one["name"]: one for one in before}
        given = {one["name"]: merged(known.get(one["name"], {}), one) for one in patch}
        gone = {one["name"] for one in patch if one.get("$patch") == "delete"}
        return [one for name, one in (known | given).items() if name not in gone]
    return patch


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


@contextmanager
def api_server(kubeconfig: Path) -> Iterator[Cluster]:
    """A cluster without anything in it, which this file leads Helm to."""
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    address = f"http://127.0.0.1:{server.server_port}"
    written = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": ""}}],
        "current-context": "here",
    }
    kubeconfig.write_text(yaml.safe_dump(written))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
