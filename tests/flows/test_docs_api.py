"""What docs/api.md shows is what the service answers."""

from pathlib import Path

from tests.support.transcripts import (
    PROJECT,
    SERVE,
    looks_like,
    make_checkout,
    run_commands,
    running_server,
    shown_commands,
)


def test_every_example_of_the_api_page_is_answered_as_shown(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    shown = [one for one in shown_commands(PROJECT / "docs/api.md") if one.command.text != SERVE]
    with running_server(directory) as server:
        printed = run_commands([one.command for one in shown], directory, server)
    unlike = [
        (one.command.line, text) for one, text in zip(shown, printed, strict=True) if not looks_like(one.output, text)
    ]
    assert unlike == []
