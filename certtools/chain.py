"""Load certificates and pair each with the issuer whose key really signed it: `Link(subject, issuer)`, leaf first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509 import ocsp

from certtools.feature import FeatureError, read_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes

# A bundle is a handful of certificates; a search for issuers must not become a denial of service.
MAX_CERTIFICATES = 64


class ChainError(ValueError):
    """Certificates that cannot be read, or that do not make a chain; the text says which and why."""


@dataclass(frozen=True)
class Link:
    """A certificate and the certificate whose key signed it."""

    subject: x509.Certificate
    issuer: x509.Certificate

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
        except (ValueError, TypeError) as error:
            raise ChainError(f"No readable PEM certificate here: {_first_line(error)}.") from error
        return certificates
    try:
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, TypeError):
        return load_pkcs12(data, password)[1]


def load_pkcs12(
    data: bytes, password: bytes | None
) -> tuple[PKCS12PrivateKeyTypes | None, list[x509.Certificate]]:
    """The key and the certificates of a PKCS#12 file, the key's own certificate first.

    Raises ChainError where it cannot be read or the password is wrong.
    """
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = "a PKCS#12 file with another password" if "assword" in str(error) else "PEM, DER or PKCS#12"
        raise ChainError(f"This is not {message}." if "PEM" in message else f"This is {message}.") from error
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
    pool = _distinct([*certificates, *anchors])
    if not pool:
        raise ChainError("There is no certificate here.")
    if len(pool) > MAX_CERTIFICATES:
        raise ChainError(f"There are {len(pool)} certificates here; a chain is made from at most {MAX_CERTIFICATES}.")
    start = leaf if leaf is not None else _find_leaf([c for c in pool if c not in anchors] or pool)
    issuers = {c: [i for i in pool if i != c and signed_by(c, i)] for c in pool}
    issuers.setdefault(start, [i for i in pool if i != start and signed_by(start, i)])
    paths = list(_paths(start, issuers))
    ended = [path for path in paths if path[-1] in anchors or signed_by(path[-1], path[-1])]
    if not ended:
        best = max(paths, key=len)
        if complete or (len(best) == 1 and len(pool) > 1):
            top = best[-1]
            raise ChainError(
                f"A link is missing: no certificate here signed {name_of(top)!r}; "
                f"add the certificate of {top.issuer.rfc4514_string()!r}."
            )
        return Chain(tuple(best))
    return Chain(tuple(min(ended, key=len)))


def _distinct(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    return list(dict.fromkeys(certificates))


def _find_leaf(pool: list[x509.Certificate]) -> x509.Certificate:
    candidates = [c for c in pool if not any(s != c and signed_by(s, c) for s in pool)]
    if len(candidates) > 1:
        candidates = [c for c in candidates if not is_authority(c)] or candidates
    if len(candidates) > 1:
        names = ", ".join(repr(name_of(c)) for c in candidates)
        raise ChainError(f"There is more than one certificate here that signed no other: {names}; name the leaf.")
    # No candidate: every certificate signed another, as two cross-signed authorities do.
    return candidates[0] if candidates else pool[0]


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basicConstraints says CA (RFC 5280 §4.2.1.9); unreadable extensions say no."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, KeyError, TypeError):
        return False


def _paths(
    start: x509.Certificate, issuers: dict[x509.Certificate, list[x509.Certificate]]
) -> Iterator[list[x509.Certificate]]:
    """Paths from `start` upwards that visit no certificate, and no key with its name, twice; breadth first."""
    queue = [[start]]
    steps = 0
    while queue and steps < MAX_CERTIFICATES * MAX_CERTIFICATES:
        steps += 1
        path = queue.pop(0)
        above = [i for i in issuers[path[-1]] if not any(_same_entity(i, c) for c in path)]
        if not above:
            yield path
        elif signed_by(path[-1], path[-1]):
            yield path
        queue.extend([*path, issuer] for issuer in above)


def _same_entity(one: x509.Certificate, other: x509.Certificate) -> bool:
    return one.subject == other.subject and one.public_key() == other.public_key()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """A PEM bundle of these certificates, in this order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
