"""How many files this process may open, of which each connection is one."""

import contextlib
import resource

SPARE_FILES = 256
"""For the store, the broker, Google, the log, connections that are told that there are too many, and probes."""


def allowed_files() -> int | None:
    """How many `allow_connections` can get; None: as many as one likes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if hard == resource.RLIM_INFINITY else hard


def allow_connections(wanted: int) -> int:
    """As many of the `wanted` connections as this process has files for.

    Its soft limit is raised first, as far as the hard one allows: container runtimes and login shells start programs
    with 1,024 for the sake of select(2), which nothing here uses.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < files:
        raised = files if hard == resource.RLIM_INFINITY else min(files, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS says "infinite" and has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_FILES))
