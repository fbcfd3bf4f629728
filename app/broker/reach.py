"""Whether this process reaches the broker, as who needs it finds out by using it."""

from app.clock import Clock

CUT_OFF_SECONDS = 15.0
"""A broker that is restarted is back by then. One that only the leader cannot reach must not keep all others idle."""


class Reach:
    """Of one user of the broker, which tells how each use went."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing_since: float | None = None

    @property
    def cut_off(self) -> bool:
        """Nothing but failures for `CUT_OFF_SECONDS`."""
        since = self._failing_since
        return since is not None and self._clock.monotonic() - since >= CUT_OFF_SECONDS

    def failed(self) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()

    def succeeded(self) -> None:
        self._failing_since = None
