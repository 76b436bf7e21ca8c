"""The responder as a server: uvicorn in a thread of its own, on a socket bound before, so that its port is known."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from mustaple.core.errors import NetworkError
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import listen, url_of
from mustaple.net.responder.app import ResponderApp
from mustaple.net.responder.reply import Answers, FunctionAnswers, Reply

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from certtools.forge import ResponderId
    from mustaple.net.responder.log import RequestLog
    from mustaple.net.responder.question import Question

START_TIMEOUT: Final = 30.0  # seconds
STOP_TIMEOUT: Final = 5  # seconds that open connections have when the server ends


class ResponderServer(Lifespan):
    """A running responder; a context manager.

        with ResponderServer(answers) as server:
            fetch_ocsp(link, url=server.url)
        server.log.recent[-1].answered  # ("good",)

    `answers` is where the answers come from, or any function from a `Question` to the bytes to send. `base_path`
    is the path of the OCSP URL. The socket is bound here, so `url` is known at once, and served from `start()` on.
    `on_end` is called in the server's thread when it has stopped, for whatever reason. `around` makes an application
    around this one, of it and its base path, to be served in its place. `most_connections` is for `AppRunner`.

    Raises InputError for an address that cannot be listened on.
    """

    def __init__(
        self,
        answers: Answers | Callable[[Question], bytes | Reply],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        expose: bool = False,
        base_path: str = "/",
        log: RequestLog | None = None,
        on_end: Callable[[], None] | None = None,
        around: Callable[[ResponderApp, str], Any] | None = None,
        most_connections: int | None = None,
    ) -> None:
        if callable(answers):
            answers = FunctionAnswers(answers)
        self.app = ResponderApp(answers, base_path=base_path, log=log)
        outer = self.app if around is None else around(self.app, base_path)
        self.log = self.app.log
        self._listener = listen(host, port, expose=expose)
        self.host, self.port = self._listener.getsockname()[:2]
        self.root = url_of(self._listener, "http")
        self.url = self.root + base_path
        self._runner = AppRunner(outer, self._listener, on_end, most_connections=most_connections)
        self._closing = contextlib.ExitStack()

    @classmethod
    def of_directory(
        cls,
        folder: Path,
        *,
        delegated: bool = False,
        responder_id: ResponderId | None = None,
        valid_for: timedelta | None = None,
        port: int | None = None,
        **listening: Any,
    ) -> Self:
        """The responder of a CA directory, honest, at the path of the OCSP URL that its certificates name.

        `port` is that URL's unless given. The other arguments are those of `RegisterAnswers` and of the class.
        Raises CaDirError for a folder that is no CA directory or cannot be read.
        """
        from certtools.ca_dir import CaDir
        from certtools.forge import ResponderId as Kind
        from mustaple.net.responder.register import VALID_FOR, RegisterAnswers

        ca = CaDir.open(folder)
        try:
            answers = RegisterAnswers(
                ca,
                delegated=delegated,
                responder_id=responder_id if responder_id is not None else Kind.NAME,
                valid_for=valid_for if valid_for is not None else VALID_FOR,
            )
            url = urlsplit(ca.setting("ocsp_url") or "")
            if port is None:
                port = url.port or (80 if url.scheme == "http" else 0)
            server = cls(answers, port=port, base_path=url.path or "/", **listening)
        except BaseException:
            ca.close()
            raise
        server._closing.callback(ca.close)
        return server

    @property
    def ended(self) -> threading.Event:
        """Set when the server has stopped, for whatever reason."""
        return self._runner.ended

    def start(self) -> None:
        """Answer from now on. Raises NetworkError where the server does not come up."""
        self._runner.start()

    def close(self) -> None:
        """Stop answering and free the port. Safe to call twice."""
        self._runner.close()
        self._closing.close()


class AppRunner:
    """Any ASGI application under uvicorn on a listening socket, in a thread.

    Who comes when there are `most_connections` already is told 503; None sets no limit.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listener: socket.socket,
        on_end: Callable[[], None] | None = None,
        *,
        most_connections: int | None = None,
    ) -> None:
        self._most_connections = most_connections
        self._app = app
        self._on_end = on_end
        self._listener = listener
        self.ended = threading.Event()
        self._started = threading.Event()
        self._server: Any = None
        self._thread = threading.Thread(target=self._run, name="mustaple-responder", daemon=True)

    def start(self) -> None:
        """Start, and wait until connections are served."""
        self._server = _uvicorn_server(self._app, self._started, self._most_connections)
        self._thread.start()
        if not self._started.wait(START_TIMEOUT) or self.ended.is_set():
            self.close()
            raise NetworkError("The responder's HTTP server did not start.")

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self.ended.set()
            self._started.set()
            if self._on_end is not None:
                self._on_end()

    def close(self) -> None:
        """Stop, and wait until every connection is closed."""
        if self._server is not None and self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(STOP_TIMEOUT + START_TIMEOUT)
        if self._listener.fileno() != -1:
            self._listener.close()


def _uvicorn_server(app: Callable[..., Any], started: threading.Event, most_connections: int | None) -> Any:
    import uvicorn

    from mustaple.net.responder.aborting import AbortableProtocol

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            started.set()

    config = uvicorn.Config(
        app,
        http=AbortableProtocol,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody here could send them, and the log is to say who really asked
        timeout_graceful_shutdown=STOP_TIMEOUT,
        limit_concurrency=most_connections,
    )
    return Server(config)
