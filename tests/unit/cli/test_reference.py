"""What is written down is what the code does."""

from pathlib import Path

import pytest

from app.cli import events_reference, reference
from app.config import Settings, load_settings, variables

ROOT = Path(__file__).resolve().parents[3]
AGAIN = "run `python -m app.cli.reference`"


def test_the_settings_table_is_the_settings() -> None:
    text = (ROOT / reference.CONFIGURATION).read_text(encoding="utf-8")
    assert text == reference.filled(text, "settings", reference.settings_table()), AGAIN


def test_the_commands_page_is_the_commands() -> None:
    text = (ROOT / reference.COMMANDS).read_text(encoding="utf-8")
    expected = reference.filled(text, "exit codes", reference.exit_codes_table())
    assert text == reference.filled(expected, "commands", reference.commands_text()), AGAIN


def test_the_table_of_metrics_is_what_is_declared() -> None:
    text = (ROOT / reference.MONITORING).read_text(encoding="utf-8")
    assert text == reference.filled(text, "metrics", reference.metrics_table()), AGAIN
    assert "| `review_fetcher_runnable_tasks` | gauge, of the store | `stage` | Tasks that could run now" in text


def test_the_page_of_messages_is_the_topics() -> None:
    text = (ROOT / events_reference.EVENTS).read_text(encoding="utf-8")
    assert text == reference.filled(text, "topics", events_reference.topics_table()), AGAIN


def test_the_schemas_are_the_messages() -> None:
    written = {path: (ROOT / path).read_text(encoding="utf-8") for path in events_reference.documents()}
    assert written == events_reference.documents(), AGAIN


def test_the_example_is_the_settings() -> None:
    assert (ROOT / reference.EXAMPLE).read_text(encoding="utf-8") == reference.environment_example(), AGAIN


def test_the_example_holds_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line taken out of its comment, the settings are still the defaults (but Kafka's address turns it on)."""
    lines = [line.removeprefix("# ") for line in reference.environment_example().splitlines()]
    names = {variable.name for variable in variables(Settings)} - {"KAFKA_BOOTSTRAP_SERVERS"}
    settings = "\n".join(line for line in lines if line.partition("=")[0] in names)
    (tmp_path / "all.env").write_text(settings)
    assert load_settings(_env_file=tmp_path / "all.env") == load_settings(_env_file=None)


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for settings"):
        reference.filled("nothing here", "settings", "x")
