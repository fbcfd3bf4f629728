"""The first stage: which accounts the token can see."""

from app.google.errors import GoogleAPIError
from app.google.pages import AccountsPage
from app.limits.permits import Api
from app.models.job import HeldTask, Stage
from app.pipeline.lists import after_page, nameless, unless_barren
from app.pipeline.outcome import Advance, DeadLetter, Outcome
from app.pipeline.refusals import problem_of
from app.pipeline.worker import Worker


class AccountWorker(Worker[AccountsPage]):
    """Lists accounts, 20 a page; each becomes a task of the next stage."""

    stage = Stage.ACCOUNTS
    api = Api.ACCOUNTS

    async def fetch(self, task: HeldTask, token: str) -> AccountsPage:
        return await self.google.list_accounts(token, task.cursor)

    def advance(self, task: HeldTask, page: AccountsPage) -> Outcome:
        move = after_page(task, page.next_page_token)
        again = unless_barren(task, move)
        return Advance(move, accounts=page.accounts, given_up=nameless(task, page.odd), again=again)

    def refused(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """Without accounts there is nothing to fetch."""
        return DeadLetter(problem_of(error), fails_job=True)
