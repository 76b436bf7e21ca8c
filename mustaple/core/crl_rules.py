"""The rules of RFC 5280 §5 and §6.3.3 for one CRL: each check returns why it fails, or None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID

from certtools.chain import is_authority, name_of
from certtools.extensions import find_extension
from mustaple.core.policy import NoNextUpdate, WeakSignature
from mustaple.core.signature import Strength, strength
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mustaple.core.crl_case import CrlCase

ValueT = TypeVar("ValueT", bound=x509.ExtensionType)

MIN_RSA_BITS: Final = 2048
# Extensions that may be critical: they are looked at here, or do not change what the CRL says of a certificate:
# authorityKeyIdentifier, issuerAltName, cRLNumber, freshestCRL, authorityInfoAccess (RFC 5280 §5.2).
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.ISSUER_ALTERNATIVE_NAME,
        ExtensionOID.CRL_NUMBER,
        ExtensionOID.DELTA_CRL_INDICATOR,
        ExtensionOID.ISSUING_DISTRIBUTION_POINT,
        ExtensionOID.FRESHEST_CRL,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    }
)


def _check_issuer(case: CrlCase) -> Reason | None:
    """The CRL is the issuer's own (§6.3.3 (b)): its name is that of the certificate's issuer."""
    issuer = case.crl.issuer
    if issuer != case.issuer:
        said = f"it is the CRL of {issuer.rfc4514_string() or 'nobody'}, not of {name_of(case.link.issuer)}"
        return Reason(Code.CRL_ISSUER, said)
    return None


def _check_signature(case: CrlCase) -> Reason | None:
    """The issuer's key signed it (§6.3.3 (g))."""
    if not case.crl.signed_by(case.link.issuer):
        return Reason(Code.CRL_BAD_SIGNATURE, f"the key of {name_of(case.link.issuer)} did not make its signature")
    return None


def _check_signature_algorithm(case: CrlCase) -> Reason | None:
    """No signature that can be forged: SHA-1 by policy, MD5 and short RSA keys never."""
    found = strength(case.crl.read)
    sha1_may_serve = case.rules.weak_signature is WeakSignature.ALLOW_SHA1
    if found is Strength.BROKEN or (found is Strength.SHA1 and not sha1_may_serve):
        return Reason(Code.CRL_WEAK_SIGNATURE, f"it is signed with {_algorithm(case.crl.read)}")
    short = _key_too_short(case)
    return Reason(Code.CRL_WEAK_SIGNATURE, f"it is signed with an RSA key of {short} bits") if short else None


def _key_too_short(case: CrlCase) -> int:
    """The bits of the issuer's RSA key where they are too few, otherwise 0."""
    try:
        key = case.link.issuer.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return 0  # a key that cannot be read signed nothing, and that is said already
    return key.key_size if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS else 0


def excusable(case: CrlCase) -> frozenset[Code]:
    """The codes of those faults of this case that some policy's rules would excuse, times apart."""
    if strength(case.crl.read) is not Strength.SHA1 or _key_too_short(case):
        return frozenset({Code.CRL_NO_NEXT_UPDATE})
    return frozenset({Code.CRL_NO_NEXT_UPDATE, Code.CRL_WEAK_SIGNATURE})


def _algorithm(read: x509.CertificateRevocationList) -> str:
    """The hash that was signed, or the OID of an algorithm that is not known here."""
    try:
        algorithm = read.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    return algorithm.name.upper() if algorithm is not None else read.signature_algorithm_oid.dotted_string


def _check_key_usage(case: CrlCase) -> Reason | None:
    """The issuer may sign CRLs (§6.3.3 (f), as RFC 10007 reads it: a v3 certificate must say so)."""
    issuer = case.link.issuer
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is None:
        if issuer.version is x509.Version.v3:
            return Reason(Code.CRL_SIGN, f"{name_of(issuer)} has no key usage, and so not cRLSign")
        return None
    return None if usage.crl_sign else Reason(Code.CRL_SIGN, f"the key usage of {name_of(issuer)} lacks cRLSign")


