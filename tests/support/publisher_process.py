"""The publisher as a process that can be killed: `python -m tests.support.publisher_process`, settings as JSON on
stdin (`database`, `kafka`, `prefix`, `crash_at`, `stands_by`).

It prints a line when it begins to publish: at once, or with `stands_by` when it leads, as a replica does.
"""

import asyncio
import json
import os
import sys
from typing import Any

from app.broker.transactions import FencedError
from app.clock import SystemClock
from app.crash import arm
from app.leadership import Leadership, SteppedDownError
from app.store.postgresql import PostgresDatabase
from tests.support.publishing import Site


async def main(settings: dict[str, Any]) -> None:
    store = PostgresDatabase(settings["database"])
    await store.start()
    publisher = Site(store, settings["kafka"], settings["prefix"]).publisher()

    async def lead() -> None:
        print("leads", flush=True)  # noqa: T201 - the test waits for it
        try:
            await publisher.run()
        except FencedError as error:
            raise SteppedDownError(str(error)) from error

    if not settings["stands_by"]:
        await lead()
    print("stands by", flush=True)  # noqa: T201 - the test waits for it
    await Leadership(store, "publisher", f"process-{os.getpid()}", SystemClock()).run(lead)


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    arm(given["crash_at"])
    asyncio.run(main(given))
