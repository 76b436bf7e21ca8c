"""A chain whose OCSP URLs lead to a web server on loopback, which says what a test has it say and notes who asked."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from certtools.authority import Authority
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.net.listen import listen, url_of
from mustaple.net.multistaple import Gathering, fetch_staples
from mustaple.net.responder.question import read_path, read_request
from mustaple.net.responder.serving import AppRunner
from mustaple.net.store import Loaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from certtools.authority import Issued
    from certtools.chain import Chain, Link
    from mustaple.core.verdict import Code
    from mustaple.net.multistaple import Gathered, StapleSet
    from mustaple.net.responder.question import Question

START: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
OCSP_RESPONSE: Final = "application/ocsp-response"


@dataclass(frozen=True)
class Asked:
    """One request: the name at the start of its path, its method, its headers, and what it asks."""

    name: str
    method: str
    headers: dict[str, str]
    question: Question


@dataclass(frozen=True)
class Told:
    """One reply; one that hangs says nothing until the client has gone."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = OCSP_RESPONSE
    hangs: bool = False


HANGS: Final = Told(hangs=True)
PAGE: Final = Told(b"<html>hotel</html>", media_type="text/html")
GARBAGE: Final = Told(b"\x30\x82garbage")
HUGE: Final = Told(bytes(70_000))


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def move(self, span: timedelta) -> None:
        """Let time pass."""
        self.at += span


class World:
    """A root, a CA and leaves, and the server. `says` maps the name in a URL to a `Told`, or to what makes one.

    A name that `says` does not hold gets the honest answer for the certificate asked about, at the time `clock()`.
    """

    def __init__(self, root_url: str, clock: Callable[[], datetime]) -> None:
        self.root_url = root_url
        self.clock = clock
        self.says: dict[str, Told | Callable[[Asked], Told | Awaitable[Told]]] = {}
        self.asked: list[Asked] = []
        now = clock()
        self.root = Authority.root("root", not_before=now - 30 * DAY, not_after=now + 300 * DAY)
        self.signers: dict[int, tuple[Link, Authority]] = {}
        self.ca = self.authority("ca")
        self.chain = self.issue("leaf").as_chain()
        self.leaf, self.intermediate = self.chain.links

    def authority(self, *urls: str) -> Authority:
        """A CA below the root whose status is told at these names."""
        ca = self.root.intermediate("CA", ocsp_urls=[self.url(name) for name in urls])
        self.signers[ca.certificate.serial_number] = (ca.as_chain().links[0], self.root)
        return ca

    def issue(self, *urls: str, ca: Authority | None = None, name: str = "site.test") -> Issued:
        """A leaf whose status is told at these names; a whole URL is taken as it is."""
        ca = ca if ca is not None else self.ca
        leaf = ca.leaf([name], ocsp_urls=[self.url(each) for each in urls])
        self.signers[leaf.certificate.serial_number] = (leaf.as_chain().links[0], ca)
        return leaf

    def url(self, name: str) -> str:
        """The URL at which this name answers."""
        return name if ":" in name else f"{self.root_url}/{name}"

    def response(self, link: Link, **said: Any) -> bytes:
        """A response about this certificate, honest and an hour old unless fields of `Single` say otherwise."""
        signer = said.pop("signer", self.signers[link.serial_number][1])
        nonce = said.pop("nonce", None)
        return sign(answer([single(link, self.clock(), **said)], signer, nonce=nonce), signer)

    def revoked(self, link: Link) -> Told:
        """The answer that it is revoked."""
        return Told(self.response(link, status=CertificateStatus.REVOKED))

    def honest(self, asked: Asked, **headers: str) -> Told:
        """The honest answer to a request, with the ETag of RFC 9919 §7.2; 304 for who has it."""
        link = self.signers[asked.question.cert_ids[0].serial_number][0]
        body = self.response(link, nonce=asked.question.nonce)
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        return Told(body, 200, {"etag": etag, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def kept(self, **headers: str) -> Callable[[Asked], Told]:
        """Who answers honestly, once and for all: the same answer again, or 304, to whoever comes back."""
        ready: dict[int, Told] = {}

        def tell(asked: Asked) -> Told:
            serial_number = asked.question.cert_ids[0].serial_number
            told = ready.setdefault(serial_number, self.honest(asked, **headers))
            if asked.headers.get("if-none-match") == told.headers["etag"]:
                return Told(b"", 304, told.headers)
            return told

        return tell

    def reset(self) -> None:
        """Forget what was said and asked."""
        self.says.clear()
        self.asked.clear()

    def gather(self, chain: Chain | None = None, **options: Any) -> StapleSet:
        """Staples for a chain, by this world's clock."""
        how = Gathering(**({"clock": self.clock, "timeout": 30.0} | options))
        return fetch_staples(chain if chain is not None else self.chain, how)

    def lone(self, *urls: str) -> Chain:
        """A leaf with these URLs, under the root itself: one certificate to ask about."""
        return self.issue(*urls, ca=self.root).as_chain()

    def names(self) -> list[str]:
        """The names that were asked, sorted: certificates are asked about at once."""
        return sorted(asked.name for asked in self.asked)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        # Who takes us for a proxy names the host, too.
        _, name, *rest = urlsplit(scope["raw_path"]).path.split(b"/", 2)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        question = read_request(body if scope["method"] == "POST" else read_path(rest[0]))
        asked = Asked(name.decode(), scope["method"], headers, question)
        self.asked.append(asked)
        says = self.says.get(asked.name, self.honest)
        told = says(asked) if callable(says) else says
        if not isinstance(told, Told):
            told = await told
        if told.hangs:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        sent = {"content-type": told.media_type, "content-length": str(len(told.body)), **told.headers}
        if told.status == 304:
            sent = told.headers
        headers_sent = [(key.encode(), value.encode()) for key, value in sent.items()]
        await send({"type": "http.response.start", "status": told.status, "headers": headers_sent})
        await send({"type": "http.response.body", "body": told.body})


@contextmanager
def world(clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[World]:
    """A world with its server running."""
    listener = listen()
    made = World(url_of(listener, "http"), clock)
    runner = AppRunner(made, listener)
    runner.start()
    try:
        yield made
    finally:
        runner.close()


def kept(found: StapleSet) -> Loaded:
    """What a store would hold after this."""
    return Loaded({each.fingerprint: each for each in found.staples}, waits=found.waits)


def codes(gathered: Gathered) -> list[Code]:
    """What was wrong with the answers."""
    return [reason.code for reason in gathered.reasons]


def only(found: StapleSet) -> Gathered:
    """The one certificate's."""
    (gathered,) = found.gathered
    return gathered
