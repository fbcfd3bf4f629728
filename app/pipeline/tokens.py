"""Access tokens as the workers need them: unsealed once a credential, and kept for a moment."""

from functools import lru_cache

from app.credentials import SealedTokenError, TokenSealer
from app.models.job import HeldTask
from app.pipeline.tools import TokenUnreadableError

MOST_TOKENS = 256
"""Unsealing costs some microseconds, but a job with many pages would pay them each time."""


class SealedTokens:
    """Opens what the claim brought along."""

    def __init__(self, sealer: TokenSealer) -> None:
        self._open = lru_cache(maxsize=MOST_TOKENS)(sealer.open)

    def open(self, task: HeldTask) -> str:
        try:
            return self._open(task.tenant, task.job_id, task.sealed_token)
        except SealedTokenError as error:
            raise TokenUnreadableError(" ".join((TokenUnreadableError.__doc__ or "").split())) from error
