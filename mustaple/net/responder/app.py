"""OCSP and CRLs over HTTP as an ASGI application (RFC 6960 App. A), whoever makes the answers."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mustaple.net.responder.log import RequestLog
from mustaple.net.responder.question import MAX_REQUEST, QuestionError, read_path, read_request
from mustaple.net.responder.reply import INTERNAL_ERROR, MALFORMED_REQUEST, UNAUTHORIZED, Answers, Kept, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mustaple.net.responder.question import Question

    Scope = dict[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Elsewhere = Callable[[Scope, bytes, Question], Awaitable[Reply | None]]

T = TypeVar("T")

OCSP_REQUEST: Final = b"application/ocsp-request"
MAX_PATH: Final = 2 * MAX_REQUEST  # bytes; base64 and escapes make a request longer by up to that much
MAX_KEPT: Final = 8192  # replies that are ready to be sent
AHEAD_EVERY: Final = timedelta(seconds=1)
WRITE_AFTER: Final = 0.1  # seconds from a request to its line in the log
_READS: Final = frozenset({"GET", "HEAD"})
_HINT: Final = "This is an OCSP responder: ask by POST, or by GET with the request in the path (RFC 6960 App. A.1)."


class _HTTPError(Exception):
    """A request that is answered by HTTP's own means."""

    def __init__(self, status: int, said: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(said)
        self.status = status
        self.headers = headers


class ResponderApp:
    """The application. `answers` say what is told, `base_path` where (the path of the OCSP URL), `log` who asked.

    `elsewhere` is asked for what the answers are not authorized to answer: with the request's scope, its DER and what
    it asks; None from it lets that stand.

    In the steady state a GET costs one look-up of its raw path and the question whether the answers have changed.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        base_path: str = "/",
        log: RequestLog | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.log = log if log is not None else RequestLog()
        self._answers = answers
        self._elsewhere = elsewhere
        self._base = base_path.rstrip("/").encode()
        self._by_path: dict[bytes, Kept] = {}
        self._by_body: dict[bytes, Kept] = {}
        self._log_waits = False
        self._version_now: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        at = datetime.now(UTC)
        try:
            kept = self._by_path.get(scope["raw_path"])
            if kept is None or scope["method"] not in _READS or not kept.fresh(self._version(), at):
                kept = await self._find(scope, receive, at)
        except _HTTPError as error:
            await self._refuse(scope, send, error, at)
            return
        if kept.etag is not None and _matches(scope["headers"], kept.etag):
            await send(kept.not_modified(at))
            await send({"type": "http.response.body", "body": b""})
            self._note(scope, kept, at, 304, 0)
            return
        await send(kept.start(at))
        await send(kept.message)
        self._note(scope, kept, at, 200, 0 if scope["method"] == "HEAD" else len(kept.reply.body))

    def _version(self) -> int:
        """The version of the answers, asked for once in a turn of the event loop.

        Every request that is served in one turn has arrived before it, so each gets an answer that was true after
        it was asked; and asking costs the register three system calls.
        """
        if self._version_now is None:
            self._version_now = self._answers.version()
            asyncio.get_running_loop().call_soon(self._forget_version)
        return self._version_now

    def _forget_version(self) -> None:
        self._version_now = None

    # what is asked

    async def _find(self, scope: Scope, receive: Receive, at: datetime) -> Kept:
        method = scope["method"]
        if method in _READS:
            return await self._get(scope, at)
        if method == "POST":
            return await self._post(scope, await self._body(scope, receive), at)
        raise _HTTPError(405, f"{method} is not for here. {_HINT}", (b"allow", b"GET, HEAD, POST"))

    async def _get(self, scope: Scope, at: datetime) -> Kept:
        path: bytes = scope["raw_path"]
        if len(path) > MAX_PATH:
            raise _HTTPError(414, f"The path has more than {MAX_PATH} bytes.", (b"connection", b"close"))
        if path.startswith(b"/crl/") and path.endswith(b".crl"):
            return self._crl(path, at)
        if not path.startswith(self._base + b"/") or not path[len(self._base) :].strip(b"/"):
            raise _HTTPError(404, f"There is nothing at this path. {_HINT}")
        version = self._version()
        try:
            der = read_path(path[len(self._base) :])
        except QuestionError as error:
            return Kept(_malformed(error), version)
        kept = await self._ask(scope, der, version, at, for_caches=True)
        if kept.reply.keep_until is not None:
            _keep(self._by_path, path, kept)
        return kept

    def _crl(self, path: bytes, at: datetime) -> Kept:
        version = self._version()
        name = path[len(b"/crl/") : -len(b".crl")].decode("ascii", "replace")
        reply = self._guarded(lambda: self._answers.crl(name, at))
        if reply is None:
            raise _HTTPError(404, "There is no CRL of this name.")
        if reply.why is not None:
            raise _HTTPError(503, f"The CRL cannot be had now: {reply.why}", (b"retry-after", b"1"))
        kept = Kept(reply, version, for_caches=True)
        if reply.keep_until is not None:
            _keep(self._by_path, path, kept)
        return kept

    async def _post(self, scope: Scope, der: bytes, at: datetime) -> Kept:
        version = self._version()
        kept = self._by_body.get(der)
        if kept is None or not kept.fresh(version, at):
            kept = await self._ask(scope, der, version, at, for_caches=False)
            if kept.reply.keep_until is not None:
                _keep(self._by_body, der, kept)
        return kept

    async def _ask(self, scope: Scope, der: bytes, version: int, at: datetime, *, for_caches: bool) -> Kept:
        if len(der) > MAX_REQUEST:
            return Kept(_malformed(QuestionError(f"the request has more than {MAX_REQUEST} bytes")), version)
        try:
            question = read_request(der)
        except QuestionError as error:
            return Kept(_malformed(error), version)
        reply = self._guarded(lambda: self._answers.answer(question, at))
        if self._elsewhere is not None and reply.body == UNAUTHORIZED:
            reply = await self._elsewhere(scope, der, question) or reply
        return Kept(reply, version, question, for_caches=for_caches)

    def _guarded(self, ask: Callable[[], T]) -> T | Reply:
        """What the answers say, or that they failed: a responder with a fault says so and goes on."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - answers may be any function; the log names what it raised
            return Reply(INTERNAL_ERROR, ("internalError",), why=f"{type(error).__name__}: {error}")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        path: bytes = scope["raw_path"]
        if path.rstrip(b"/") != self._base:
            raise _HTTPError(404, f"There is nothing at this path. {_HINT}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > MAX_REQUEST:
            raise _too_large()
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != OCSP_REQUEST:
            shown = kind.decode("ascii", "replace") or "nothing"
            said = f"The content type is {shown}, not {OCSP_REQUEST.decode()}."
            raise _HTTPError(415, said, (b"connection", b"close"))
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _HTTPError(400, "The client went away in the middle of its request.")
            body += message.get("body", b"")
            if len(body) > MAX_REQUEST:  # the length announced may be a lie, or missing
                raise _too_large()
            if not message.get("more_body", False):
                return bytes(body)

    # what is sent and written down

    async def _refuse(self, scope: Scope, send: Send, error: _HTTPError, at: datetime) -> None:
        body = f"{error}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *error.headers,
        ]
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        reply = Reply(body, (f"HTTP {error.status}",), why=str(error))
        self._note(scope, Kept(reply, 0), at, error.status, len(body))

    def _note(self, scope: Scope, kept: Kept, at: datetime, status: int, size: int) -> None:
        self.log.note((at, scope.get("client"), scope["method"], kept, status, size))
        if not self._log_waits:
            self._log_waits = True
            asyncio.get_running_loop().call_later(WRITE_AFTER, self._write_log)

    def _write_log(self) -> None:
        self._log_waits = False
        self.log.write()

    # the server's start and end

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        ahead = asyncio.create_task(self._sign_ahead())
        try:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    await send({"type": "lifespan.startup.complete"})
                elif message["type"] == "lifespan.shutdown":
                    break
        finally:
            ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ahead
            self.log.write()
        await send({"type": "lifespan.shutdown.complete"})

    async def _sign_ahead(self) -> None:
        """Keep the answers signed that are likely to be asked for, a little at a time."""
        while True:
            with contextlib.suppress(Exception):  # the same fault comes back, and is told, when somebody asks
                for _ in self._answers.sign_ahead(datetime.now(UTC)):
                    await asyncio.sleep(0)
            await asyncio.sleep(AHEAD_EVERY.total_seconds())


def _malformed(error: QuestionError) -> Reply:
    return Reply(MALFORMED_REQUEST, ("malformedRequest",), why=str(error))


def _too_large() -> _HTTPError:
    return _HTTPError(413, f"A request has at most {MAX_REQUEST} bytes.", (b"connection", b"close"))


def _keep(kept: dict[bytes, Kept], key: bytes, one: Kept) -> None:
    """Keep one more, the oldest going where there are too many; a newer one for the same key counts as new."""
    kept.pop(key, None)
    if len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[key] = one


def _matches(headers: list[tuple[bytes, bytes]], etag: bytes) -> bool:
    """Whether the client has this very reply (RFC 9110 §13.1.2; the comparison is weak)."""
    for name, value in headers:
        if name == b"if-none-match":
            return any(each.strip().removeprefix(b"W/") in {etag, b"*"} for each in value.split(b","))
    return False
