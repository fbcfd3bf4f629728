"""What goes wrong at the simulated Google, as the command line says it."""

from pathlib import Path

import msgspec

from app.cli.exits import UsageError
from app.simulator import Faults
from app.simulator.faults import Latency, Quota

PRESETS = ("good", "flaky")


def chosen_faults(choice: str, seed: int, *, per_minute: int = 0, latency_ms: int = 0) -> Faults:
    """A preset or the faults of a file, with a hard quota and a latency added. Raises UsageError."""
    faults = Faults.preset(choice, seed) if choice in PRESETS else _faults_of_file(Path(choice))
    if per_minute:
        quota = Quota(accounts=per_minute, locations=per_minute, reviews=per_minute)
        faults = msgspec.structs.replace(faults, quota=quota)
    if latency_ms:
        faults = msgspec.structs.replace(faults, rules=(Latency(seconds=latency_ms / 1000), *faults.rules))
    return faults


def _faults_of_file(path: Path) -> Faults:
    try:
        return Faults.parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--faults: {path} is neither good, flaky nor a file that can be read") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"--faults: {path}: {error}") from error
