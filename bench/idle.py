"""What replicas cost that have nothing to do: `python -m bench.idle [--seconds 60]`, with `make services` running."""

import argparse
import time

from bench.processes import cpu_seconds, replicas_site
from tests.support.simulator import simulator_process

SETTLED_SECONDS = 8.0
"""After a job: what it warmed up has cooled down."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look (default: %(default)s)")
    options = parser.parse_args()
    world = ("--accounts", "1", "--locations", "2", "--reviews", "20")
    with simulator_process(*world) as google, replicas_site(google) as place:
        replicas = {"leader": place.start(), "standby": place.start()}
        replicas["leader"].job_ended(replicas["leader"].submit("ya29.token-of-an-idle-service"))
        time.sleep(SETTLED_SECONDS)
        before = {name: cpu_seconds(replica.pid) for name, replica in replicas.items()}
        began = time.monotonic()
        time.sleep(options.seconds)
        took = time.monotonic() - began
        for name, replica in replicas.items():
            print(f"{name}: {100 * (cpu_seconds(replica.pid) - before[name]) / took:.2f} % of a core")


if __name__ == "__main__":
    main()
