"""What an answer means for a message, and when the next attempt is."""

import random as system_random
from collections.abc import Callable

from app.google.error_body import retry_after_seconds
from app.models.webhooks import WebhookAttempt
from app.webhooks.client import Answer

HOUR = 3600.0

BACKOFF_SECONDS = (5.0, 30.0, 2 * 60.0, 10 * 60.0, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)
"""Between the attempts: nine in about 22 hours, so that a receiver may be mended the next morning."""

JITTER = 0.1
"""Up to this part is added at random: what failed together does not come back together."""

LONGEST_RETRY_AFTER_SECONDS = 12 * HOUR

GONE = 410


def answered(answer: Answer, attempts: int, now: float, random: Callable[[], float]) -> WebhookAttempt:
    """2xx is delivered. `attempts`: how many there were before; `now` in epoch seconds, for a date in Retry-After."""
    if 200 <= answer.status < 300:
        return WebhookAttempt(answer.status)
    if answer.status == GONE:
        error = "The receiver answered 410 Gone: it wants no more messages. Re-send this one if that was a mistake."
        return WebhookAttempt(answer.status, error)
    asked = retry_after_seconds(answer.retry_after, now)
    return WebhookAttempt(answer.status, _in_words(answer.status), _retry_in(attempts, asked, random))


def unanswered(why: str, attempts: int, random: Callable[[], float] = system_random.random) -> WebhookAttempt:
    """Nothing came back, for this reason."""
    return WebhookAttempt(None, why, _retry_in(attempts, None, random))


def _in_words(status: int) -> str:
    if 300 <= status < 400:
        return f"The receiver answered {status}, a redirect. Redirects are not followed: submit the URL it leads to."
    return f"The receiver answered {status}. Only 2xx counts as delivered."


def _retry_in(attempts: int, asked: float | None, random: Callable[[], float]) -> float | None:
    if attempts >= len(BACKOFF_SECONDS):
        return None
    usual = BACKOFF_SECONDS[attempts] * (1 + JITTER * random())
    return max(usual, min(asked or 0.0, LONGEST_RETRY_AFTER_SECONDS))
