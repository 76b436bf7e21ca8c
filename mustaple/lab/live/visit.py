"""What a live server saw of one client, the request it then read, and the page that answers unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.net.stapling_session import ChainConnectionRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.lab.cases import Case

_STATUS: Final = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(slots=True)
class Visit(ChainConnectionRecord):
    """One connection: what `ChainConnectionRecord` says of it, and which case it met.

    `case` is None where the client asked for a name that is no case's and met an honest server. `port` is the one it
    came to. `number` tells which making of the case it met. `shown` is False where the case is about messages that
    only answer extensions which this client did not offer: it met an honest handshake.
    """

    case: Case | None = None
    port: int = 0
    number: int | None = None
    shown: bool = True


@dataclass(frozen=True, slots=True)
class HTTPRequest:
    """The head of an HTTP request: method, target as sent, headers by their names in lower case."""

    method: str
    target: str
    headers: dict[str, str]

    @classmethod
    def read(cls, head: bytes) -> HTTPRequest | None:
        """Read it from the bytes up to the empty line; None where this is no HTTP request."""
        lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return None
        pairs = (line.partition(":") for line in lines[1:])
        return cls(words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in pairs})


def respond(
    request: HTTPRequest | None,
    body: bytes,
    media_type: str = "text/plain; charset=utf-8",
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A whole HTTP response, that a page from another origin may read; without the body where HEAD was asked."""
    lines = [
        f"HTTP/1.1 {status} {_STATUS.get(status, 'Status')}",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Access-Control-Allow-Origin: *",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if request is not None and request.method == "HEAD" else head + body


def page(request: HTTPRequest | None, visit: Visit) -> bytes:
    """The page that says what this server is."""
    if request is None:
        return respond(None, b"This is no HTTP request.\n", status=400)
    if visit.case is None:
        text = "An honest server: no case has this name.\n"
    else:
        expected = "".join(f"  {preset}: {said}\n" for preset, said in visit.case.expected.items())
        text = f"{visit.case.id}\n{visit.case.description}\nA client should:\n{expected}"
    return respond(request, text.encode())
