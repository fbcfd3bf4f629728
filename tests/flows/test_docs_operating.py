"""A backup that is made as docs/operating.md says can be restored as it says."""

from pathlib import Path

from tests.support.markdown import Command
from tests.support.transcripts import (
    PROJECT,
    SERVE,
    make_checkout,
    run_commands,
    run_script,
    running_server,
    shown_commands,
)

PAGE = PROJECT / "docs/operating.md"

SUBMIT_AND_WAIT = """
API=http://127.0.0.1:8000/api/v1
curl -sf $API/review-fetch -H 'Content-Type: application/json' -d '{"access_token": "ya29.some-token"}' > job.json
JOB=$(sed 's/.*"job_id":"\\([^"]*\\)".*/\\1/' job.json)
until curl -sf $API/review-fetch/$JOB | grep -q '"status":"completed"'; do sleep 0.2; done
"""

COUNT = """
API=http://127.0.0.1:8000/api/v1
JOB=$(curl -sf $API/review-fetch | sed 's/.*"job_id":"\\([^"]*\\)".*/\\1/')
curl -sf $API/review-fetch | grep -o job_id | wc -l
curl -sf "$API/review-fetch/$JOB/reviews?format=ndjson" | wc -l
"""


def test_a_backup_taken_beside_the_running_service_is_restored_whole(tmp_path: Path) -> None:
    directory = make_checkout(tmp_path)
    while_running, while_stopped = commands_before_and_after_restore()
    with running_server(directory) as server:
        run_script(SUBMIT_AND_WAIT, directory, server)
        run_commands(while_running, directory, server)
        run_script(SUBMIT_AND_WAIT, directory, server)
    *_, listed = run_commands(while_stopped, directory)
    with running_server(directory) as server:
        jobs, reviews = run_script(COUNT, directory, server).split()
    assert listed.count("completed") == int(jobs) == 1
    assert int(reviews) == 2000


def commands_before_and_after_restore() -> tuple[list[Command], list[Command]]:
    lines = PAGE.read_text().splitlines()
    restore = lines.index("## Restore") + 1
    typed = [shown.command for shown in shown_commands(PAGE) if shown.command.text != SERVE]
    return [one for one in typed if one.line < restore], [one for one in typed if one.line > restore]
