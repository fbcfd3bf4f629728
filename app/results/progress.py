"""The one read model of jobs: API, console and CLI show what it answers."""

from app.models.job import JobStatus
from app.models.views import JobList, JobView, LocationList
from app.store.database import Database
from app.store.reads import list_jobs, list_locations, read_job


class Progress:
    """Jobs and locations as they stand, each answer from one short read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def job(self, tenant: str, job_id: str) -> JobView:
        """Raises JobNotFoundError, also for another tenant's job."""
        return await self._database.read(read_job, tenant, job_id)

    async def jobs(self, tenant: str, status: JobStatus | None, limit: int, cursor: str | None) -> JobList:
        """Newest first; `status` None: of every state. Raises BadCursorError."""
        return await self._database.read(list_jobs, tenant, status, limit, cursor)

    async def locations(self, tenant: str, job_id: str, limit: int, cursor: str | None) -> LocationList:
        """The job's locations by name. Raises JobNotFoundError, BadCursorError."""
        return await self._database.read(list_locations, tenant, job_id, limit, cursor)
