"""How an answer goes out: whole, spoiled, or cut off."""

from aiohttp import web

from app.simulator.calls import Answer
from app.simulator.engine import Plan
from app.simulator.faults import Cut, EmptyBody, EmptyObject, InvalidJson

_BROKEN_JSON = b'{"reviews":[{"name":"accounts/1'


async def deliver(answer: Answer, plan: Plan, request: web.BaseRequest) -> web.StreamResponse:
    """Sends an answer as the faults of its call want it."""
    cut = plan.first(Cut)
    if cut is not None:
        return await _cut(answer, cut.share, request)
    if plan.first(EmptyBody):
        answer = answer._replace(body=b"", gzipped=False)
    elif plan.first(EmptyObject):
        answer = answer._replace(body=b"{}", gzipped=False)
    elif plan.first(InvalidJson):
        answer = answer._replace(body=_BROKEN_JSON, gzipped=False)
    return response(answer)


def response(answer: Answer) -> web.Response:
    headers = {"Content-Type": answer.content_type, "Vary": "Origin, X-Origin, Referer"}
    if answer.gzipped:
        headers["Content-Encoding"] = "gzip"
    headers.update(answer.headers)
    return web.Response(status=answer.status, body=answer.body, headers=headers)


async def _cut(answer: Answer, share: float, request: web.BaseRequest) -> web.StreamResponse:
    """Promises the whole body, sends a part, and closes the connection."""
    partial = web.StreamResponse(status=answer.status, headers=response(answer).headers)
    partial.content_length = len(answer.body)
    partial.force_close()
    await partial.prepare(request)
    await partial.write(answer.body[: int(len(answer.body) * share)])
    if request.transport is not None:
        request.transport.close()
    return partial
