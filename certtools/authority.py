"""A certificate authority in memory: roots, intermediates, leaves, OCSP signers, signed requests, at given times."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certtools.chain import Chain, name_of, to_pem
from certtools.drawing import serial_number as draw_serial_number
from certtools.extensions import find_extension
from certtools.feature import Feature, extension, not_inherited, read_features
from certtools.keys import KeyKind, PrivateKey, generate_key, key_to_pem, signature_hash
from certtools.names import as_text, general_names
from certtools.profile import Profile, leaf_profile, sign_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

MUST_STAPLE: Final = (int(Feature.STATUS_REQUEST),)
OCSP_SIGNER_LIFETIME: Final = timedelta(days=14)  # short, because id-pkix-ocsp-nocheck forgoes its revocation
MAX_COMMON_NAME: Final = 64  # characters; RFC 5280 App. A, ub-common-name


class AuthorityError(ValueError):
    """What was asked cannot be issued; the text says why."""


class FromRequest(enum.Enum):
    """Says that a request's own TLS Feature list is to be taken (None says: no extension at all)."""

    FEATURES = "features"


@dataclass(frozen=True)
class Signed:
    """A certificate with the path above it: `chain` is leaf first, up to and including the root."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    def chain_pem(self, *, root: bool = False) -> bytes:
        """The chain as PEM, leaf first, as a TLS server wants it: without the root unless asked for."""
        return to_pem(self.chain if root or len(self.chain) == 1 else self.chain[:-1])

    def as_chain(self) -> Chain:
        """The same certificates as a `Chain`."""
        return Chain(self.chain)


@dataclass(frozen=True)
class Issued(Signed):
    """A certificate with its path and its private key."""

    key: PrivateKey

    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS#8 PEM."""
        return key_to_pem(self.key)


