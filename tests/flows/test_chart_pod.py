"""The pod of the Helm chart's default values, by hand: its settings, its secrets, its user, its probes, its stop."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from local_services.process import free_ports

from tests.contract.chart.test_settings import environment_of
from tests.flows.test_image import assert_powerless, at, running
from tests.support.chart import BUILD_SECONDS, Object, render, waiting, workloads
from tests.support.image import Image
from tests.support.sealed_root import sealed
from tests.support.service import STOP_SECONDS, Answer, Service, upstream
from tests.support.simulator import simulator_process

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@pytest.mark.timeout(BUILD_SECONDS)
def test_the_pod_serves_answers_its_probes_and_stops_in_time(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, image: Image
) -> None:
    token, data, secrets = "ya29.token-for-the-pod", tmp_path / "data", tmp_path_factory.mktemp("projected")
    with simulator_process("--accounts", "1", "--locations", "2", "--reviews", "60") as google:
        objects = render({"settings": {"GOOGLE_API_BASE_URL": google}})
        (workload,) = workloads(objects)
        (metrics,) = free_ports(1)
        own = {"HOST": "127.0.0.1", "METRICS_PORT": str(metrics)}
        settings = image.stage.environment | environment_of(workload, objects, secrets) | own
        as_projected(secrets, image.stage.user[1])
        command = sealed(at(image.stage.start, 0), image, tmp_path, data, more=(secrets,))
        with running(command, settings, tmp_path / "service.log") as process:
            service = Service(process, tmp_path / "service.log")
            service.headers = {"X-API-Key": (secrets / "API_KEYS").read_text()}
            service.started()
            assert_powerless(service.pid, image)
            assert [probed(service, workload, name).status for name in PROBES] == [200, 200, 200]
            job = service.job_ended(service.submit(token))
            assert job["status"] == "completed", job
            assert service.exported(job["job_id"]) == upstream(google, token)
            assert b"review_fetcher_jobs" in scraped(service, metrics).body
            assert service.get("/metrics").status == 404
            grace = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            assert service.terminate() < grace
    assert {path.name for path in data.iterdir()} >= {"review-fetcher.db"}


@pytest.mark.timeout(BUILD_SECONDS)
def test_the_pod_of_a_maintenance_waits_while_commands_have_its_store_to_themselves(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, image: Image
) -> None:
    data, secrets = tmp_path / "data", tmp_path_factory.mktemp("projected")
    objects = render({"maintenance": {"enabled": True}})
    (workload,) = waiting(objects)
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    settings = image.stage.environment | environment_of(workload, objects, secrets)
    as_projected(secrets, image.stage.user[1])
    command = sealed(container["command"], image, tmp_path, data, more=(secrets,))
    with running(command, settings, tmp_path / "pod.log") as process:
        for words in (["migrate"], ["keys", "create", "for the import"], ["keys", "list"], ["quota"]):
            executed = sealed(["review-fetcher", *words], image, tmp_path, data, more=(secrets,))
            done = subprocess.run(executed, check=False, env=settings, capture_output=True, text=True)
            assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        assert process.poll() is None
        assert_powerless(process.pid, image)
        process.terminate()
        assert process.wait(timeout=STOP_SECONDS) == 0
    assert (tmp_path / "pod.log").read_text() == ""
    assert {path.name for path in data.iterdir()} >= {"review-fetcher.db"}


def as_projected(folder: Path, group: int) -> None:
    """A projected volume belongs to root and is read by the pod's fsGroup."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        os.chown(path, 0, group)
        path.chmod(0o440)


def probed(service: Service, workload: Object, name: str) -> Answer:
    """As the kubelet asks: without a key."""
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    keyless = Service(service.process, service.log)
    keyless.url = service.url
    answer = keyless.get(container[name]["httpGet"]["path"])
    json.loads(answer.body)
    return answer


def scraped(service: Service, port: int) -> Answer:
    """As Prometheus does: at the port of the metrics, without a key."""
    apart = Service(service.process, service.log)
    apart.url = f"http://127.0.0.1:{port}"
    return apart.get("/metrics")
