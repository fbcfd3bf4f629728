"""Every flow that must survive a bad day runs on a good one and on a bad one."""

import pytest

from app.simulator import Faults


@pytest.fixture(params=["good", "flaky"])
def faults(request: pytest.FixtureRequest) -> Faults:
    """What goes wrong at Google: nothing, or everything that a correct client survives."""
    return Faults.preset(request.param)
