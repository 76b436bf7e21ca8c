"""One chain with its staples, honest ones and each kind of wrong ones, for tests that show them to others' stacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import Authority, Issued
from certtools.forge import CertificateStatus, ResponderId, answer, sign, single
from mustaple.core.errors import RefusedError
from mustaple.net.client import connect
from mustaple.net.responder import ResponderServer

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from certtools.chain import Chain
    from mustaple.core.verdict import ChainVerdict, Status
    from mustaple.net.responder import Question

DAY: Final = timedelta(days=1)
TRY_LATER: Final = bytes.fromhex("30030a0103")
Pair = tuple[bytes | None, bytes | None]  # what is stapled for the leaf and for its CA; None for nothing


class Visit(NamedTuple):
    """What one visit of the strict client came to: the verdict, and the page where it was accepted."""

    verdict: ChainVerdict
    page: bytes = b""

    @property
    def codes(self) -> list[str]:
        """The codes of every refusing reason, the most telling first."""
        return [reason.code.value for reason in self.verdict.all_reasons]

    @property
    def evidence(self) -> list[tuple[Status, str | None]]:
        """For each certificate its status, and the TLS message that its staple came in."""
        return [
            (each.status, each.judgement.origin if each.judgement is not None else None)
            for each in self.verdict.certificates
        ]


@dataclass(frozen=True)
class Site:
    """A leaf for localhost, its CA and their root, valid today.

    `features` is the leaf's TLS Feature list, `serial_number` its number (drawn unless given), `key` the kind of all
    keys; the URLs name the responder of each.
    """

    features: tuple[int, ...] | None = (5,)
    key: str = "ec-p256"
    ocsp_urls: tuple[str, ...] = ()
    serial_number: int | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def root(self) -> Authority:
        return Authority.root("peer root", not_before=self.now - 30 * DAY, not_after=self.now + 30 * DAY, key=self.key)

    @cached_property
    def authority(self) -> Authority:
        return self.root.intermediate("peer CA", key=self.key, ocsp_urls=self.ocsp_urls)

    @cached_property
    def leaf(self) -> Issued:
        names = ["localhost", "127.0.0.1"]
        how: dict[str, Any] = {"key": self.key, "features": self.features, "ocsp_urls": self.ocsp_urls}
        return self.authority.leaf(names, serial_number=self.serial_number, **how)

    @cached_property
    def chain(self) -> Chain:
        return self.leaf.as_chain()

    @property
    def sent(self) -> tuple[x509.Certificate, ...]:
        """What a server sends: the leaf and its CA."""
        return self.leaf.chain[:-1]

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """The root, the leaf with its CA, and the leaf's key as PEM files in this folder."""
        paths = folder / "root.pem", folder / "chain.pem", folder / "key.pem"
        root = self.root.certificate.public_bytes(Encoding.PEM)
        for path, pem in zip(paths, (root, self.leaf.chain_pem(), self.leaf.key_pem()), strict=True):
            path.write_bytes(pem)
        return paths

    def visit(self, port: int, policy: str = "strict", **options: Any) -> Visit:
        """Let the strict client ask for a page; `options` are those of `connect`, above all `engine` and `maximum`."""
        try:
            with connect(
                "localhost", port, policy, address=("127.0.0.1", port), ca=self.root.certificate, **options
            ) as it:
                it.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                page = b""
                while received := it.recv():
                    page += received
                return Visit(it.verdict, page)
        except RefusedError as refused:
            return Visit(refused.verdict)

    def staple(self, place: int, **said: Any) -> bytes:
        """A response for the leaf (0) or for its CA (1); good and fresh unless fields of `Single` say otherwise.

        Its responderID is the name: GnuTLS 3.7 finds no signer by key where the root is not sent.
        """
        signer = (self.authority, self.root)[place]
        told = single(self.chain.links[place], self.now, **said)
        return sign(answer([told], signer, responder_id=ResponderId.NAME), signer)

    def revoked(self, place: int) -> bytes:
        """A response that this certificate has been revoked."""
        return self.staple(place, status=CertificateStatus.REVOKED, revocation_time=self.now - DAY)

    def expired(self, place: int) -> bytes:
        """A response that was good until yesterday."""
        return self.staple(place, this_update=self.now - 9 * DAY, next_update=self.now - DAY)

    @cached_property
    def good(self) -> tuple[bytes, bytes]:
        """An honest staple for each certificate."""
        return self.staple(0), self.staple(1)

    @cached_property
    def of_another(self) -> bytes:
        """A good response of the leaf's own CA, for another of its certificates."""
        return self.staple(0, serial_number=self.leaf.certificate.serial_number ^ 1)

    @cached_property
    def wrong(self) -> dict[str, Pair]:
        """The honest staples with one thing changed, by the names in WRONG."""
        leaf, authority = self.good
        changed: tuple[Pair, ...] = (
            (authority, leaf),
            (self.revoked(0), authority),
            (self.expired(0), authority),
            (self.of_another, authority),
            (None, authority),
            (leaf, self.revoked(1)),
            (leaf, self.expired(1)),
            (leaf, leaf),
            (leaf, None),
        )
        return dict(zip(WRONG, changed, strict=True))


WRONG: Final = (
    "swapped",
    "leaf revoked",
    "leaf expired",
    "leaf has another's",
    "leaf dropped",
    "CA revoked",
    "CA expired",
    "CA has the leaf's",
    "CA dropped",
)


class ToldResponder:
    """An OCSP responder that answers as it is told to, for servers that fetch their staples themselves."""

    def __init__(self) -> None:
        self._answers: dict[int, bytes] = {}
        self._server = ResponderServer(self._answer)
        self.url = self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def tell(self, site: Site, staples: Pair) -> None:
        """From now on give these for the site's leaf and its CA; for None it answers that one may try later."""
        for certificate, staple in zip(site.sent, staples, strict=True):
            self._answers[certificate.serial_number] = staple if staple is not None else TRY_LATER

    def _answer(self, question: Question) -> bytes:
        return self._answers.get(question.cert_ids[0].serial_number, TRY_LATER)
