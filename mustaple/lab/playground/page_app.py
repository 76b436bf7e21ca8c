"""The page over plain HTTP, for machines that do not trust the root yet: an ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from mustaple.lab.playground.book import not_understood

if TYPE_CHECKING:
    from mustaple.lab.playground.book import Answer, Book
    from mustaple.net.responder.app import Receive, Scope, Send

METHODS: Final = frozenset({"GET", "HEAD"})
SECURE: Final = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"))


class PageApp:
    """Serves the pages of this book."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["method"] in METHODS:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            answer = self._book.page(scope["path"]).packed(headers)
        else:
            answer = not_understood(HTTPStatus.METHOD_NOT_ALLOWED)
        await _send(answer, send, with_body=scope["method"] != "HEAD")


async def _send(answer: Answer, send: Send, *, with_body: bool) -> None:
    said = (
        ("Content-Type", answer.media_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        *answer.headers,
        *SECURE,
    )
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})
