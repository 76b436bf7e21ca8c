"""One HTTP request to a server on loopback by the standard library's client, and its whole answer."""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message


class Answer(NamedTuple):
    """What came back, with all of its body."""

    status: int
    headers: Message
    body: bytes

    def getheader(self, name: str) -> str | None:
        """One of its headers, by its name in any case."""
        value: str | None = self.headers.get(name)
        return value


def ask(port: int, method: str, path: str, body: Any, headers: Mapping[str, str], **options: Any) -> Answer:
    """Ask once, over a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, dict(headers), **options)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
