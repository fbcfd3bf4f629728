"""The second stage: the locations of one account."""

from app.google.errors import GoogleAPIError
from app.google.pages import LocationsPage
from app.limits.permits import Api
from app.models.job import HeldTask, Stage
from app.pipeline.lists import after_page, look_again, nameless, unless_barren
from app.pipeline.outcome import Advance, DeadLetter, Outcome
from app.pipeline.refusals import problem_of
from app.pipeline.worker import Worker


class LocationWorker(Worker[LocationsPage]):
    """Lists locations, 100 a page; each becomes a task of the next stage, once a job."""

    stage = Stage.LOCATIONS
    api = Api.LOCATIONS

    async def fetch(self, task: HeldTask, token: str) -> LocationsPage:
        return await self.google.list_locations(token, task.resource, task.cursor)

    def advance(self, task: HeldTask, page: LocationsPage) -> Outcome:
        move = after_page(task, page.next_page_token)
        again = unless_barren(task, move)
        return Advance(move, locations=page.locations, given_up=nameless(task, page.odd), again=again)

    def refused(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """A 404 is seen at random: looked at twice. The rest of the job goes on without this account."""
        if error.status == 404 and task.missing == 0:
            return look_again(task, error, self.policy)
        return DeadLetter(problem_of(error))
