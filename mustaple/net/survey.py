"""What a server shows to anyone who asks, in each TLS version: its certificates and staples, and who could verify them.

Nothing here refuses a server: its path is looked at and said, not demanded, and each staple is judged for what it is.
Whoever wants to rely on a server uses `mustaple.net.client`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509

from certtools.chain import Link, signed_by
from mustaple.core.errors import NetworkError, WireError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source
from mustaple.net.dial import Deadline
from mustaple.net.look import Lenient, Look, look_tls12, look_tls13
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_errors import explain
from mustaple.net.tls_path import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mustaple.core.flight import Entry
    from mustaple.core.verdict import Judgement
    from mustaple.net.tls_context import Authorities

TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One certificate as it was sent, and what was stapled for it.

    `certificate` is None where it cannot be read, `staple` None where nothing was stapled, and `judgement` None for
    want of either of them or of a certificate that signed this one.
    """

    entry: Entry
    certificate: x509.Certificate | None
    staple: bytes | None
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class Showing:
    """One look, and each certificate that was seen in it."""

    look: Look
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that was seen. `certificates` are those sent, each once; `known` are those and the trusted above them.

    `path` is what OpenSSL says is wrong with the path, None where nothing is.
    """

    at: datetime
    showings: tuple[Showing, ...]
    certificates: tuple[x509.Certificate, ...]
    known: tuple[x509.Certificate, ...]
    path: str | None


def survey(
    host: str,
    port: int,
    *,
    at: datetime,
    ca: Iterable[Authorities] | None = None,
    issuers: Sequence[x509.Certificate] = (),
    server_name: str | None = None,
    address: tuple[str, int] | None = None,
    timeout: float = TIMEOUT,
) -> Survey:
    """Ask a server for its certificates and staples, once in TLS 1.3 and once in TLS 1.2.

    `at` (aware UTC) is when staples and path are judged. `ca` is what to trust, None the system's store; it and
    `issuers` may hold certificates that the server does not send. `server_name` and `address` are `host` and `port`
    unless given. `timeout` is in seconds, for each handshake.

    Raises NetworkError where nobody answers, or nothing that shows certificates, and InputError for arguments of no
    use.
    """
    context = ClientContext(ca, at=at)
    name = service_name(server_name if server_name is not None else host).server_name
    where = address if address is not None else (host, port)
    looks = (look_tls13(where, name, Deadline(timeout)), look_tls12(where, name, Deadline(timeout)))
    sent = [look.flight.entries for look in looks if look.flight is not None]
    if not sent:
        problems = dict.fromkeys(str(look.problem) for look in looks)
        raise NetworkError(f"{where[0]}:{where[1]}: {'; '.join(problems)}")
    certificates = tuple(
        dict.fromkeys(found for entries in sent for entry in entries if (found := _load(entry)) is not None)
    )
    above, path = _path(sent[0], context)
    known = tuple(dict.fromkeys((*certificates, *above, *issuers)))
    return Survey(at, tuple(_judged(look, known, at) for look in looks), certificates, known, path)


def _load(entry: Entry) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(entry.certificate)
    except (ValueError, TypeError):
        return None


def _judged(look: Look, known: Sequence[x509.Certificate], at: datetime) -> Showing:
    entries = look.flight.entries if look.flight is not None else ()
    return Showing(look, tuple(_see(entry, known, at) for entry in entries))


def _see(entry: Entry, known: Sequence[x509.Certificate], at: datetime) -> Seen:
    certificate = _load(entry)
    staple = entry.staples[0] if entry.staples else None
    if certificate is None or staple is None:
        return Seen(entry, certificate, staple, None)
    issuer = next((each for each in known if signed_by(certificate, each)), None)
    if issuer is None:
        return Seen(entry, certificate, staple, None)
    judgement = judge(staple, Link(certificate, issuer), at, source=Source.STAPLE, origin=entry.origin)
    return Seen(entry, certificate, staple, judgement)


def _path(entries: Sequence[Entry], context: ClientContext) -> tuple[tuple[x509.Certificate, ...], str | None]:
    """The path that OpenSSL found up to what is trusted, and what is wrong with it."""
    observer = Lenient()
    try:
        shown = show([entry.certificate for entry in entries], context, observer)
    except WireError as unreadable:
        return (), str(unreadable)
    if shown.error is not None:
        return (), observer.path_problem or explain(shown.error)
    return shown.verified, observer.path_problem
