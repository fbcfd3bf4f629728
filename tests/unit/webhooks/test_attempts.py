"""What an answer means, and when the next attempt is."""

import pytest

from app.models.webhooks import WebhookStatus
from app.webhooks.attempts import BACKOFF_SECONDS, HOUR, answered, unanswered
from app.webhooks.client import Answer

NOW = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""


def no_jitter() -> float:
    return 0.0


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    attempt = answered(Answer(status, "60"), 3, NOW, no_jitter)
    assert (attempt.status, attempt.answered, attempt.error) == (WebhookStatus.DELIVERED, status, None)


@pytest.mark.parametrize("status", [100, 301, 304, 400, 401, 404, 429, 500, 503, 599])
def test_anything_else_is_tried_again_and_says_so(status: int) -> None:
    attempt = answered(Answer(status, None), 0, NOW, no_jitter)
    assert (attempt.status, attempt.retry_in) == (WebhookStatus.WAITING, 5.0)
    assert str(status) in (attempt.error or "")


def test_410_wants_no_more() -> None:
    attempt = answered(Answer(410, "60"), 0, NOW, no_jitter)
    assert (attempt.status, attempt.retry_in) == (WebhookStatus.FAILED, None)


def test_attempts_go_on_for_about_a_day() -> None:
    waits = [unanswered("away", attempts, no_jitter).retry_in for attempts in range(len(BACKOFF_SECONDS) + 1)]
    assert waits == [*BACKOFF_SECONDS, None]
    assert 20 * HOUR < sum(BACKOFF_SECONDS) < 26 * HOUR
    assert unanswered("away", len(BACKOFF_SECONDS), no_jitter).status is WebhookStatus.FAILED


def test_a_little_chance_keeps_messages_apart() -> None:
    assert unanswered("away", 1, lambda: 0.5).retry_in == pytest.approx(31.5)


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("120", 120.0),
        ("1", 5.0),
        ("Tue, 14 Nov 2023 22:23:20 GMT", 600.0),
        ("Tue, 14 Nov 2000 22:23:20 GMT", 5.0),
        ("99999999", 12 * HOUR),
        ("soon", 5.0),
        ("-5", 5.0),
    ],
)
def test_retry_after_can_only_make_it_wait_longer_and_not_for_ever(header: str, waits: float) -> None:
    assert answered(Answer(503, header), 0, NOW, no_jitter).retry_in == waits
