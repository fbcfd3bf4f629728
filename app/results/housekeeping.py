"""What must be done now and then: tokens wiped in time, jobs that wait in vain ended, leftovers swept."""

from collections.abc import Callable, Sequence

import structlog

from app.clock import Clock
from app.models.job import JobStatus
from app.store.database import Database, StoreUnavailableError
from app.store.tidy import FailedJob, QueuePosition, tidy
from app.store.wiping import wipe_aged
from app.telemetry.events import Event

TIDY_SECONDS = 5.0
ROWS_A_COMMIT = 500
"""Short transactions: pages settle in between."""

BACKLOG_SECONDS = 0.05
"""Between two of them while there is more to do than one may: a token is wiped in time however many there are."""

log = structlog.get_logger(__name__)


class Housekeeping:
    """`token_wait`: how many seconds a job waits for a new token. `token_max_age`: after how many seconds one is wiped
    whatever its job does. `leading`: whether it is this process's turn. `swept` is told when a turn went well, and
    `failed` of each job that it ended, how many seconds after it was accepted."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        token_wait: float,
        leading: Callable[[], bool] = lambda: True,
        *,
        token_max_age: float,
        swept: Callable[[], None] = lambda: None,
        failed: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._token_wait = token_wait
        self._token_max_age = token_max_age
        self._leading = leading
        self._swept = swept
        self._failed = failed
        self._sweep_from: QueuePosition | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            more = self._leading() and await self._tidy()
            await self._clock.sleep(BACKLOG_SECONDS if more else TIDY_SECONDS)

    async def _tidy(self) -> bool:
        """Whether there is more to do than one commit does."""
        try:
            done = await self._database.write(tidy, self._token_wait, ROWS_A_COMMIT, self._sweep_from)
            self._tell_failed(done.jobs_failed)
            aged = await self._database.write(wipe_aged, self._token_max_age, ROWS_A_COMMIT)
        except StoreUnavailableError as error:
            log.warning(Event.HOUSEKEEPING_STORE_AWAY, cause=str(error))
            return False
        self._sweep_from = done.sweep_on
        self._swept()
        if aged:
            log.warning(Event.TOKENS_TOO_OLD, tokens=aged)
        return done.is_full(ROWS_A_COMMIT) or aged == ROWS_A_COMMIT

    def _tell_failed(self, jobs: Sequence[FailedJob]) -> None:
        for job in jobs:
            log.info(Event.JOB_ENDED, job_id=job.id, status=JobStatus.FAILED)
            self._failed(job.after)
