"""The control endpoint: GET shows what a server does now, PUT and POST have it do something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from mustaple.core.errors import InputError
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import listen, url_of
from mustaple.net.responder.serving import AppRunner

if TYPE_CHECKING:
    from mustaple.net.responder.app import Receive, Scope, Send

MAX_BODY: Final = 64 * 1024  # bytes
MAX_CONNECTIONS: Final = 64
_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_JSON: Final = "application/json"


class _RefusedError(Exception):
    """A request that changes nothing; the text is the answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class Told(Protocol):
    """What may be told to do something else while it runs. `word` is the one key of the object that tells it."""

    @property
    def word(self) -> str:
        """As `misbehave`."""

    def tell(self, value: object) -> None:
        """Do as this JSON value says. Raises InputError, in one sentence, and goes on as before."""

    def shown(self) -> dict[str, object]:
        """What it does, as JSON has it."""


class ControlServer(Lifespan):
    """The endpoint as a server, always on loopback; `url` says where. `port` 0 is a free one.

    Raises InputError for a port that cannot be listened on.
    """

    def __init__(self, told: Told, port: int) -> None:
        self._listener = listen("127.0.0.1", port)
        self.url = url_of(self._listener, "http") + "/"
        self._runner = AppRunner(Control(told), self._listener, most_connections=MAX_CONNECTIONS)

    def start(self) -> None:
        """Listen from now on. Raises NetworkError where it does not come up."""
        self._runner.start()

    def close(self) -> None:
        """Free the port. Safe to call twice."""
        self._runner.close()
        self._listener.close()


class Control:
    """The ASGI application: `{"misbehave": ["slow=2s@every=3"]}` in and out for a plan.

    Any page that a browser on this machine shows could send a form here: so a change has to come as application/json,
    which a page of another origin may not send, and the Host has to be a name of this machine.
    """

    def __init__(self, told: Told) -> None:
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                status, said = 200, await self._http(scope, receive)
            except _RefusedError as error:
                status, said = error.status, {"error": str(error)}
            except InputError as error:
                status, said = 400, {"error": str(error)}
            await _reply(send, status, said)

    async def _http(self, scope: Scope, receive: Receive) -> dict[str, object]:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "").rpartition(":")[0] not in _HOSTS:
            raise _RefusedError(403, "this is for programs on this machine")
        if scope["path"] != "/":
            raise _RefusedError(404, "there is only /")
        method = scope["method"]
        if method in {"PUT", "POST"}:
            if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
                raise _RefusedError(415, f"send it as {_JSON}")
            self._told.tell(_value(await _body(receive), self._told.word))
        elif method != "GET":
            raise _RefusedError(405, "there are GET, PUT and POST")
        return self._told.shown()


def _value(body: bytes, word: str) -> object:
    """What a body has under this one key. Raises InputError, in one sentence, for any other JSON."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("this is no JSON") from None
    if not isinstance(said, dict) or said.keys() != {word}:
        raise InputError(f'send an object of the one key "{word}"')
    value: object = said[word]
    return value


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _RefusedError(413, f"{MAX_BODY} bytes are the most")
        if not message.get("more_body", False):
            return bytes(body)


async def _reply(send: Send, status: int, said: Any) -> None:
    body = json.dumps(said, ensure_ascii=False).encode() + b"\n"
    headers = [
        (b"content-type", _JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
