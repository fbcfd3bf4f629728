"""Two tenants with the same data: each sees its own and nothing else. API1:2023 (broken object level authorization)."""

from typing import Any

import pytest
from sqlalchemy import insert, update

from app.limits.views import BudgetView
from app.models.access import Scope
from app.results.quotas import Quotas
from app.store.database import Database, Transaction
from app.store.schema import jobs, quota_budgets
from app.store.tenants import change_tenant, list_tenants
from tests.support.api import ServedApi, served_api
from tests.support.asgi import AsgiClient

TENANTS = ("acme", "globex")
"""The ids of jobs are random; dead letters, feed positions and moments are alike."""


async def _client(api: ServedApi, tenant: str) -> AsgiClient:
    return AsgiClient(api.app, authorization=f"Bearer {await api.key(Scope.ADMIN, tenant=tenant)}")


async def _two(api: ServedApi) -> dict[str, AsgiClient]:
    """Of each tenant a client, and three jobs that have ended with a dead letter."""
    clients = {tenant: await _client(api, tenant) for tenant in TENANTS}
    for client in clients.values():
        for number in range(3):
            body = {"access_token": "ya29.the-same-token-for-both"}
            answer = await client.post("/api/v1/review-fetch", body, **{"idempotency-key": f"order-{number}"})
            assert answer.status == 202
    return clients


async def _ids(client: AsgiClient) -> set[str]:
    listed = (await client.get("/api/v1/review-fetch")).json()
    return {job["job_id"] for job in listed["jobs"]}


async def test_the_same_idempotency_keys_give_each_tenant_its_own_jobs(database: Database) -> None:
    async with served_api(database, open_on_loopback=False) as api:
        clients = await _two(api)
        mine, theirs = [await _ids(client) for client in clients.values()]
        assert len(mine) == len(theirs) == 3
        assert mine.isdisjoint(theirs)


@pytest.mark.parametrize("listing", ["/api/v1/review-fetch?limit=1", "/api/v1/reviews/feed?limit=1"])
async def test_a_cursor_of_another_tenant_is_no_cursor(database: Database, listing: str) -> None:
    """Also that of the default tenant, whose cursors carry no mark, and theirs for it."""
    parameter = "after" if "feed" in listing else "cursor"
    async with served_api(database, open_on_loopback=False) as api:
        clients = await _two(api) | {"default": await _client(api, "default")}
        for _ in range(2):
            await clients["default"].post("/api/v1/review-fetch", {"access_token": "ya29.the-same-token-for-both"})
        cursors = {tenant: (await client.get(listing)).json()["next_cursor"] for tenant, client in clients.items()}
        for owner, cursor in cursors.items():
            for tenant, client in clients.items():
                answer = await client.get(f"{listing}&{parameter}={cursor}")
                assert (answer.status == 200) == (owner == tenant), (owner, tenant)
                assert owner == tenant or answer.problem == "bad-cursor"


async def test_the_id_of_an_event_fits_its_own_job_alone(database: Database) -> None:
    """Both jobs have ended alike: the end of the one is no end of the other."""
    async with served_api(database, open_on_loopback=False) as api:
        clients = await _two(api)

        def end_all(transaction: Transaction) -> None:
            transaction.connection.execute(update(jobs).values(status="cancelled", updated_at=9.0, finished_at=9.0))

        await database.write(end_all)
        mine, theirs = [min(await _ids(client)) for client in clients.values()]
        acme, globex = clients.values()
        stream = (await acme.get(f"/api/v1/review-fetch/{mine}/events")).text
        last = stream.rpartition("id: ")[2].partition("\n")[0]
        own = await acme.get(f"/api/v1/review-fetch/{mine}/events", **{"last-event-id": last})
        others = await globex.get(f"/api/v1/review-fetch/{theirs}/events", **{"last-event-id": last})
        assert (own.status, others.status) == (204, 200)
        assert "event: done" in others.text


async def test_what_one_tenant_does_is_in_no_answer_to_another(database: Database) -> None:
    async with served_api(database, open_on_loopback=False) as api:
        acme, globex = (await _two(api)).values()
        theirs = await _ids(globex)
        for path in ("review-fetch", "overview", "dlq", "dlq/causes", "reviews/feed", "tenant"):
            answer = await acme.get(f"/api/v1/{path}")
            assert answer.status == 200
            assert not [job_id for job_id in theirs if job_id in answer.text], path
        assert (await acme.get("/api/v1/overview")).json()["jobs"]["pending"] == 3


async def test_a_tenant_sees_the_quota_of_its_own_projects(database: Database) -> None:
    def use_projects(transaction: Transaction) -> None:
        budget: dict[str, Any] = {"api": "reviews", "state": b"{}"}
        for project in ("shared", "acmes", "globexs"):
            transaction.connection.execute(insert(quota_budgets).values(project=project, **budget))
        used: list[tuple[str, str | None]] = [
            ("acme", "shared"),
            ("acme", "acmes"),
            ("globex", "shared"),
            ("globex", "globexs"),
            ("globex", None),
        ]
        row: dict[str, Any] = {"status": "processing", "created_at": 1.0, "updated_at": 1.0}
        for number, (tenant, owned) in enumerate(used):
            known = row | {"id": f"job-{number}", "tenant": tenant, "google_project": owned}
            transaction.connection.execute(insert(jobs).values(**known))

    async def every_budget() -> list[BudgetView]:
        return [BudgetView(project, "reviews", (), (), None, None, None) for project in ("acmes", "globexs", "shared")]

    await database.write(use_projects)
    quotas = Quotas(database, every_budget)
    assert [budget.project for budget in await quotas.of("acme")] == ["acmes", "shared"]
    assert [budget.project for budget in await quotas.of("globex")] == ["globexs", "shared"]
    assert await quotas.of("nobody") == []


async def test_a_tenant_reads_its_own_settings_and_nobody_elses(database: Database) -> None:
    await database.write(change_tenant, "acme", {"weight": 3, "max_open_jobs": 7, "drop_reviewers": True})
    async with served_api(database, open_on_loopback=False) as api:
        acme, globex = await _client(api, "acme"), await _client(api, "globex")
        assert (await acme.get("/api/v1/tenant")).json() == {
            "tenant": "acme",
            "weight": 3,
            "max_open_jobs": 7,
            "submits_per_minute": 0,
            "retention_days": None,
            "drop_reviewers": True,
        }
        assert (await globex.get("/api/v1/tenant")).json()["weight"] == 1


async def test_a_tenant_without_settings_of_its_own_has_no_row(database: Database) -> None:
    await database.write(change_tenant, "acme", {"weight": 3})
    assert list(await database.read(list_tenants)) == ["acme"]
    await database.write(change_tenant, "acme", {"weight": None})
    assert await database.read(list_tenants) == {}
