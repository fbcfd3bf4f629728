"""The one read model of jobs: API, console and CLI show what it answers."""

from collections.abc import Mapping, Sequence

from app.models.job import JobStatus
from app.models.locations import ALL_LOCATIONS, LocationFilter, Reconciliation
from app.models.overview import AccountList
from app.models.views import JobList, JobView, LocationList
from app.results.estimate import token_warning
from app.results.forecasts import Forecasts
from app.store.accounts import list_accounts
from app.store.database import Database
from app.store.location_reads import list_locations, reconcile
from app.store.reads import list_jobs, read_job, read_jobs

JOBS_A_READ = 250


class Progress:
    """Jobs and locations as they stand, each answer from one short read; with estimates where there are `forecasts`."""

    def __init__(self, database: Database, forecasts: Forecasts | None = None) -> None:
        self._database = database
        self._forecasts = forecasts

    async def job(self, tenant: str, job_id: str) -> JobView:
        """Raises JobNotFoundError, also for another tenant's job."""
        job = await self._database.read(read_job, tenant, job_id)
        return (await self._estimated([job]))[0]

    async def many(self, which: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], JobView]:
        """The jobs of these tenants and ids, as many as there are."""
        found: dict[tuple[str, str], JobView] = {}
        for start in range(0, len(which), JOBS_A_READ):
            jobs = await self._database.read(read_jobs, which[start : start + JOBS_A_READ])
            found |= zip(jobs, await self._estimated(list(jobs.values())), strict=True)
        return found

    async def jobs(self, tenant: str, status: JobStatus | None, limit: int, cursor: str | None) -> JobList:
        """Newest first; `status` None: of every state. Raises BadCursorError."""
        page = await self._database.read(list_jobs, tenant, status, limit, cursor)
        return page.model_copy(update={"jobs": await self._estimated(page.jobs)})

    async def locations(
        self, tenant: str, job_id: str, limit: int, cursor: str | None, wanted: LocationFilter = ALL_LOCATIONS
    ) -> LocationList:
        """The job's wanted locations by name. Raises JobNotFoundError, BadCursorError."""
        return await self._database.read(list_locations, tenant, job_id, limit=limit, cursor=cursor, wanted=wanted)

    async def reconciliation(self, tenant: str, job_id: str) -> Reconciliation:
        """What the job fetched against what Google counts. Raises JobNotFoundError."""
        return await self._database.read(reconcile, tenant, job_id)

    async def accounts(self, tenant: str, job_id: str, limit: int, cursor: str | None) -> AccountList:
        """The job's accounts by name. Raises JobNotFoundError, BadCursorError."""
        return await self._database.read(list_accounts, tenant, job_id, limit, cursor)

    async def _estimated(self, jobs: Sequence[JobView]) -> list[JobView]:
        estimated = jobs if self._forecasts is None else await self._forecasts.add_to(jobs)
        return [_warned(job) for job in estimated]


def _warned(job: JobView) -> JobView:
    warning = token_warning(job)
    if warning is None or job.token is None:
        return job
    return job.model_copy(update={"token": job.token.model_copy(update={"warning": warning})})
