"""What docs/api.md shows is what the service answers."""

from pathlib import Path

from tests.support.transcripts import PROJECT, make_checkout, run_shown, running_server, typed_beside


def test_every_example_of_the_api_page_is_answered_as_shown(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    with running_server(directory) as server:
        assert run_shown(typed_beside(PROJECT / "docs/api.md"), directory, server)
