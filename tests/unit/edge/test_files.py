"""How many connections a process allows itself, in processes of their own: a limit that was lowered stays low."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from app.edge.files import allow_connections
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(allow_connections(3000), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "raised"),
    [
        pytest.param(256, 4096, 3000, 3256, id="raised as far as it needs"),
        pytest.param(256, 1000, 744, 1000, id="raised as far as it may"),
        pytest.param(3500, 4096, 3000, 3500, id="enough already"),
        pytest.param(200, 200, 1, 200, id="hardly any"),
    ],
)
def test_the_limit_of_open_files_is_raised_for_the_connections(
    soft: int, hard: int, connections: int, raised: int
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(soft), str(hard)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [int(number) for number in ended.stdout.split()] == [connections, raised, hard]