def _check_complete(case: CrlCase) -> Reason | None:
    """It is no delta CRL: what has not changed since another CRL is not on it (§5.2.4)."""
    if _extension(case, x509.DeltaCRLIndicator) is not None:
        return Reason(Code.CRL_DELTA, "it is a delta CRL, which says only what has changed since another one")
    return None


def _check_direct(case: CrlCase) -> Reason | None:
    """It is no indirect CRL: with those, a serial number alone does not name a certificate (§5.2.5, §5.3.3)."""
    scope = _scope(case)
    if scope is not None and scope.indirect_crl:
        return Reason(Code.CRL_INDIRECT, "it is an indirect CRL, whose entries may be other CAs'")
    entry = case.crl.critical_entry_extension
    if entry is not None and entry[1]:
        return Reason(Code.CRL_INDIRECT, "an entry names its certificate's issuer, as in an indirect CRL")
    return None


def _check_kind(case: CrlCase) -> Reason | None:
    """It covers certificates of this kind (§6.3.3 (b) (2) (ii) to (iv))."""
    scope = _scope(case)
    if scope is None:
        return None
    authority = is_authority(case.link.subject)
    if scope.only_contains_attribute_certs:
        return Reason(Code.CRL_SCOPE, "it covers attribute certificates only")
    if scope.only_contains_user_certs and authority:
        return Reason(Code.CRL_SCOPE, "it covers end-entity certificates only, and this is a CA's")
    if scope.only_contains_ca_certs and not authority:
        return Reason(Code.CRL_SCOPE, "it covers CA certificates only, and this is none")
    return None


def _check_distribution_point(case: CrlCase) -> Reason | None:
    """If it covers one distribution point only, that is one that the certificate names (§6.3.3 (b) (2) (i))."""
    scope = _scope(case)
    if scope is None:
        return None
    own = _names(scope.full_name, scope.relative_name, case)
    if own is None or own & {name for point in _points(case) for name in _names_of(point, case)}:
        return None
    first = next((str(name.value) for name in own if isinstance(name, x509.UniformResourceIdentifier)), "another place")
    return Reason(Code.CRL_OTHER_POINT, f"it covers certificates of {first} only, where this one does not point")


def _check_reasons(case: CrlCase) -> Reason | None:
    """It covers every reason to revoke (§6.3.3 (d)): who is not on it is then not revoked."""
    scope = _scope(case)
    if scope is None:
        return None
    if scope.only_some_reasons is not None:
        covered = ", ".join(sorted(reason.value for reason in scope.only_some_reasons)) or "no reason"
        return Reason(Code.CRL_REASONS, f"it covers {covered} only")
    own = _names(scope.full_name, scope.relative_name, case)
    meant = [point for point in _points(case) if own is not None and own & set(_names_of(point, case))]
    if meant and all(point.reasons is not None for point in meant):
        return Reason(Code.CRL_REASONS, "the certificate points to it for some reasons only")
    return None


def _check_critical_extensions(case: CrlCase) -> Reason | None:
    """A critical extension that is not understood forbids to use the CRL (§5.2)."""
    for extension in case.crl.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            oid = extension.oid.dotted_string
            return Reason(Code.CRL_CRITICAL_EXTENSION, f"the extension {oid} is critical and unknown here")
    return None


def _check_critical_entry_extensions(case: CrlCase) -> Reason | None:
    """So does one of any entry, for any certificate (§5.3)."""
    entry = case.crl.critical_entry_extension
    if entry is not None and not entry[1]:
        return Reason(Code.CRL_CRITICAL_ENTRY, f"an entry's extension {entry[0]} is critical and unknown here")
    return None


def _check_not_removed(case: CrlCase) -> Reason | None:
    """An entry that takes a revocation back belongs into delta CRLs alone (§5.3.1)."""
    if case.entry is not None and case.entry.reason is x509.ReasonFlags.remove_from_crl:
        return Reason(
            Code.CRL_REMOVED, "its entry for this certificate takes a revocation back, as only a delta CRL may"
        )
    return None


