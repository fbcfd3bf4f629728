"""Services that outlive their command are recognised again, and nothing else is ever ended in their place."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_services.process import (
    Service,
    ServiceError,
    birth_of,
    data_directory,
    free_ports,
    launch,
    load,
    wait_until_ready,
)
from services import main

WAITING = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until its standard input ends."""
    with subprocess.Popen(WAITING, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


@pytest.fixture
def service(process: subprocess.Popen[bytes], tmp_path: Path) -> Service:
    """A record of that process, as `up` leaves it behind."""
    data = tmp_path / "data"
    data.mkdir()
    birth = birth_of(process.pid)
    assert birth is not None
    settings = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
    service = Service("kafka", "4.1", settings, process.pid, birth, signal.SIGTERM, str(tmp_path / "log"), str(data))
    service.save(tmp_path)
    return service


def test_down_ends_the_process_and_its_data(service: Service, process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert main(["down", f"--directory={tmp_path}"]) == 0

    assert process.wait() == -signal.SIGTERM
    assert not Path(service.data).exists()
    assert load(tmp_path, "kafka") is None


def test_a_process_that_got_the_number_of_a_dead_service_is_left_alone(
    service: Service, process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    replace(service, birth="another life").save(tmp_path)

    assert main(["down", f"--directory={tmp_path}"]) == 0

    assert process.poll() is None


def test_a_process_that_ignores_the_signal_is_ended_by_force(
    service: Service, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_services.process.STOPPED_WITHIN", 0.0)

    replace(service, stop_signal=signal.SIGCONT).stop()

    assert process.wait() == -signal.SIGKILL


def test_only_what_runs_is_printed_as_settings(
    service: Service, process: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["env", f"--directory={tmp_path}"])
    assert capsys.readouterr().out == "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092\n"

    process.kill()
    process.wait()
    main(["env", f"--directory={tmp_path}"])
    assert capsys.readouterr().out == ""


def test_a_service_that_runs_is_not_started_again(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "kafka", f"--directory={tmp_path}"]) == 0

    assert f"is running (pid {service.pid})" in capsys.readouterr().err
    assert load(tmp_path, "kafka") == service


def test_a_service_that_ends_at_its_start_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = launch([sys.executable, "-c", "print('port taken'); exit(7)"], log=log, cwd=tmp_path, env={})

    with pytest.raises(ServiceError, match=r"exit code 7.*\n.*\n +port taken"):
        wait_until_ready(process, lambda: False, name="Kafka", log=log)


def test_a_service_that_is_never_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_services.process.READY_WITHIN", 0.0)
    process = launch([sys.executable, "-c", "input()"], log=tmp_path / "log", cwd=tmp_path, env={})

    with pytest.raises(ServiceError, match="was not ready within"):
        wait_until_ready(process, lambda: False, name="Kafka", log=tmp_path / "log")
    assert process.returncode is not None


def test_a_start_that_fails_leaves_no_data_behind(tmp_path: Path) -> None:
    with pytest.raises(ServiceError), data_directory("kafka-", tmp_path):
        raise ServiceError

    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_java_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert main(["up", "kafka", f"--directory={tmp_path}"]) == 3

    assert "apt-get install default-jre-headless" in capsys.readouterr().err


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass
