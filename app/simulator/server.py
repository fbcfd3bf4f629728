"""The simulator as an HTTP server: one process, one loop, one port for all of Google's hosts."""

import time
from itertools import count
from typing import Self

from aiohttp import web

from app.simulator import calls
from app.simulator.calls import Answer, Call, parse_query
from app.simulator.catalogue import Catalogue
from app.simulator.changes import Changes
from app.simulator.control import Control
from app.simulator.engine import FaultEngine, Plan
from app.simulator.faults import (
    Cut,
    EmptyBody,
    ExpiredToken,
    Failure,
    Faults,
    Forbidden,
    Hang,
    Hold,
    InvalidJson,
    Latency,
    RateLimited,
    RefusedPageToken,
)
from app.simulator.google import Google
from app.simulator.ledger import Ledger
from app.simulator.refusals import Refusal, error, forbidden, html_error, rate_limited
from app.simulator.signals import Gate, Signals
from app.simulator.tokens import Tokens

_PAGE_CACHE_BYTES = 64 * 1024 * 1024
_LEDGER_CALLS = 1_000_000


class Simulator:
    """A stateful Google over HTTP. `async with Simulator(Catalogue(…)) as simulator:` gives `simulator.url`.

    `port` 0 takes a free one. `start` and `stop` may be called twice; `stop` ends hanging and held calls at once.
    `page_cache_bytes` bounds the finished review pages kept (0: none), `ledger_calls` the calls remembered.
    """

    def __init__(
        self,
        catalogue: Catalogue | None = None,
        faults: Faults | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        page_cache_bytes: int = _PAGE_CACHE_BYTES,
        ledger_calls: int = _LEDGER_CALLS,
    ) -> None:
        self.catalogue = catalogue or Catalogue()
        self.faults = FaultEngine(faults or Faults())
        self.ledger = Ledger(ledger_calls)
        self.tokens = Tokens(self.catalogue)
        self.changes = Changes()
        self.signals = Signals()
        self.gate = Gate()
        self.url = ""
        self._host = host
        self._port = port
        self._google = Google(self.tokens, self.changes, page_cache_bytes)
        self._control = Control(self)
        self._runner: web.ServerRunner | None = None
        self._sequence = count(1)
        self._in_flight = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when the port answers."""
        if self._runner is not None:
            return
        self.gate = Gate()
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, shutdown_timeout=1.0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Returns when every call has ended and the port is free."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self.gate.open_for_good()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        call = calls.parse(
            request.method,
            request.raw_path if hasattr(request, "raw_path") else request.path_qs,
            headers.get("Authorization", ""),
            headers.get("Accept-Encoding", ""),
            headers.get("User-Agent", ""),
        )
        if call.segments[0] == "_sim":
            return _response(await self._control.answer(call, await request.read()))
        if call.method == "POST":
            call.form = parse_query((await request.read()).decode("utf-8", "replace"))
        return await self._record(call, request)

    async def _record(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        arrived = time.monotonic()
        call.sequence = next(self._sequence)
        self._in_flight += 1
        in_flight = self._in_flight
        self.signals.raise_("arrived", f"arrived:{call.api}")
        status = 0
        try:
            plan = self.faults.plan(call)
            call.outcome = plan.outcome
            answer = await self._answer(call, plan)
            status = answer.status
            return await _deliver(answer, plan, request)
        finally:
            self._in_flight -= 1
            self.ledger.record(call, status, arrived, in_flight)
            self.signals.raise_("answered", f"answered:{call.api}")

    async def _answer(self, call: Call, plan: Plan) -> Answer:
        if plan.fired:
            await self._wait(plan)
        try:
            if call.api == "token":
                self._refuse(call, plan)
                return self._google.refresh(call)
            if call.api == "tokeninfo":
                self._refuse(call, plan)
                return self._google.token_information(call)
            return self._answer_authorized(call, plan)
        except Refusal as refusal:
            return refusal.answer

    def _answer_authorized(self, call: Call, plan: Plan) -> Answer:
        if not self.tokens.is_good(call.token):
            call.outcome = "invalid_token"
            raise Refusal(error(401))
        if call.method != "GET":
            raise Refusal(error(404))
        if not self.faults.quota_left(call, self.tokens.project(call.token)):
            call.outcome = "quota"
            quota = self.faults.settings.quota
            limit = getattr(quota, call.api)
            raise Refusal(rate_limited(call.api, limit, quota.retry_after if quota else None))
        self._refuse(call, plan)
        return self._google.answer(call, plan, self.faults.settings)

    async def _wait(self, plan: Plan) -> None:
        latency = plan.first(Latency)
        if latency is not None:
            await self.gate.pause(latency.seconds + latency.jitter * self.faults.jitter())
        hang = plan.first(Hang)
        if hang is not None:
            await self.gate.pause(hang.seconds)
        if plan.first(Hold):
            self.signals.raise_("held")
            await self.gate.hold()

    def _refuse(self, call: Call, plan: Plan) -> None:
        """Raises the Refusal that a fault asks for."""
        for rule in plan.fired:
            match rule:
                case RateLimited():
                    raise Refusal(rate_limited(call.api, rule.limit, rule.retry_after, rule.as_date, rule.retry_delay))
                case Forbidden():
                    raise Refusal(forbidden(call.api, rule.reason))
                case ExpiredToken():
                    self.tokens.expire(call.token)
                    raise Refusal(error(401))
                case RefusedPageToken():
                    raise Refusal(error(400))
                case Failure():
                    raise Refusal(_failure(rule))


def _failure(rule: Failure) -> Answer:
    if rule.body == "html":
        return html_error(rule.status)
    answer = error(rule.status)
    return answer._replace(body=b"") if rule.body == "empty" else answer


async def _deliver(answer: Answer, plan: Plan, request: web.BaseRequest) -> web.StreamResponse:
    if not plan.fired:
        return _response(answer)
    cut = plan.first(Cut)
    if cut is not None:
        return await _cut(answer, cut.share, request)
    if plan.first(EmptyBody):
        answer = answer._replace(body=b"", gzipped=False)
    elif plan.first(InvalidJson):
        answer = answer._replace(body=b'{"reviews":[{"name":"accounts/1', gzipped=False)
    return _response(answer)


async def _cut(answer: Answer, share: float, request: web.BaseRequest) -> web.StreamResponse:
    """Promises the whole body, sends a part, and closes the connection."""
    whole = _response(answer)
    partial = web.StreamResponse(status=answer.status, headers=whole.headers)
    partial.content_length = len(answer.body)
    partial.force_close()
    await partial.prepare(request)
    await partial.write(answer.body[: int(len(answer.body) * share)])
    if request.transport is not None:
        request.transport.close()
    return partial


def _response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, "Vary": "Origin, X-Origin, Referer"}
    if answer.gzipped:
        headers["Content-Encoding"] = "gzip"
    headers.update(answer.headers)
    return web.Response(status=answer.status, body=answer.body, headers=headers)