@dataclass(frozen=True)
class Authority:
    """A CA certificate, its private key, and the CA above it (None for a root).

        root = Authority.root("test root", not_before=start, not_after=end)
        leaf = root.intermediate("test CA").leaf(["localhost"])

    Times are aware UTC, to the second. A child's validity defaults to its parent's and never exceeds it.
    Every method that issues raises AuthorityError for a validity that is empty, NamingError for unusable names
    and KeyKindError for an unknown kind of key. `serial_number` is random (159 bits) unless given.
    """

    certificate: x509.Certificate
    key: PrivateKey
    parent: Authority | None = None

    @property
    def path(self) -> tuple[x509.Certificate, ...]:
        """The CA's certificate and those above it, up to the root."""
        return (self.certificate, *(self.parent.path if self.parent is not None else ()))

    def as_chain(self) -> Chain:
        """`path` as a `Chain`."""
        return Chain(self.path)

    @classmethod
    def root(
        cls,
        name: str | x509.Name = "mustaple test root",
        *,
        not_before: datetime,
        not_after: datetime,
        key: PrivateKey | KeyKind | str = KeyKind.EC_P256,
        features: Sequence[int] | None = None,
        path_length: int | None = None,
        serial_number: int | None = None,
    ) -> Authority:
        """A self-signed root."""
        key = _key(key)
        profile = Profile(features=features, ca=True, path_length=path_length)
        builder = _builder(_subject(name), key.public_key(), not_before, not_after, serial_number)
        certificate = sign_certificate(builder.issuer_name(_subject(name)), key.public_key(), profile, key)
        return cls(certificate, key)

    def intermediate(
        self,
        name: str | x509.Name = "mustaple test CA",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: PrivateKey | KeyKind | str = KeyKind.EC_P256,
        features: Sequence[int] | None = None,
        path_length: int | None = None,
        ocsp_urls: Sequence[str] = (),
        crl_urls: Sequence[str] = (),
        serial_number: int | None = None,
    ) -> Authority:
        """A CA below this one. The URLs are where *its own* status is told, so they belong to this CA's responder."""
        key = _key(key)
        profile = Profile(features=features, ca=True, path_length=path_length, ocsp_urls=ocsp_urls, crl_urls=crl_urls)
        builder = self._builder(_subject(name), key.public_key(), not_before, not_after, serial_number)
        return Authority(sign_certificate(builder, key.public_key(), profile, self.key, self.certificate), key, self)

    def leaf(
        self,
        names: Iterable[str],
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: PrivateKey | KeyKind | str = KeyKind.EC_P256,
        features: Sequence[int] | None = MUST_STAPLE,
        ocsp_urls: Sequence[str] = (),
        crl_urls: Sequence[str] = (),
        client_auth: bool = True,
        serial_number: int | None = None,
    ) -> Issued:
        """An end-entity certificate for these DNS names, IP addresses and e-mail addresses.

        `features` is its TLS Feature list (RFC 7633): any integers, `()` for an empty list, None for no extension.
        """
        key = _key(key)
        profile = leaf_profile(features, ocsp_urls, crl_urls, client_auth=client_auth)
        certificate = self._end_entity(
            general_names(names), key.public_key(), profile, (not_before, not_after), serial_number
        )
        return Issued(certificate, (certificate, *self.path), key)

    def sign_csr(
        self,
        csr: x509.CertificateSigningRequest,
        *,
        names: Iterable[str] | None = None,
        features: Sequence[int] | FromRequest | None = FromRequest.FEATURES,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        ocsp_urls: Sequence[str] = (),
        crl_urls: Sequence[str] = (),
        client_auth: bool = True,
        serial_number: int | None = None,
    ) -> Signed:
        """A certificate for the request's key, its subject alternative names and its TLS Feature list.

        `names` and `features` override the request's; nothing else in it is heeded. Raises AuthorityError where
        the request's signature is wrong (its sender does not hold the key) or it names nothing, FeatureError
        where its TLS Feature extension is malformed.
        """
        if not csr.is_signature_valid:
            raise AuthorityError("The request's signature is wrong, so its sender does not hold the key.")
        if isinstance(features, FromRequest):
            features = read_features(csr)
        wanted = general_names(names) if names is not None else requested_names(csr)
        public_key = csr.public_key()
        profile = leaf_profile(features, ocsp_urls, crl_urls, client_auth=client_auth)
        certificate = self._end_entity(wanted, public_key, profile, (not_before, not_after), serial_number)
        return Signed(certificate, (certificate, *self.path))

    def ocsp_signer(
        self,
        name: str | None = None,
        *,
        not_before: datetime,
        not_after: datetime | None = None,
        key: PrivateKey | KeyKind | str = KeyKind.EC_P256,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.OCSP_SIGNING,),
        nocheck: bool = True,
        digital_signature: bool = True,
        features: Sequence[int] | None = None,
        serial_number: int | None = None,
    ) -> Issued:
        """A delegated responder for this CA's certificates (RFC 6960 §4.2.2.2), 14 days long unless told otherwise.

        It carries id-kp-OCSPSigning and id-pkix-ocsp-nocheck (§4.2.2.2.1); `purposes`, `nocheck` and
        `digital_signature` (keyUsage) take them away, for those who test that a client minds.
        """
        key = _key(key)
        profile = Profile(
            features=features, purposes=tuple(purposes), nocheck=nocheck, digital_signature=digital_signature
        )
        not_after = not_after if not_after is not None else not_before + OCSP_SIGNER_LIFETIME
        subject = _subject(name if name is not None else f"{_common_name(self.certificate)} OCSP"[:MAX_COMMON_NAME])
        builder = self._builder(subject, key.public_key(), not_before, not_after, serial_number)
        certificate = sign_certificate(builder, key.public_key(), profile, self.key, self.certificate)
        return Issued(certificate, (certificate, *self.path), key)

    def _end_entity(
        self,
        names: tuple[x509.GeneralName, ...],
        public_key: CertificatePublicKeyTypes,
        profile: Profile,
        validity: tuple[datetime | None, datetime | None],
        serial_number: int | None,
    ) -> x509.Certificate:
        first = str(names[0].value)
        # A first name too long for a common name leaves the subject empty, and then the SAN is critical
        # (RFC 5280 §4.2.1.6).
        subject = _subject(first) if len(first) <= MAX_COMMON_NAME else x509.Name([])
        builder = self._builder(subject, public_key, *validity, serial_number)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        return sign_certificate(builder, public_key, profile, self.key, self.certificate)

    def _builder(
        self,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        not_before: datetime | None,
        not_after: datetime | None,
        serial_number: int | None,
    ) -> x509.CertificateBuilder:
        """A builder with this CA as the issuer and the validity clipped to this CA's."""
        own = self.certificate
        start = max(_utc(not_before), own.not_valid_before_utc) if not_before else own.not_valid_before_utc
        end = min(_utc(not_after), own.not_valid_after_utc) if not_after else own.not_valid_after_utc
        if start > end:
            raise AuthorityError(
                f"{name_of(own)} is valid from {own.not_valid_before_utc:%Y-%m-%d %H:%M} "
                f"to {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, so nothing it issues can be valid then."
            )
        return _builder(subject, public_key, start, end, serial_number).issuer_name(own.subject)


