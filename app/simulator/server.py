"""The simulator as an HTTP server: one process, one loop, one port for all of Google's hosts."""

import time
from itertools import count
from typing import Self

from aiohttp import web

from app.simulator import calls
from app.simulator.answering import Answering
from app.simulator.calls import Call, parse_query
from app.simulator.catalogue import Catalogue
from app.simulator.changes import Changes
from app.simulator.control import Control
from app.simulator.delivery import deliver, response
from app.simulator.engine import FaultEngine
from app.simulator.faults import Faults
from app.simulator.google import Google
from app.simulator.ledger import Ledger
from app.simulator.signals import Gate, Signals
from app.simulator.tokens import Tokens
from app.simulator.truth import Truth

PAGE_CACHE_BYTES = 64 * 1024 * 1024
LEDGER_CALLS = 1_000_000


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
        page_cache_bytes: int = PAGE_CACHE_BYTES,
        ledger_calls: int = LEDGER_CALLS,
    ) -> None:
        self.catalogue = catalogue or Catalogue()
        self.faults = FaultEngine(faults or Faults())
        self.ledger = Ledger(ledger_calls)
        self.signals = Signals()
        self.url = ""
        self._host = host
        self._port = port
        self._tokens = Tokens(self.catalogue)
        self._changes = Changes()
        self._gate = Gate()
        google = Google(self._tokens, self._changes, page_cache_bytes)
        self._answering = Answering(google, self._tokens, self.faults, self.signals, self._gate)
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
        """Returns when the port answers. Raises OSError when it is taken."""
        if self._runner is not None:
            return
        self._gate.close()
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Returns when every call has ended and the port is free."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._gate.open()
        await runner.cleanup()

    def truth(self, token: str = "") -> Truth:
        """What a fetcher with this token must find now."""
        return Truth(self._tokens.catalogue_of(token), self._changes)

    def mutate(self, location: str, *, insert: int = 0, edit: int = 0, delete: int = 0, token: str = "") -> int:
        """Changes `locations/{id}` of a token's world; how many reviews it has then. Raises KeyError.

        The newest are deleted, then the oldest edited (which brings them to the top), then new ones added on top.
        """
        catalogue = self._tokens.catalogue_of(token)
        number = catalogue.location_number(location.rpartition("/")[2])
        if number is None:
            raise KeyError(f"{location} is not in this world")
        self._changes.mutate(catalogue, number, insert, edit, delete)
        return self._changes.count(catalogue, number)

    def release(self, count: int | None = None) -> int:
        """Lets the first `count` held calls go on (all without it); how many that were."""
        return self._gate.release(count)

    def expire(self, token: str) -> None:
        """From now on every call with this access (or refresh) token is refused."""
        self._tokens.expire(token)

    def clear_faults(self) -> None:
        """No more faults, and the tokens that they expired are good again. Held calls stay held."""
        self.faults.replace(Faults())
        self._tokens.forgive()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        call = calls.parse(
            request.method,
            request.raw_path,
            headers.get("Authorization", ""),
            headers.get("Accept-Encoding", ""),
            headers.get("User-Agent", ""),
        )
        if call.segments[0] == "_sim":
            return response(await self._control.answer(call, await request.read()))
        if call.method == "POST":
            call.form = parse_query((await request.read()).decode("utf-8", "replace"))
            if call.api == "token":
                call.token = call.form.get("refresh_token", "")
        return await self._answer(call, request)

    async def _answer(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        """Answers and records; a call that its client gave up is recorded with status 0."""
        arrived = time.monotonic()
        call.sequence = next(self._sequence)
        self._in_flight += 1
        in_flight = self._in_flight
        self.signals.count("arrived", f"arrived:{call.api}")
        status = 0
        try:
            plan = self.faults.plan(call)
            answer = await self._answering.answer(call, plan)
            status = answer.status
            return await deliver(answer, plan, request) if plan.fired else response(answer)
        finally:
            self._in_flight -= 1
            self.ledger.record(call, status, arrived, in_flight)
            self.signals.count("answered", f"answered:{call.api}")