def _check_window(case: CrlCase) -> Reason | None:
    crl = case.crl
    if crl.next_update is None or crl.next_update >= crl.this_update:
        return None
    said = f"nextUpdate {_when(crl.next_update)} precedes thisUpdate {_when(crl.this_update)}"
    return Reason(Code.CRL_INVERTED_WINDOW, said)


def _check_next_update_present(case: CrlCase) -> Reason | None:
    if case.crl.next_update is None and case.rules.no_next_update is NoNextUpdate.REFUSE:
        return Reason(Code.CRL_NO_NEXT_UPDATE, "it says no nextUpdate, so nobody can tell when it is stale")
    return None


def _check_this_update(case: CrlCase, at: datetime) -> Reason | None:
    if case.crl.this_update > at + case.rules.skew:
        return Reason(Code.CRL_NOT_YET_VALID, f"thisUpdate is {_when(case.crl.this_update)}, after {_when(at)}")
    return None


def _check_next_update(case: CrlCase, at: datetime) -> Reason | None:
    if case.crl.next_update is not None and case.crl.next_update < at - case.rules.skew:
        return Reason(Code.CRL_EXPIRED, f"nextUpdate was {_when(case.crl.next_update)}, before {_when(at)}")
    return None


def _check_age(case: CrlCase, at: datetime) -> Reason | None:
    age = at - case.crl.this_update
    if age > case.rules.max_age + case.rules.skew:
        return Reason(Code.CRL_TOO_OLD, f"it is {age.days} days old, where {case.rules.max_age.days} are allowed")
    return None


# All of them run on every CRL: those that time does not change once for each case, those of its age each time.
CHECKS: Final[tuple[Callable[[CrlCase], Reason | None], ...]] = (
    _check_issuer,
    _check_signature,
    _check_signature_algorithm,
    _check_key_usage,
    _check_complete,
    _check_direct,
    _check_kind,
    _check_distribution_point,
    _check_reasons,
    _check_critical_extensions,
    _check_critical_entry_extensions,
    _check_not_removed,
    _check_window,
    _check_next_update_present,
)
CHECKS_OF_AGE: Final[tuple[Callable[[CrlCase, datetime], Reason | None], ...]] = (
    _check_this_update,
    _check_next_update,
    _check_age,
)


def standing_faults(case: CrlCase) -> tuple[Reason, ...]:
    """Why this CRL is not to be believed for this certificate, at whatever time."""
    return tuple([reason for check in CHECKS if (reason := check(case)) is not None])


def faults_at(case: CrlCase, at: datetime) -> list[Reason]:
    """Why it is not to be believed at this time (aware UTC)."""
    of_age = [reason for check in CHECKS_OF_AGE if (reason := check(case, at)) is not None]
    return [*case.faults, *of_age]


def _extension(case: CrlCase, kind: type[ValueT]) -> ValueT | None:
    """The CRL's extension of this class; None where it has none."""
    for extension in case.crl.extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None


def _scope(case: CrlCase) -> x509.IssuingDistributionPoint | None:
    return _extension(case, x509.IssuingDistributionPoint)


def _points(case: CrlCase) -> list[x509.DistributionPoint]:
    """The certificate's distribution points for CRLs of its own issuer; those of a cRLIssuer hold indirect CRLs."""
    points = find_extension(case.link.subject, x509.CRLDistributionPoints) or ()
    return [
        point for point in points if not point.crl_issuer or any(name.value == case.issuer for name in point.crl_issuer)
    ]


def _names_of(point: x509.DistributionPoint, case: CrlCase) -> set[x509.GeneralName]:
    return _names(point.full_name, point.relative_name, case) or set(point.crl_issuer or ())


def _names(
    full: list[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None, case: CrlCase
) -> set[x509.GeneralName] | None:
    """The names of a distribution point, a relative one made whole with its issuer's (§4.2.1.13); None for none."""
    if relative is not None:
        above = case.issuer.rdns if case.issuer is not None else ()
        return {x509.DirectoryName(x509.Name([*above, relative]))}
    return None if full is None else set(full)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