def must_staple_csr(
    names: Iterable[str], key: PrivateKey, features: Sequence[int] | None = MUST_STAPLE
) -> x509.CertificateSigningRequest:
    """A request for these names with a TLS Feature extension (RFC 7633 §4.2.1 lets a requester ask for it).

    Raises NamingError for names that cannot stand in a certificate.
    """
    wanted = general_names(names)
    first = str(wanted[0].value)
    subject = _subject(first) if len(first) <= MAX_COMMON_NAME else x509.Name([])
    builder = x509.CertificateSigningRequestBuilder(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(wanted), critical=not list(subject))
    if features is not None:
        builder = builder.add_extension(extension(features), critical=False)
    return builder.sign(key, signature_hash(key))


def requested_names(csr: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    """The subject alternative names a request asks for, read even where `cryptography` cannot parse its extensions.

    Raises AuthorityError where it asks for none, NamingError for kinds of name that are not issued.
    """
    wanted = find_extension(csr, x509.SubjectAlternativeName)
    if wanted is None:
        raise AuthorityError("The request asks for no readable subject alternative name; give the names yourself.")
    # Each through the door that typed names take, so that a request cannot smuggle in what one may not type.
    return general_names(map(as_text, wanted))


def feature_warnings(features: Sequence[int] | None, issuer_features: Sequence[int] | None = None) -> list[str]:
    """Sentences about a TLS Feature list that will not do what its owner hopes; none for `[5]` and for None."""
    warnings = []
    if features is not None and set(features) != set(MUST_STAPLE):
        warnings.append(
            f"Firefox refuses every certificate whose TLS Feature list holds anything but 5, or nothing, and this one "
            f"is {list(features)}: its verifier knows no other value, though RFC 7633 §4.1 allows any."
        )
    missing = not_inherited(
        tuple(issuer_features) if issuer_features is not None else None,
        tuple(features) if features is not None else None,
    )
    if missing:
        warnings.append(
            f"The issuing CA's TLS Feature list has {sorted(missing)}, which this certificate lacks: "
            "a client that keeps RFC 7633 §4.2.2 refuses it."
        )
    return warnings


def _key(key: PrivateKey | KeyKind | str) -> PrivateKey:
    return generate_key(key) if isinstance(key, str) else key


def _subject(name: str | x509.Name) -> x509.Name:
    if isinstance(name, x509.Name):
        return name
    if not 0 < len(name) <= MAX_COMMON_NAME:
        raise AuthorityError(f"A common name has 1 to {MAX_COMMON_NAME} characters; {name[:80]!r} has {len(name)}.")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else "CA"


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise AuthorityError(f"The time {moment.isoformat()} says no time zone; give an aware datetime.")
    return moment.astimezone(UTC).replace(microsecond=0)


def _builder(
    subject: x509.Name,
    public_key: CertificatePublicKeyTypes,
    not_before: datetime,
    not_after: datetime,
    serial_number: int | None,
) -> x509.CertificateBuilder:
    start, end = _utc(not_before), _utc(not_after)
    if start > end:
        raise AuthorityError(f"It would expire ({end:%Y-%m-%d %H:%M}) before it begins ({start:%Y-%m-%d %H:%M}).")
    if start.year < 1950:
        raise AuthorityError(f"No certificate begins before 1950, as on {start:%Y-%m-%d} (RFC 5280 §4.1.2.5).")
    serial = serial_number if serial_number is not None else draw_serial_number()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )
