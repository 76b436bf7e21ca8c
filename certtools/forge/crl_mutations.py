"""Every way a CRL can be wrong, by name: each mutation is the honest CRL with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from asn1crypto.core import Null, OctetString, UTCTime
from asn1crypto.crl import CertificateList, TbsCertList
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certtools.authority import Authority
from certtools.forge.crl import AGE, LIFETIME, Revoked, crl
from certtools.forge.scene import DAY, HTML, NOISE, PADDING, UNKNOWN_OID
from certtools.forge.signing import sign_bytes

if TYPE_CHECKING:
    from certtools.chain import Link


@dataclass(frozen=True, kw_only=True)
class CrlScene:
    """What a CRL mutation needs: the link asked about, the CA that issued it, an authority nobody trusts, the time.

    `revoked` are the entries of the honest CRL; `link` is not among them. `number` is its cRLNumber.
    """

    link: Link
    issuer: Authority
    rogue: Authority
    at: datetime
    revoked: tuple[Revoked, ...] = ()
    number: int = 7

    def crl(self, *revoked: Revoked, signer: Authority | None = None, **said: Any) -> bytes:
        """A CRL with these entries too; `said` are arguments of `forge.crl` that differ."""
        honest: dict[str, Any] = {
            "this_update": self.at - AGE,
            "next_update": self.at - AGE + LIFETIME,
            "number": self.number,
        }
        return crl(signer or self.issuer, (*self.revoked, *revoked), **(honest | said))

    def entry(self, reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise) -> Revoked:
        """The entry that revokes `link`'s certificate two days ago."""
        return Revoked(self.link.serial_number, self.at - 2 * DAY, reason)


CrlMutation: TypeAlias = Callable[[CrlScene], bytes]


def honest_crl(scene: CrlScene) -> bytes:
    """The CRL that every mutation starts from: complete, fresh, and the certificate is not on it."""
    return scene.crl()


def expired(scene: CrlScene) -> bytes:
    """Its nextUpdate was a day ago."""
    return scene.crl(this_update=scene.at - 8 * DAY, next_update=scene.at - DAY)


def not_yet_valid(scene: CrlScene) -> bytes:
    """Its thisUpdate is tomorrow."""
    return scene.crl(this_update=scene.at + DAY, next_update=scene.at + 8 * DAY)


def too_old(scene: CrlScene) -> bytes:
    """It is 60 days old, though its nextUpdate is yet to come."""
    return scene.crl(this_update=scene.at - 60 * DAY)


def inverted_window(scene: CrlScene) -> bytes:
    """Its nextUpdate precedes its thisUpdate, by so little that each alone would pass for a clock that is off."""
    little = timedelta(seconds=20)
    tbs = _tbs(scene)
    tbs["this_update"] = UTCTime(scene.at + little)
    tbs["next_update"] = UTCTime(scene.at - little)
    return _signed(tbs, scene)


def no_next_update(scene: CrlScene) -> bytes:
    """It names no nextUpdate, which RFC 5280 §5.1.2.5 forbids."""
    tbs = _tbs(scene)
    del tbs["next_update"]
    return _signed(tbs, scene)


def bad_signature(scene: CrlScene) -> bytes:
    """One bit of its signature is flipped."""
    whole = CertificateList.load(scene.crl())
    signature = whole["signature"].native
    whole["signature"] = signature[:-1] + bytes([signature[-1] ^ 1])
    return bytes(whole.dump())


def forged_signature(scene: CrlScene) -> bytes:
    """A stranger's key signed it under the issuer's name."""
    return scene.crl(signer=Authority(scene.issuer.certificate, scene.rogue.key))


def other_issuer(scene: CrlScene) -> bytes:
    """It is another CA's own, honestly signed."""
    return scene.crl(signer=scene.rogue)


def sha1_signature(scene: CrlScene) -> bytes:
    """It is signed with SHA-1; ValueError where the CA's key takes no hash of one's choice."""
    return _signed(_tbs(scene), scene, hashes.SHA1())


def delta(scene: CrlScene) -> bytes:
    """It is a delta CRL: only what changed since another one (RFC 5280 §5.2.4)."""
    return scene.crl(extensions=[(x509.DeltaCRLIndicator(scene.number - 1), True)])


def indirect(scene: CrlScene) -> bytes:
    """It is an indirect CRL, whose entries may be other CAs' (RFC 5280 §5.2.5)."""
    return scene.crl(extensions=[(_distribution_point(indirect_crl=True), True)])


