"""Whether a token or a key of the run is left anywhere: in logs, files of Kafka and PostgreSQL, rows, messages."""

import asyncio
from pathlib import Path

from chaos.arena import Arena
from tests.support.canaries import CANARIES
from tests.support.sweeping import sweep_files, sweep_postgresql, sweep_topics

LEDGER = "accepted.tsv"
"""What the customer writes down itself, tokens and all."""


def left(arena: Arena, directory: Path) -> list[str]:
    """The places, in words. Called while the servers run; what is in their files by then is looked at as well."""
    sweep_postgresql(arena.postgresql.service.settings["DATABASE_URL"])
    asyncio.run(sweep_topics(arena.servers, ""))
    for replica in arena.fleet.running:
        replica.service.sweep()
    sweep_files(directory, but=(LEDGER,))
    for server in (*arena.brokers, arena.postgresql):
        if not (data := Path(server.service.data)).is_relative_to(directory):
            sweep_files(data)
    return CANARIES.places()
