"""What this machine lacks."""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """Skips the test with the reason; fails it where everything must be there (REQUIRE_SERVICES=1)."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str, package: str = "") -> str:
    """Its path. `package`: Debian's, when it is called something else."""
    found = shutil.which(name)
    if found is None:
        lacking(f"there is no {name} here, which checks this: apt-get install {package or name}")
    return found
