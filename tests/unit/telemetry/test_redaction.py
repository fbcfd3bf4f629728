"""What must never stand in a log line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telemetry.redaction import LONGEST, REDACTED, clean, clean_field, escape, is_secret_field, redact

SECRET = "ya29.a0AfB-sim_hidden"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hidden-1",
        "authorization=Basic hidden==",
        "GET /tokeninfo?access_token=hidden&x=1",
        "GET /x?token=hidden",
        '{"access_token": "hidden"}',
        '{\\"access_token\\": \\"hidden\\"}',
        "refresh_token='hidden'",
        "x-api-key: hidden",
        "amqp://user:hidden@broker/reviews",
        "ya29.hidden",
        "1//0hidden-refresh-token",
        "eyJhbGciOi.hidden.signature",
        "rf_hidden0123456789abcdef",
        "AIzahidden0123456789012345",
        "k3yHiddenhiddenhiddenhiddenhiddenhiddenhidden",
    ],
    ids=lambda text: text.partition("hidden")[0].strip() or "random",
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    assert "hidden" not in redact(text).lower()
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "accounts/1234567890/locations/9876543210",
        "4f2b0a9c3d7e4f2b0a9c3d7e4f2b0a9c4f2b0a9c3d7e4f2b0a9c3d7e4f2b0a9c",
        "0b0f8f5e-1111-4222-8333-abcdefabcdef",
        "file:///data/review-fetcher.db",
        "The access token is expired or was revoked.",
        "http://127.0.0.1:8000/api/v1/review-fetch",
    ],
)
def test_plain_texts_stay_readable(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("name", ["access_token", "Authorization", "X-Api-Key", "accessToken", "api_key", "password"])
def test_a_field_named_like_a_secret_shows_nothing(name: str) -> None:
    assert is_secret_field(name)
    assert clean_field(name, "short") == REDACTED


@pytest.mark.parametrize("name", ["tokens_open", "cursor", "token_expires_at", "key_id", "event"])
def test_other_fields_are_shown(name: str) -> None:
    assert clean_field(name, "short") == "short"


def test_secrets_are_found_in_what_is_nested() -> None:
    value = {"headers": [{"Authorization": "x"}, f"Bearer {SECRET}"], "body": {"note": SECRET}, "raw": SECRET.encode()}
    assert SECRET not in repr(clean(value))
    assert clean(value)["headers"][0] == {"Authorization": REDACTED}  # type: ignore[index] # a mapping went in


def test_something_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in repr(clean(loop))


def test_an_object_is_shown_as_its_redacted_text() -> None:
    assert SECRET not in str(clean(ValueError(f"bad token {SECRET}")))


def test_a_long_value_is_cut() -> None:
    assert clean("a" * 1_000_000) == "a" * LONGEST + "… (1000000 characters)"


def test_a_secret_that_is_cut_in_two_is_still_taken_out() -> None:
    text = "a" * (LONGEST - 10) + f" {SECRET}"
    assert SECRET[:9] not in str(clean(text))


def test_a_value_cannot_start_a_line_or_steer_the_terminal() -> None:
    assert escape("a\r\nb\x1b[31mc\u2028d\u202ee\x9b") == r"a\r\nb\x1b[31mc\u2028d\u202ee\x9b"
    assert escape("a\nb\r", keep_newlines=True) == "a\nb\\r"


@given(st.text())
def test_no_text_keeps_a_control_character(text: str) -> None:
    cleaned = str(clean(text))
    assert cleaned.isprintable() or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in cleaned)
