"""What a person reads of a cluster."""

from collections.abc import Iterable

from cluster.lifecycle import Standing
from cluster.plan import Plan

TRY = """
API key          {plan.api_key}
console          {plan.url}/console
metrics          {plan.prometheus_url}/targets
Kafka            {plan.bootstrap_servers}
PostgreSQL       {plan.database_url}

Submit a token, any will do; then look at the jobs:

{curl} -H 'Content-Type: application/json' -d '{body}'
{curl}

Break something (kill -9 of a pid above): `make cluster` starts it again on its data. `make cluster-down` ends it all.
"""


def how_to_try(plan: Plan) -> str:
    curl = f"curl -sf {plan.url}/api/v1/review-fetch -H 'X-API-Key: {plan.api_key}'"
    return TRY.format(plan=plan, curl=curl, body='{"access_token": "ya29.any-token-will-do"}')


def table(standings: Iterable[Standing]) -> str:
    lines = [f"{one.part.name:<16} {_state(one):<14} {one.part.address}" for one in standings]
    return "\n".join(lines) or "no cluster is here"


def _state(standing: Standing) -> str:
    return "stopped" if standing.pid is None else f"pid {standing.pid}"
