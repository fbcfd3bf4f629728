"""What people are told of PostgreSQL's errors."""

import pytest

from app.store.database import StoreUnavailableError
from app.store.postgresql_errors import told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "PostgreSQL: TimeoutError"),
        (ConnectionResetError("reset by peer"), "PostgreSQL: reset by peer"),
    ],
)
def test_an_error_without_words_is_told_by_its_name(error: Exception, words: str) -> None:
    answer = told(error)
    assert isinstance(answer, StoreUnavailableError)
    assert str(answer) == words
