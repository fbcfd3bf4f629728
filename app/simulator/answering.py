"""From a call to an answer: waits, authorization, quota, faults, then Google's methods. No HTTP server in sight."""

from app.simulator.calls import Answer, Call
from app.simulator.engine import FaultEngine, Plan
from app.simulator.faults import (
    AnyRule,
    ExpiredToken,
    Failure,
    Forbidden,
    Hang,
    Hold,
    Latency,
    RateLimited,
    RefusedPageToken,
)
from app.simulator.google import Google
from app.simulator.refusals import REVOKED, Refusal, error, forbidden, html_error, oauth_error, rate_limited
from app.simulator.signals import Gate, Signals
from app.simulator.tokens import Tokens


class Answering:
    """Answers calls with the faults that were planned for them."""

    def __init__(self, google: Google, tokens: Tokens, faults: FaultEngine, signals: Signals, gate: Gate) -> None:
        self._google = google
        self._tokens = tokens
        self._faults = faults
        self._signals = signals
        self._gate = gate

    async def answer(self, call: Call, plan: Plan) -> Answer:
        """Never raises: what Google refuses is an answer too. Names in `call.outcome` what happened."""
        if plan.fired:
            call.outcome = plan.outcome
            self._signals.count(*(f"fault:{rule.name}" for rule in plan.fired))
            await self._wait(plan)
        try:
            return self._answer(call, plan)
        except Refusal as refusal:
            if call.outcome == "ok":
                call.outcome = "refused"
            return refusal.answer

    async def _wait(self, plan: Plan) -> None:
        latency = plan.first(Latency)
        if latency is not None:
            await self._gate.pause(latency.seconds + latency.jitter * self._faults.jitter())
        hang = plan.first(Hang)
        if hang is not None:
            await self._gate.pause(hang.seconds)
        if plan.first(Hold):
            self._signals.count("held")
            await self._gate.hold()

    def _answer(self, call: Call, plan: Plan) -> Answer:
        if call.api in ("token", "tokeninfo", "other"):
            self._refuse(call, plan)
            if call.api == "other":
                raise Refusal(error(404))
            return self._google.refresh(call) if call.api == "token" else self._google.token_information(call)
        self._authorize(call)
        if call.method != "GET":
            raise Refusal(error(404))
        self._refuse(call, plan)
        return self._google.answer(call, plan, self._faults.settings)

    def _authorize(self, call: Call) -> None:
        """Raises Refusal for a bad token, and for a call beyond the quota of the token's project."""
        if not self._tokens.is_good(call.token):
            call.outcome = "invalid_token"
            raise Refusal(error(401))
        limit = self._faults.exceeded_quota(call, self._tokens.project(call.token))
        if limit is not None:
            call.outcome = "quota"
            raise Refusal(rate_limited(call.api, limit, self._faults.retry_after))

    def _refuse(self, call: Call, plan: Plan) -> None:
        """Raises the Refusal that a fault asks for."""
        for rule in plan.fired:
            answer = self._refusal(call, rule)
            if answer is not None:
                raise Refusal(answer)

    def _refusal(self, call: Call, rule: AnyRule) -> Answer | None:
        match rule:
            case RateLimited():
                return rate_limited(call.api, rule.limit, rule.retry_after, rule.as_date, rule.retry_delay)
            case Forbidden():
                return forbidden(call.api, rule.reason)
            case ExpiredToken():
                self._tokens.expire(call.token)
                return oauth_error(*REVOKED) if call.api == "token" else error(401)
            case RefusedPageToken():
                return error(400)
            case Failure():
                return _failure(rule, call)
        return None


def _failure(rule: Failure, call: Call) -> Answer:
    if rule.body == "html":
        return html_error(rule.status)
    if rule.body == "json" and call.api == "token":
        return oauth_error("internal_failure" if rule.status >= 500 else "invalid_request", "", rule.status)
    answer = error(rule.status)
    return answer._replace(body=b"") if rule.body == "empty" else answer
