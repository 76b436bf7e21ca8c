"""The OCSP and CRL responder behind live cases: it answers of each certificate what its case says, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from mustaple.net.responder import FunctionAnswers, ResponderApp
from mustaple.net.responder.aborting import abort
from mustaple.net.responder.reply import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.lab.cases import Setup
    from mustaple.lab.live.stock import Served, Stock
    from mustaple.net.responder import Question, RequestLog
    from mustaple.net.responder.app import Receive, Scope, Send

_CRL: Final = b"ca.crl"
_NOT_FOUND: Final = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")]


class CaseAuthority:
    """The ASGI application. A path begins with the case's name and the number of its making, as the stock's URLs do.

    Where nobody answers in the case, the connection is cut.
    """

    def __init__(self, stock: Callable[[], Stock], log: RequestLog) -> None:
        self._stock = stock
        self._log = log
        self._nobody = ResponderApp(FunctionAnswers(lambda _: UNAUTHORIZED), log=log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] != "http":
            await self._nobody(scope, receive, send)
            return
        served, base, rest = self._find(scope["raw_path"])
        if served is None:
            await send({"type": "http.response.start", "status": 404, "headers": _NOT_FOUND})
            await send({"type": "http.response.body", "body": b""})
            return
        if rest == _CRL:
            crl = next((each for each in served.setup.crls if each is not None), None)
            if crl is None:
                abort(scope)
                return
            app = ResponderApp(FunctionAnswers(lambda _: UNAUTHORIZED, {"ca": crl}), log=self._log)
            await app(scope | {"raw_path": b"/crl/ca.crl"}, receive, send)
            return
        await self._ocsp(served, base, scope, receive, send)

    async def _ocsp(self, served: Served, base: str, scope: Scope, receive: Receive, send: Send) -> None:
        asked: list[Question] = []

        def hear(question: Question) -> bytes:
            asked.append(question)
            return UNAUTHORIZED

        # The request is read first, by the honest application, and its answer held back: only then is it known which
        # certificate and nonce it is about, and making the answer may take a moment.
        held: list[dict[str, Any]] = []

        async def hold(message: dict[str, Any]) -> None:
            held.append(message)

        await ResponderApp(FunctionAnswers(hear), base_path=base, log=self._log)(scope, receive, hold)
        if not asked:
            for message in held:
                await send(message)
            return
        (question,) = asked
        setup = served.setup
        if setup.nonce is not None and question.nonce is not None:
            setup = await asyncio.wrap_future(self._stock().order_remade(served, question.nonce))
        body = _answer_of(setup, question)
        if body is None:
            abort(scope)
            return
        headers = [(b"content-type", b"application/ocsp-response"), (b"content-length", str(len(body)).encode())]
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*headers, (b"cache-control", b"no-store")]}
        )
        await send({"type": "http.response.body", "body": body})

    def _find(self, path: bytes) -> tuple[Served | None, str, bytes]:
        name, _, rest = path.removeprefix(b"/").partition(b"/")
        number, _, rest = rest.partition(b"/")
        served = self._stock().numbered(int(number)) if number.isdigit() and len(number) < 20 else None
        return served, f"/{name.decode('latin-1')}/{number.decode('latin-1')}/", rest


def _answer_of(setup: Setup, question: Question) -> bytes | None:
    """What the case answers of the first certificate asked about; None where nobody answers."""
    serial = question.cert_ids[0].serial_number
    for link, body in zip(setup.chain.links, setup.ocsp, strict=True):
        if link.serial_number == serial:
            return body
    return UNAUTHORIZED
