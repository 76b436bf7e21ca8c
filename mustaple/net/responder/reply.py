"""What a responder answers with, and how HTTP caches may keep it (RFC 9919 §7, before it RFC 5019 §6)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mustaple.net.responder.question import Question

OCSP_RESPONSE: Final = "application/ocsp-response"
CRL: Final = "application/pkix-crl"

# OCSPResponseStatus without an answer (RFC 6960 §4.2.1): an OCSPResponse that holds one ENUMERATED.
MALFORMED_REQUEST: Final = bytes.fromhex("30030a0101")
INTERNAL_ERROR: Final = bytes.fromhex("30030a0102")
TRY_LATER: Final = bytes.fromhex("30030a0103")
UNAUTHORIZED: Final = bytes.fromhex("30030a0106")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: DER, and in words for the log what it says of each certificate asked about, or which error it is.

    With `keep_until` it may be given again until then to whoever asks the same, by this process and by caches;
    `this_update` and `next_update` are what the answer itself says. All are aware UTC. `why` explains an error.
    """

    body: bytes
    answered: tuple[str, ...]
    keep_until: datetime | None = None
    this_update: datetime | None = None
    next_update: datetime | None = None
    media_type: str = OCSP_RESPONSE
    why: str | None = None


def try_later(why: str) -> Reply:
    """What is said where there is no answer now and may be one later (RFC 6960 §2.3)."""
    return Reply(TRY_LATER, ("tryLater",), why=why)


class Answers(Protocol):
    """Where a responder has its answers from."""

    def version(self) -> int:
        """A number that changes whenever an answer given before may no longer be right; asked at every request."""

    def answer(self, question: Question, at: datetime) -> Reply:
        """The answer to one request."""

    def crl(self, name: str, at: datetime) -> Reply | None:
        """The CRL of this name (the last part of its path, without `.crl`); None where there is none."""

    def sign_ahead(self, at: datetime) -> Iterator[Reply]:
        """Sign what is likely to be asked, one answer at each step."""


@dataclass(frozen=True, slots=True)
class FunctionAnswers:
    """Answers from any function, for a responder that tells what it is told to. Nothing of it is kept."""

    function: Callable[[Question], bytes | Reply]
    crls: dict[str, bytes] = field(default_factory=dict)

    def version(self) -> int:
        """Always the same: nothing is kept that could grow wrong."""
        return 0

    def answer(self, question: Question, at: datetime) -> Reply:  # noqa: ARG002 - the function has its own clock
        """What the function says."""
        said = self.function(question)
        return said if isinstance(said, Reply) else Reply(said, ("as told",))

    def crl(self, name: str, at: datetime) -> Reply | None:  # noqa: ARG002
        """The bytes given for this name."""
        body = self.crls.get(name)
        return None if body is None else Reply(body, ("as told",), media_type=CRL)

    def sign_ahead(self, at: datetime) -> Iterator[Reply]:  # noqa: ARG002
        """Nothing: the function is asked each time."""
        return iter(())


class Kept:
    """A reply ready to be sent: the ASGI messages, whose max-age alone changes from second to second.

    `question` is what it answers, for the log. `for_caches` says whether HTTP caches may have it, as the answer to
    a GET may; `etag` is None otherwise.
    """

    __slots__ = ("_caching", "_common", "_second", "_start", "etag", "message", "nonce", "reply", "serials", "version")

    def __init__(
        self, reply: Reply, version: int, question: Question | None = None, *, for_caches: bool = False
    ) -> None:
        self.reply = reply
        self.version = version
        self.serials = () if question is None else tuple(f"{each.serial_number:x}" for each in question.cert_ids)
        self.nonce = question is not None and question.nonce is not None
        self.message: dict[str, Any] = {"type": "http.response.body", "body": reply.body}
        self.etag: bytes | None = None
        self._second = -1
        self._start: dict[str, Any] = {}
        self._caching: list[tuple[bytes, bytes]] = []
        self._common = [
            (b"content-type", reply.media_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
        ]
        if for_caches and reply.keep_until is not None and reply.this_update is not None:
            self.etag = b'"%s"' % hashlib.sha256(reply.body).hexdigest().encode()
            self._caching = [
                (b"last-modified", http_date(reply.this_update)),
                (b"expires", http_date(reply.next_update or reply.keep_until)),
                (b"etag", self.etag),
            ]

    def fresh(self, version: int, at: datetime) -> bool:
        """Whether this may still be sent."""
        until = self.reply.keep_until
        return version == self.version and until is not None and at < until

    def start(self, at: datetime) -> dict[str, Any]:
        """The ASGI message with status and headers."""
        second = int(at.timestamp())
        if second != self._second:
            self._second = second
            headers = [*self._common, *self._cache_headers(at)]
            self._start = {"type": "http.response.start", "status": 200, "headers": headers}
        return self._start

    def not_modified(self, at: datetime) -> dict[str, Any]:
        """The same for a client that has this very reply (RFC 9110 §15.4.5)."""
        return {"type": "http.response.start", "status": 304, "headers": self._cache_headers(at)}

    def _cache_headers(self, at: datetime) -> list[tuple[bytes, bytes]]:
        if not self._caching or self.reply.keep_until is None:
            # An authoritative answer must not say no-store or no-cache, an error should (RFC 9919 §7.2): an answer
            # to a POST or a nonce is for whoever asked, and is stale at once.
            authoritative = self.reply.this_update is not None
            return [(b"cache-control", b"private, max-age=0" if authoritative else b"no-store")]
        # A cache is to come back when this responder signs anew, well before nextUpdate.
        left = max(int((self.reply.keep_until - at).total_seconds()), 0)
        return [*self._caching, (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % left)]


def http_date(moment: datetime) -> bytes:
    """A time as HTTP writes it (RFC 9110 §5.6.7)."""
    return format_datetime(moment.replace(microsecond=0), usegmt=True).encode()