def only_authorities(scene: CrlScene) -> bytes:
    """It covers CA certificates only."""
    return scene.crl(extensions=[(_distribution_point(only_contains_ca_certs=True), True)])


def only_users(scene: CrlScene) -> bytes:
    """It covers end-entity certificates only."""
    return scene.crl(extensions=[(_distribution_point(only_contains_user_certs=True), True)])


def only_some_reasons(scene: CrlScene) -> bytes:
    """It covers only key compromise."""
    reasons = frozenset([x509.ReasonFlags.key_compromise])
    return scene.crl(extensions=[(_distribution_point(only_some_reasons=reasons), True)])


def other_distribution_point(scene: CrlScene) -> bytes:
    """It covers the certificates of a distribution point that this certificate does not name."""
    elsewhere = [x509.UniformResourceIdentifier("http://127.0.0.1:9/shard-of-another.crl")]
    return scene.crl(extensions=[(_distribution_point(full_name=elsewhere), True)])


def critical_extension(scene: CrlScene) -> bytes:
    """It has a critical extension that nobody knows."""
    return scene.crl(extensions=[(_UNKNOWN, True)])


def critical_entry_extension(scene: CrlScene) -> bytes:
    """The entry of another certificate has a critical extension that nobody knows, so none of it may be used."""
    strange = Revoked(scene.link.serial_number ^ 1, scene.at - 2 * DAY, extensions=((_UNKNOWN, True),))
    return scene.crl(strange)


def revoked(scene: CrlScene) -> bytes:
    """The certificate is on it, for key compromise, two days ago."""
    return scene.crl(scene.entry())


def revoked_on_hold(scene: CrlScene) -> bytes:
    """The certificate is on it with the reason certificateHold."""
    return scene.crl(scene.entry(x509.ReasonFlags.certificate_hold))


def revoked_expired(scene: CrlScene) -> bytes:
    """The certificate is on it, and its nextUpdate was a day ago."""
    return scene.crl(scene.entry(), this_update=scene.at - 8 * DAY, next_update=scene.at - DAY)


def trailing_bytes(scene: CrlScene) -> bytes:
    """A byte follows it."""
    return scene.crl() + b"\0"


def truncated(scene: CrlScene) -> bytes:
    """Its last ten bytes are missing."""
    return scene.crl()[:-10]


def garbage(_scene: CrlScene) -> bytes:
    """It is noise."""
    return NOISE


def empty(_scene: CrlScene) -> bytes:
    """There is not one byte."""
    return b""


def html(_scene: CrlScene) -> bytes:
    """A captive portal's page came instead."""
    return HTML


def oversized(scene: CrlScene) -> bytes:
    """It is honest but for 3 MiB of padding in an extension."""
    padding = x509.UnrecognizedExtension(_UNKNOWN.oid, OctetString(bytes(PADDING)).dump())
    return scene.crl(extensions=[(padding, False)])


_UNKNOWN: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier(UNKNOWN_OID), Null().dump())


def _distribution_point(**said: Any) -> x509.IssuingDistributionPoint:
    nothing: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(nothing | said))


def _tbs(scene: CrlScene) -> TbsCertList:
    """What the honest CRL signs, as asn1crypto holds it, to be changed and signed anew."""
    return TbsCertList.load(CertificateList.load(scene.crl())["tbs_cert_list"].dump())


def _signed(tbs: TbsCertList, scene: CrlScene, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    key = scene.issuer.key
    # The algorithm stands inside what is signed, too (RFC 5280 §5.1.1.2), so ask for it first.
    tbs["signature"] = sign_bytes(b"", key, algorithm)[0]
    identifier, signature = sign_bytes(tbs.dump(), key, algorithm)
    whole = CertificateList({"tbs_cert_list": tbs, "signature_algorithm": identifier, "signature": signature})
    return bytes(whole.dump())


CRL_MUTATIONS: Final[Mapping[str, CrlMutation]] = MappingProxyType(
    {
        mutation.__name__.replace("_", "-"): mutation
        for mutation in (
            expired,
            not_yet_valid,
            too_old,
            inverted_window,
            no_next_update,
            bad_signature,
            forged_signature,
            other_issuer,
            sha1_signature,
            delta,
            indirect,
            only_authorities,
            only_users,
            only_some_reasons,
            other_distribution_point,
            critical_extension,
            critical_entry_extension,
            revoked,
            revoked_on_hold,
            revoked_expired,
            trailing_bytes,
            truncated,
            garbage,
            empty,
            html,
            oversized,
        )
    }
)
