"""Versions of the program follow each other under load, and go back: docs/runbooks.md, "Upgrade" and "Go back"."""

import asyncio
from pathlib import Path

import pytest

from tests.support.clients import Clients, submitting, wait_for_jobs
from tests.support.releases import add_revision, head_of, run_command, version_before, version_to_come
from tests.support.replicas import deployed
from tests.support.service import ROOT, Service, Site, site, upstream
from tests.support.services import ask
from tests.support.simulator import simulator_process
from tests.support.stack import Stack

WORLD = "sim-accounts1-locations2-reviews60"
TOKEN = f"ya29.{WORLD}"
JOBS_EACH = 2
"""Jobs accepted between two replacements, at least."""

EXIT_UNUSABLE = 3


@pytest.mark.postgresql
@pytest.mark.kafka
@pytest.mark.timeout(400)
async def test_three_replicas_are_upgraded_under_load_and_go_back(
    servers: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await asyncio.to_thread(upgrade_and_go_back, servers, version_before(tmp_path_factory.mktemp("before")))


def upgrade_and_go_back(stack: Stack, before: Path) -> None:
    old, new = head_of(before), head_of(ROOT)
    with deployed(stack, 3, before) as deployment:
        place, replicas = deployment.place, deployment.replicas
        assert tables(stack) == old
        with submitting(lambda: replicas, WORLD) as clients:
            wait_for_jobs(clients, JOBS_EACH)
            replace_one_by_one(place, ROOT, replicas, clients)
            assert tables(stack) == new
            replace_one_by_one(place, before, replicas, clients)
            assert tables(stack) == new, "the tables stay"
        assert clients.refused == 0, "there was always a replica that accepted"
        deployment.assert_all_walked(clients.accepted)
        deployment.terminate()


def replace_one_by_one(place: Site, program: Path, replicas: list[Service], clients: Clients) -> None:
    place.program = program
    for number in range(len(replicas)):
        replicas[number].terminate()
        replicas[number] = place.start()
        wait_for_jobs(clients, JOBS_EACH)


def tables(stack: Stack) -> str:
    return str(ask(stack.environment["DATABASE_URL"], "SELECT version_num FROM alembic_version"))


def test_a_version_starts_on_newer_tables_until_they_say_that_it_is_too_old(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Expand, then contract: a later version declares with which code its tables work, and a start believes it."""
    later = version_to_come(tmp_path_factory.mktemp("later"))
    with simulator_process() as google, site(tmp_path, google) as place:
        walked(place, google)
        add_revision(later, "9000", works_with=head_of(ROOT))
        assert migrated(later, place) == "9000"
        walked(place, google)
        examined = run_command(ROOT, place.directory, place.settings, "doctor")
        assert "revision 9000" in examined.stdout
        add_revision(later, "9001", works_with="9001")
        assert migrated(later, place) == "9001"
        refused = place.launch()
        assert refused.process.wait(30) == EXIT_UNUSABLE
        for said in (refused.log.read_text(), run_command(ROOT, place.directory, place.settings, "doctor").stdout):
            assert "migrated by a newer version" in " ".join(said.split())


def walked(place: Site, google: str) -> None:
    service = place.start()
    job = service.job_ended(service.submit(TOKEN))
    assert job["status"] == "completed", job
    assert service.exported(job["job_id"]) == upstream(google, TOKEN)
    service.terminate()


def migrated(program: Path, place: Site) -> str:
    done = run_command(program, place.directory, place.settings, "migrate")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
