"""`python -m app.simulator --port 0 --accounts 2 …`: prints `{"url": …}` when ready."""

import argparse
import json
import sys
from pathlib import Path

from app.simulator.catalogue import Catalogue
from app.simulator.faults import Faults
from app.simulator.server import LEDGER_CALLS, PAGE_CACHE_BYTES
from app.simulator.server_main import run_simulator


def main() -> None:
    """Reads the options and serves."""
    options = _parser().parse_args()
    catalogue = Catalogue(
        options.seed,
        options.accounts,
        options.locations,
        options.reviews,
        options.spread,
        options.shared_locations,
        options.unverified,
        options.empty,
    )
    run_simulator(
        catalogue,
        _faults(options.faults, options.seed),
        options.host,
        options.port,
        _announce,
        page_cache_bytes=options.page_cache_bytes,
        ledger_calls=options.ledger_calls,
    )


def _parser() -> argparse.ArgumentParser:
    usual = Catalogue()
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--accounts", type=int, default=usual.accounts)
    parser.add_argument("--locations", type=int, default=usual.locations, help="per account")
    parser.add_argument("--reviews", type=int, default=usual.reviews, help="per location")
    parser.add_argument("--spread", type=float, default=usual.spread)
    parser.add_argument("--shared-locations", type=int, default=usual.shared_locations)
    parser.add_argument("--unverified", type=float, default=usual.unverified)
    parser.add_argument("--empty", type=float, default=usual.empty)
    parser.add_argument("--faults", default="good", help="good, flaky, or a JSON file")
    parser.add_argument("--page-cache-bytes", type=int, default=PAGE_CACHE_BYTES, help="0: every page is made anew")
    parser.add_argument("--ledger-calls", type=int, default=LEDGER_CALLS, help="calls remembered")
    return parser


def _faults(choice: str, seed: int) -> Faults:
    if choice in ("good", "flaky"):
        return Faults.preset(choice, seed)
    return Faults.parse(Path(choice).read_bytes())


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
