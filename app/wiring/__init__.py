"""The composition root: from settings to a running service, and back. The only room that knows all the others."""

from contextlib import AsyncExitStack

from app.clock import Clock, SystemClock
from app.config import Settings
from app.crash import arm
from app.state import AppState
from app.wiring.assembling import assemble
from app.wiring.opening import open_components
from app.wiring.running import DRAIN_SECONDS, close_components, shutdown_background_tasks, start_background_tasks
from app.wiring.values import WINDOW_PER_SLOT, limits_of

__all__ = [
    "DRAIN_SECONDS",
    "WINDOW_PER_SLOT",
    "close_components",
    "initialize_components",
    "limits_of",
    "shutdown_background_tasks",
    "start_background_tasks",
]


async def initialize_components(settings: Settings, clock: Clock | None = None) -> AppState:
    """Make everything and open what must be open; nothing works yet. Undoes what it opened when it fails."""
    arm(settings.crash_at)
    async with AsyncExitStack() as undo:
        state = assemble(await open_components(settings, clock or SystemClock(), undo))
        undo.pop_all()
    return state
