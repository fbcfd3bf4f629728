"""What more replicas bring while each waits for Google: `python -m bench.scale_out`, with `make services` running.

Every answer takes 200 ms and each replica works on four tasks of a stage at once, so that the wait decides and not the
machine: 20 pages a second are the most that one can read. Each count of replicas fetches the same world.
"""

import argparse
import time

from bench.processes import replicas_site
from tests.support.service import Service
from tests.support.simulator import control, simulator_process

TOKEN = "ya29.token-of-a-large-merchant"
LATENCY_SECONDS = 0.2
CONCURRENCY = 4
WORLD = ("--accounts", "1", "--locations", "160", "--reviews", "250")
PAGES = 160 * 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 2, 4], help="counts to compare")
    options = parser.parse_args()
    rates: list[tuple[int, float]] = []
    for count in options.replicas:
        rate = PAGES / seconds_of(count)
        times = f", {rate / rates[-1][1]:.2f} × {rates[-1][0]} of them" if rates else ""
        rates.append((count, rate))
        most = count * CONCURRENCY / LATENCY_SECONDS
        print(f"{count} replicas: {rate:.1f} pages/s, {rate / most:.2f} of the most there can be{times}", flush=True)


def seconds_of(count: int) -> float:
    """From the first page of reviews to the end of the job."""
    with simulator_process(*WORLD) as google:
        control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": LATENCY_SECONDS}]})
        with replicas_site(google, WORKER_CONCURRENCY=str(CONCURRENCY)) as place:
            replicas = [place.launch() for _ in range(count)]
            for replica in replicas:
                replica.started()
            time.sleep(5.0)  # the groups have found their members
            return _walk(replicas[0])


def _walk(service: Service) -> float:
    job_id = service.submit(TOKEN)
    while service.job(job_id)["progress"]["reviews"]["fetched"] == 0:
        time.sleep(0.02)
    began = time.monotonic()
    service.job_ended(job_id, seconds=300)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
