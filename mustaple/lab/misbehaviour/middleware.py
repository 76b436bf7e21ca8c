"""The misbehaviour around an honest responder, as ASGI middleware: it looks at each request first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mustaple.lab.misbehaviour.exchange import Exchange, GoneError
from mustaple.lab.misbehaviour.grammar import Request
from mustaple.net.responder.question import MAX_REQUEST, QuestionError, read_path, read_request
from mustaple.net.responder.reply import Kept, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from mustaple.lab.misbehaviour.forger import Forger
    from mustaple.lab.misbehaviour.plan import Plan
    from mustaple.net.responder import Question, RequestLog
    from mustaple.net.responder.app import Receive, Scope, Send

    App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Misbehaving:
    """The application around `honest`. `plan` says what happens to whom, `forger` signs what is not true.

    `base_path` is the path of the OCSP URL, `now` the time in aware UTC, `pause` how to wait for some seconds.
    """

    def __init__(
        self,
        honest: App,
        plan: Plan,
        forger: Forger,
        *,
        base_path: str,
        log: RequestLog,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._honest = honest
        self._plan = plan
        self._forger = forger
        self._base = base_path.rstrip("/").encode()
        self._log = log
        self._now = now
        self._pause = pause
        self._released = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def release(self) -> None:
        """Let go of everybody who is kept waiting, from any thread: the server is about to end."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(self._released.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        self._loop = asyncio.get_running_loop()
        if scope["type"] != "http":
            await self._honest(scope, receive, send)
            return
        heard = await _heard(scope, receive)
        question, crl = self._question(scope, heard), self._crl(scope)
        kind = "crl" if crl is not None else "ocsp" if question is not None else "other"
        serials = frozenset(each.serial_number for each in question.cert_ids) if question is not None else frozenset()
        request = Request(kind, serials)
        chosen = self._plan.choose(request)

        async def honest(out: Send) -> None:
            await self._honest(scope, _replay(heard, receive), out)

        if chosen.misbehaviour is None:
            await honest(send)
            return
        exchange = Exchange(
            scope, receive, send, honest, request, question, crl, self._forger, self._now(), chosen.elapsed,
            self._pause, self._released,
        )  # fmt: skip
        try:
            await chosen.misbehaviour.act(exchange)
        except GoneError:
            pass  # whoever waited has left, and there is nobody to answer
        finally:
            await exchange.close()
            self._note(exchange, str(chosen.misbehaviour.clause))

    def _question(self, scope: Scope, heard: list[dict[str, Any]]) -> Question | None:
        """What is asked, where this is an OCSP request that can be read."""
        path: bytes = scope["raw_path"]
        try:
            if scope["method"] == "POST":
                return read_request(b"".join(each.get("body", b"") for each in heard))
            if path.startswith(self._base + b"/") and len(path) <= 2 * MAX_REQUEST:
                return read_request(read_path(path[len(self._base) :]))
        except QuestionError:
            pass  # the honest responder, where it gets to, says what is wrong with it
        return None

    def _crl(self, scope: Scope) -> str | None:
        path: bytes = scope["raw_path"]
        if not (path.startswith(b"/crl/") and path.endswith(b".crl")):
            return None
        return path[len(b"/crl/") : -len(b".crl")].decode("ascii", "replace")

    def _note(self, exchange: Exchange, clause: str) -> None:
        kept = Kept(Reply(b"", (f"misbehaving: {clause}",)), 0, exchange.question)
        scope = exchange.scope
        self._log.note((exchange.at, scope.get("client"), scope["method"], kept, exchange.status, exchange.size))
        self._log.write()


async def _heard(scope: Scope, receive: Receive) -> list[dict[str, Any]]:
    """The request's body, as far as anybody may look at it."""
    if scope["method"] != "POST":
        return []
    heard: list[dict[str, Any]] = []
    size = 0
    while size <= MAX_REQUEST:
        message = await receive()
        heard.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    return heard


def _replay(heard: list[dict[str, Any]], receive: Receive) -> Receive:
    """What was heard, and then what comes."""
    messages = iter(heard)

    async def again() -> dict[str, Any]:
        message = next(messages, None)
        return message if message is not None else await receive()

    return again
