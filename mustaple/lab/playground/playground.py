"""The playground as running servers: the cases over TLS, and the page that lists them over TLS and over plain HTTP."""

from __future__ import annotations

import contextlib
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.errors import InputError
from mustaple.lab.cases import cases as all_cases
from mustaple.lab.live import CaseServer, respond
from mustaple.lab.playground.book import Book, not_understood
from mustaple.lab.playground.page_app import METHODS, SECURE, PageApp
from mustaple.lab.playground.room import room_for_connections
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import listen
from mustaple.net.responder.serving import AppRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mustaple.lab.cases import Case
    from mustaple.lab.live import HTTPRequest, Visit

# Seconds: a crowd takes its turns at signing, and who is silent meanwhile makes room for others anyway.
HANDSHAKE_TIMEOUT: Final = 60.0
_PORTS: Final = 65536


class Playground(Lifespan):
    """Every case as a host of its own, and a page that lists and tries them; a context manager.

    `cases` are those of the corpus unless given. `port` is the TLS port of all of them and `page_port` that of the page
    over plain HTTP, 0 for a free one. With `first_port` each case also has a port of its own, from this one on in the
    order of `cases`, for clients that send no server name. `url` and `page_url` say where the page is. `on_end` is
    called when the plain page has ended, for whatever reason; the other arguments are those of `CaseServer`.

    Raises InputError for an address that cannot be listened on.
    """

    def __init__(
        self,
        cases: Iterable[Case] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        page_port: int = 0,
        first_port: int | None = None,
        expose: bool = False,
        on_end: Callable[[], None] | None = None,
        **serving: Any,
    ) -> None:
        cases = tuple(all_cases() if cases is None else cases)
        if first_port is not None and first_port + len(cases) > _PORTS:
            raise InputError(f"there are not {len(cases)} ports from {first_port} on; the last is {_PORTS - 1}")
        # Each TLS listener is held twice; half of the room is the plain page's.
        room = room_for_connections(2 * (len(cases) if first_port is not None else 0))
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(listen(host, page_port, expose=expose, option="--page-port"))
            self.page_port: int = listener.getsockname()[1]
            self.page_url = f"http://localhost:{self.page_port}/"
            self.server = CaseServer(
                cases,
                host=host,
                port=port,
                expose=expose,
                first_port=first_port,
                answer=self._answer,
                **{"max_connections": room // 2, "handshake_timeout": HANDSHAKE_TIMEOUT, **serving},
            )
            self.url = f"https://localhost:{self.server.port}/"
            self._book = Book(self.server, self.page_url)
            self._ahead = threading.Thread(target=self._book.write, name="mustaple-playground", daemon=True)
            self._pages = AppRunner(PageApp(self._book), listener, on_end, most_connections=room // 2)
            stack.pop_all()

    @property
    def root_pem(self) -> bytes:
        """The root that clients have to trust."""
        return self.server.ca_pem

    @property
    def ended(self) -> threading.Event:
        """Set when the plain page has ended, for whatever reason."""
        return self._pages.ended

    def start(self) -> None:
        """Serve from now on. Raises NetworkError where a server does not come up."""
        try:
            self.server.start()
            self._pages.start()
        except BaseException:
            self.close()
            raise
        # Whoever asks for the page first should not have to wait until it is made.
        self._ahead.start()

    def close(self) -> None:
        """End every connection and free the ports. Safe to call twice."""
        if self._ahead.is_alive():
            self._ahead.join()
        self._pages.close()
        self.server.close()

    def _answer(self, request: HTTPRequest | None, visit: Visit) -> bytes:
        """The response over TLS: the pages from the honest server, and each case about itself."""
        if request is None:
            answer = not_understood(HTTPStatus.BAD_REQUEST)
        elif request.method not in METHODS:
            answer = not_understood(HTTPStatus.METHOD_NOT_ALLOWED)
        elif visit.case is not None:
            as_page = "text/html" in request.headers.get("accept", "")
            answer = self._book.visit(request.target, visit.case, visit, as_page=as_page)
        elif request.target == "/seen.json":
            answer = self._book.honest_visit(visit)
        else:
            answer = self._book.page(request.target)
        if request is not None:
            answer = answer.packed(request.headers)
        headers = (*answer.headers, *SECURE)
        return respond(request, answer.body, answer.media_type, status=answer.status, headers=headers)
