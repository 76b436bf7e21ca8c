"""Load certificates and pair each with the issuer whose key really signed it: `Link(subject, issuer)`, leaf first."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from cryptography.x509 import ocsp

from certtools.extensions import find_extension
from certtools.feature import FeatureError, read_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# A bundle is a handful of certificates; a search for issuers must not become a denial of service.
MAX_CERTIFICATES = 64


class ChainError(ValueError):
    """Certificates that cannot be read, or that do not make a chain; the text says which and why."""


@dataclass(frozen=True)
class Link:
    """A certificate and the certificate whose key signed it."""

    subject: x509.Certificate
    issuer: x509.Certificate

    def __hash__(self) -> int:
        """That of the fingerprint, which is kept; a certificate's own is reckoned anew each time."""
        return hash(self.fingerprint)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the subject's DER (32 bytes)."""
        return self.subject.fingerprint(hashes.SHA256())

    @cached_property
    def serial_number(self) -> int:
        """The subject's serial number."""
        return self.subject.serial_number

    @cached_property
    def responder_id(self) -> bytes:
        """DER of the responderID that names the issuer, `[1] EXPLICIT Name` (RFC 6960 §4.2.1)."""
        from asn1crypto.parser import emit

        explicit: bytes = emit(2, 1, 1, self.issuer.subject.public_bytes())  # class context, constructed, tag 1
        return explicit

    @cached_property
    def _cert_ids(self) -> dict[str, tuple[bytes, bytes]]:
        return {}

    def cert_id(self, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
        """issuerNameHash and issuerKeyHash of this link's CertID (RFC 6960 §4.1.1).

        `algorithm` is one of SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512; ValueError for others.
        """
        known = self._cert_ids.get(algorithm.name)
        if known is None:
            request = ocsp.OCSPRequestBuilder().add_certificate(self.subject, self.issuer, algorithm).build()
            known = self._cert_ids[algorithm.name] = (request.issuer_name_hash, request.issuer_key_hash)
        return known


@dataclass(frozen=True)
class Chain:
    """A certification path, leaf first: `certificates[0]` is the leaf, the last one is the anchor or the top sent."""

    certificates: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        if not self.certificates:
            raise ChainError("A chain needs at least one certificate.")

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """One link for each certificate below the top, leaf first; none for a lone certificate."""
        return tuple(map(Link, self.certificates, self.certificates[1:]))

    @cached_property
    def features(self) -> tuple[tuple[int, ...] | FeatureError | None, ...]:
        """The TLS Feature list of each certificate, leaf first; the error itself where a list is malformed."""
        return tuple(map(_features_or_error, self.certificates))

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that the server proves to own."""
        return self.certificates[0]

    @property
    def top(self) -> x509.Certificate:
        """The last certificate: the trust anchor, if the chain is complete."""
        return self.certificates[-1]

    @property
    def complete(self) -> bool:
        """Whether the top is self-signed, so that nothing above it is missing."""
        return signed_by(self.top, self.top)


def _features_or_error(certificate: x509.Certificate) -> tuple[int, ...] | FeatureError | None:
    try:
        return read_features(certificate)
    except FeatureError as error:
        return error


def name_of(certificate: x509.Certificate) -> str:
    """The subject as RFC 4514 text, or the serial number where the name is empty or unreadable."""
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        text = ""
    return text or f"serial {certificate.serial_number:x}"


def issuer_hashes(issuer: x509.Certificate, algorithm: str) -> tuple[bytes, bytes]:
    """issuerNameHash and issuerKeyHash by which CertIDs name this issuer (RFC 6960 §4.1.1), by any hash hashlib knows.

    The key is hashed without its SubjectPublicKeyInfo, as in a responderID too. ValueError for an unknown hash.
    """
    from asn1crypto.core import Sequence

    key = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = Sequence.load(key)[1].contents[1:]  # a BIT STRING begins with the number of its unused bits
    return hashlib.new(algorithm, issuer.subject.public_bytes()).digest(), hashlib.new(algorithm, bits).digest()


def signed_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer`'s name is the subject's issuer and its key made the subject's signature (RFC 5280 §6.1.3)."""
    try:
        subject.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def load_certificates(data: bytes, password: bytes | None = None) -> list[x509.Certificate]:
    """Every certificate in a PEM bundle, a DER certificate or a PKCS#12 file, in the order found.

    Raises ChainError for anything else, an empty bundle and a wrong PKCS#12 password included.
    """
    if b"-----BEGIN" in data:
        try:
            certificates = x509.load_pem_x509_certificates(data)
        except (ValueError, TypeError, x509.InvalidVersion) as error:
            why = _first_line(error) if b"CERTIFICATE-----" in data else "it holds something else"
            raise ChainError(f"There is no readable PEM certificate here: {why}.") from error
        return certificates
    try:
        return [x509.load_der_x509_certificate(data)]
    except x509.InvalidVersion as error:
        raise ChainError(f"This certificate cannot be read: {_first_line(error)}.") from error
    except (ValueError, TypeError):
        return load_pkcs12(data, password)[1]


def load_pkcs12(data: bytes, password: bytes | None) -> tuple[PrivateKeyTypes | None, list[x509.Certificate]]:
    """The key and the certificates of a PKCS#12 file, the key's own certificate first.

    Raises ChainError where it cannot be read or the password is wrong.
    """
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "assword" in str(error):
            raise ChainError("This is a PKCS#12 file with another password.") from error
        raise ChainError("This is no certificate in PEM, DER or PKCS#12.") from error
    certificates = [*([leaf] if leaf is not None else []), *others]
    if not certificates:
        raise ChainError("This PKCS#12 file holds no certificate.")
    return key, certificates


def build_chain(
    certificates: Iterable[x509.Certificate],
    *,
    leaf: x509.Certificate | None = None,
    anchors: Sequence[x509.Certificate] = (),
    complete: bool = False,
) -> Chain:
    """A chain from certificates in any order, by the signatures they really bear.

    `leaf` names the certificate to start from; otherwise it is the one that signed no other. `anchors` are more
    certificates that may end the chain. Cross-signed certificates give the shortest path to a self-signed or
    given anchor; loops end the search. With `complete`, a top that is neither raises.

    Raises ChainError when there is no certificate, no single leaf, or a link is missing.
    """
    own = _distinct(certificates)
    pool = _distinct([*own, *anchors])
    if not pool:
        raise ChainError("There is no certificate here.")
    if len(pool) > MAX_CERTIFICATES:
        raise ChainError(f"There are {len(pool)} certificates here; a chain is made from at most {MAX_CERTIFICATES}.")
    pool = _distinct([*([leaf] if leaf is not None else []), *pool])
    issuers = {subject: [issuer for issuer in pool if signed_by(subject, issuer)] for subject in pool}
    ends = {c for c in pool if c in issuers[c] or c in anchors}
    start = leaf if leaf is not None else _find_leaf([c for c in own if c not in anchors] or own or pool, issuers)
    path = _shortest_path(start, issuers, ends)
    unused_root = any(c in issuers[c] and c not in path for c in own)
    alone = len(path) == 1 and len(own) > 1
    if path[-1] not in ends and (complete or unused_root or alone):
        raise ChainError(
            f"A link is missing: no certificate here signed {name_of(path[-1])!r}; "
            f"add the certificate of {_issuer_name(path[-1])!r}."
        )
    return Chain(tuple(path))


def _distinct(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    return list(dict.fromkeys(certificates))


def _find_leaf(
    pool: list[x509.Certificate], issuers: dict[x509.Certificate, list[x509.Certificate]]
) -> x509.Certificate:
    """The certificate that signed no other; of several, the one that is no CA."""
    signers = {issuer for subject in pool for issuer in issuers[subject] if issuer != subject}
    candidates = [c for c in pool if c not in signers]
    if len(candidates) > 1:
        candidates = [c for c in candidates if not is_authority(c)] or candidates
    if len(candidates) > 1:
        names = ", ".join(repr(name_of(c)) for c in candidates)
        raise ChainError(f"There is more than one certificate here that signed no other: {names}; name the leaf.")
    # No candidate: every certificate signed another, as two cross-signed authorities do.
    return candidates[0] if candidates else pool[0]


def _shortest_path(
    start: x509.Certificate,
    issuers: dict[x509.Certificate, list[x509.Certificate]],
    ends: set[x509.Certificate],
) -> list[x509.Certificate]:
    """The shortest path upwards to one of `ends`, or to the last certificate that can be reached.

    Breadth first and each certificate once, so loops end and the cost stays linear. Another certificate for
    the key of `start` is passed over: a path that comes back to its own beginning proves nothing more.
    """
    paths = {start: [start]}
    queue = deque([start])
    while queue:
        current = queue.popleft()
        if current in ends:
            return paths[current]
        for issuer in issuers[current]:
            if issuer not in paths and not _same_entity(issuer, start):
                paths[issuer] = [*paths[current], issuer]
                queue.append(issuer)
    return paths[current]


def _issuer_name(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string()
    except ValueError:
        return "its issuer"


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints says CA (RFC 5280 §4.2.1.9); unreadable extensions say no."""
    constraints = find_extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _same_entity(one: x509.Certificate, other: x509.Certificate) -> bool:
    """Whether both certify the same name and key, as the two halves of a cross-signature do."""
    try:
        return one.subject == other.subject and one.public_key() == other.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """A PEM bundle of these certificates, in this order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
