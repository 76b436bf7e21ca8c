"""CRLs, which a client fetches where nothing is stapled and no OCSP responder answers; `hard-fail` alone does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto.core import OctetString
from asn1crypto.crl import CertificateList
from cryptography import x509

from certtools.authority import Authority
from certtools.drawing import ecdsa_deterministic
from certtools.forge import Revoked
from certtools.forge.scene import UNKNOWN_OID
from certtools.keys import KeyKind, signature_hash
from mustaple.lab.cases.model import Importance, case, noted
from mustaple.lab.cases.world import DAY

if TYPE_CHECKING:
    from mustaple.lab.cases.model import Expected
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import Site, World

_CERTIFICATES_ALONE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _fetched(hard_fail: str | None = None, before: str = "unreachable") -> dict[str, Any]:
    """What to expect where the leaf promised nothing, nothing is stapled, and OCSP says what is in `before`."""
    seen: dict[str, Expected | str] = {"soft_fail": noted(before), "must_staple": noted(before), "strict": "no-staple"}
    return seen if hard_fail is None else seen | {"hard_fail": hard_fail}


def _with(site: Site, crl: bytes, ocsp: bytes | None = None) -> Setup:
    """Nothing is stapled, the responder says this or nothing, and this is the CRL of the leaf's CA."""
    return site.served(None, None, ocsp=[ocsp], crls=[crl])


@case("RFC5280-6.3.3-1")
def not_needed(world: World) -> Setup:
    """Every staple is good, and so are the CRLs that nobody needs then."""
    return world.site.served(crls=[world.site.good_crl(), world.site.good_crl(1)])


@case("RFC5280-6.3.3-1", **_fetched())
def good(world: World) -> Setup:
    """The CRL is fresh, and the certificate is not on it."""
    return _with(world.unbound, world.unbound.good_crl())


@case("RFC5280-6.3.3-8", **_fetched("revoked"))
def revoked(world: World) -> Setup:
    """The certificate is on the CRL, for key compromise."""
    return _with(world.unbound, world.unbound.forged_crl("revoked"))


@case("RFC5280-6.3.3-8", **_fetched("revoked"))
def on_hold(world: World) -> Setup:
    """The certificate is on the CRL with the reason certificateHold."""
    return _with(world.unbound, world.unbound.forged_crl("revoked-on-hold"))


@case("RFC5280-6.3.3-8", **_fetched("revoked"))
def revoked_and_expired(world: World) -> Setup:
    """The certificate is on a CRL that ran out yesterday."""
    return _with(world.unbound, world.unbound.forged_crl("revoked-expired"))


@case("RFC5280-6.3.3-8", importance=Importance.SHOULD, **_fetched("crl-expired"))
def hold_and_expired(world: World) -> Setup:
    """The certificate is on hold on a CRL that ran out yesterday: the hold may have been lifted."""
    site, at = world.unbound, world.at
    hold = Revoked(site.links[0].serial_number, at - 5 * DAY, x509.ReasonFlags.certificate_hold)
    return _with(site, site.crl(hold, this_update=at - 8 * DAY, next_update=at - DAY))


@case("RFC5280-6.3.3-1", importance=Importance.SHOULD, **_fetched())
def among_a_thousand(world: World) -> Setup:
    """A thousand certificates are on the CRL, and this one is not."""
    return _with(world.unbound, world.unbound.crl(*_crowd(world)))


@case("RFC5280-6.3.3-8", **_fetched("revoked"))
def revoked_among_a_thousand(world: World) -> Setup:
    """A thousand certificates are on the CRL, and this one is the last."""
    site = world.unbound
    own = Revoked(site.links[0].serial_number, world.at - DAY)
    return _with(site, site.crl(*_crowd(world), own))


@case("RFC5280-6.3.3-1", **_fetched(before="unknown"))
def good_where_ocsp_says_unknown(world: World) -> Setup:
    """The responder does not know the certificate, and the CRL is fresh and does not hold it."""
    site = world.unbound
    return _with(site, site.good_crl(), site.forged("unknown"))


@case("RFC5280-6.3.3-8", **_fetched("revoked", before="error-status"))
def revoked_where_ocsp_says_try_later(world: World) -> Setup:
    """The responder says tryLater, and the certificate is on the CRL."""
    site = world.unbound
    return _with(site, site.forged_crl("revoked"), site.forged("try-later"))


@case(
    "RFC7633-4.3.3-1",
    "RFC5280-6.3.3-1",
    soft_fail=noted("unreachable"),
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def keeps_no_promise(world: World) -> Setup:
    """The leaf promises a staple and has none. The CRL is good, and is no staple."""
    return _with(world.site, world.site.good_crl())


# --- whose it is


@case("RFC5280-6.3.3-2", "RFC5280-6.3.3-3", **_fetched("crl-bad-signature"))
def of_another(world: World) -> Setup:
    """It is another CA's CRL, honestly signed."""
    return _with(world.unbound, world.unbound.forged_crl("other-issuer"))


@case("RFC5280-6.3.3-2", **_fetched("crl-issuer"))
def under_another_name(world: World) -> Setup:
    """The issuer's key signed it under the name of another CA that has the same key."""
    namesake = world.authority("another CA with this key", key=world.ca.key)
    return _with(world.unbound, world.unbound.crl(signer=namesake))


@case("RFC5280-6.3.3-3", **_fetched("crl-bad-signature"))
def flipped_bit(world: World) -> Setup:
    """One bit of its signature is flipped."""
    return _with(world.unbound, world.unbound.forged_crl("bad-signature"))


@case("RFC5280-6.3.3-3", **_fetched("crl-bad-signature"))
def forged(world: World) -> Setup:
    """A stranger signed it under the issuer's name."""
    return _with(world.unbound, world.unbound.forged_crl("forged-signature"))


@case("RFC5280-5.1.1.2-2", importance=Importance.SHOULD, **_fetched("crl-weak-signature"))
def sha1(world: World) -> Setup:
    """It is signed over SHA-1."""
    return _with(world.unbound, world.unbound.forged_crl("sha1-signature"))


@case("RFC5280-6.3.3-5", importance=Importance.SHOULD, **_fetched("crl-sign"))
def may_not_sign(world: World) -> Setup:
    """The key usage of the CA's certificate lacks cRLSign."""
    site = world.site_of(_without_crl_sign(world.authority("CA that may sign no CRL")), features=None)
    return _with(site, site.good_crl())


@case("RFC5280-6.3.3-3", importance=Importance.SHOULD, **_fetched())
def ed25519(world: World) -> Setup:
    """The CA has an Ed25519 key, and signs its CRL with it."""
    site = world.site_of(world.authority("Ed25519 CA", key=KeyKind.ED25519), features=None)
    return _with(site, site.good_crl())


@case("RFC5280-6.3.3-3", importance=Importance.SHOULD, **_fetched())
def rsa_signature(world: World) -> Setup:
    """The CA has an RSA key, and signs its CRL with it."""
    site = world.site_of(world.authority("RSA CA", key=KeyKind.RSA_2048), features=None)
    return _with(site, site.good_crl())


# --- what it covers


@case("RFC5280-5.2.4-1", **_fetched("crl-delta"))
def delta(world: World) -> Setup:
    """It is a delta CRL, which says only what has changed."""
    return _with(world.unbound, world.unbound.forged_crl("delta"))


@case("RFC5280-5.2.5-1", **_fetched("crl-indirect"))
def indirect(world: World) -> Setup:
    """It is an indirect CRL, whose entries may be other CAs'."""
    return _with(world.unbound, world.unbound.forged_crl("indirect"))


@case("RFC5280-6.3.3-4", **_fetched("crl-scope"))
def only_authorities(world: World) -> Setup:
    """It covers CA certificates only, and the server's is none."""
    return _with(world.unbound, world.unbound.forged_crl("only-authorities"))


@case("RFC5280-6.3.3-4", **_fetched())
def only_users(world: World) -> Setup:
    """It covers end-entity certificates only, as the server's is one."""
    return _with(world.unbound, world.unbound.forged_crl("only-users"))


@case("RFC5280-6.3.3-7", **_fetched("crl-reasons"))
def only_some_reasons(world: World) -> Setup:
    """It covers key compromise only, so who is not on it may be revoked for something else."""
    return _with(world.unbound, world.unbound.forged_crl("only-some-reasons"))


@case("RFC5280-6.3.3-6", **_fetched("crl-other-point"))
def other_point(world: World) -> Setup:
    """It covers a distribution point that the certificate does not name."""
    return _with(world.unbound, world.unbound.forged_crl("other-distribution-point"))


@case("RFC5280-6.3.3-6", **_fetched())
def own_point(world: World) -> Setup:
    """It covers the distribution point that the certificate names."""
    own = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(f"{world.url}ca.crl")],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return _with(world.unbound, world.unbound.crl(extensions=[(own, True)]))


@case("RFC5280-5.2-1", **_fetched("crl-critical-extension"))
def critical_extension(world: World) -> Setup:
    """It has a critical extension that nobody knows."""
    return _with(world.unbound, world.unbound.forged_crl("critical-extension"))


@case("RFC5280-5.3-1", **_fetched("crl-critical-entry"))
def critical_entry_extension(world: World) -> Setup:
    """The entry of another certificate has a critical extension that nobody knows."""
    return _with(world.unbound, world.unbound.forged_crl("critical-entry-extension"))


@case("RFC5280-5.3.1-1", importance=Importance.CURIOUS, **_fetched("crl-removed"))
def taken_back(world: World) -> Setup:
    """Its entry for the certificate says removeFromCRL, which only a delta CRL may say."""
    site = world.unbound
    entry = Revoked(site.links[0].serial_number, world.at - DAY, x509.ReasonFlags.remove_from_crl)
    return _with(site, site.crl(entry))


# --- when


@case("RFC5280-5.1.2.5-1", **_fetched("crl-expired"))
def expired(world: World) -> Setup:
    """Its nextUpdate was a day ago."""
    return _with(world.unbound, world.unbound.forged_crl("expired"))


@case("RFC5280-5.1.2.4-1", **_fetched("crl-not-yet-valid"))
def not_yet_valid(world: World) -> Setup:
    """Its thisUpdate is tomorrow."""
    return _with(world.unbound, world.unbound.forged_crl("not-yet-valid"))


@case("RFC5280-6.3.3-9", importance=Importance.SHOULD, **_fetched("crl-too-old"))
def too_old(world: World) -> Setup:
    """It is 60 days old, though its nextUpdate is yet to come."""
    return _with(world.unbound, world.unbound.forged_crl("too-old"))


@case("RFC5280-5.1.2.5-1", **_fetched("crl-inverted-window"))
def inverted_window(world: World) -> Setup:
    """Its nextUpdate precedes its thisUpdate, each so near that it alone would pass."""
    return _with(world.unbound, world.unbound.forged_crl("inverted-window"))


@case("RFC5280-5.1.2.5-1", importance=Importance.SHOULD, **_fetched("crl-no-next-update"))
def no_next_update(world: World) -> Setup:
    """It names no nextUpdate, which RFC 5280 forbids."""
    return _with(world.unbound, world.unbound.forged_crl("no-next-update"))


# --- whether it is one


@case("RFC5280-5.1-1", **_fetched("crl-malformed"))
def garbage(world: World) -> Setup:
    """It is noise."""
    return _with(world.unbound, world.unbound.forged_crl("garbage"))


@case("RFC5280-5.1-1", **_fetched("crl-malformed"))
def html(world: World) -> Setup:
    """A captive portal's page came instead."""
    return _with(world.unbound, world.unbound.forged_crl("html"))


@case("RFC5280-5.1-1", **_fetched("crl-malformed"))
def empty(world: World) -> Setup:
    """There is not one byte."""
    return _with(world.unbound, world.unbound.forged_crl("empty"))


@case("RFC5280-5.1-1", **_fetched("crl-malformed"))
def truncated(world: World) -> Setup:
    """Its last ten bytes are missing."""
    return _with(world.unbound, world.unbound.forged_crl("truncated"))


@case("RFC5280-5.1-1", importance=Importance.SHOULD, **_fetched("crl-trailing-bytes"))
def trailing_byte(world: World) -> Setup:
    """A byte follows it."""
    return _with(world.unbound, world.unbound.forged_crl("trailing-bytes"))


@case("RFC5280-5.1.1.2-1", **_fetched("crl-malformed"))
def two_algorithms(world: World) -> Setup:
    """It names SHA-256 within what is signed, and SHA-384 outside."""
    whole = CertificateList.load(world.unbound.good_crl())
    whole["signature_algorithm"] = {"algorithm": "sha384_ecdsa"}
    return _with(world.unbound, whole.dump())


@case("RFC5280-5.1-2", importance=Importance.CURIOUS, **_fetched("crl-oversized"))
def oversized(world: World) -> Setup:
    """It has 64 KiB besides its entries, for the sake of an extension that nobody knows."""
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier(UNKNOWN_OID), OctetString(bytes(1 << 16)).dump())
    return _with(world.unbound, world.unbound.crl(extensions=[(padding, False)]))


def _crowd(world: World) -> list[Revoked]:
    first = world.unbound.links[0].serial_number
    return [Revoked(first + number, world.at - DAY) for number in range(1, 1001)]


def _without_crl_sign(honest: Authority) -> Authority:
    """The same CA, whose certificate lacks the key usage cRLSign."""
    own, parent = honest.certificate, honest.parent
    if parent is None:
        raise ValueError("A root signs itself.")
    builder = (
        x509.CertificateBuilder(own.issuer, own.subject, own.public_key(), own.serial_number)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
    )
    for each in own.extensions:
        value = _CERTIFICATES_ALONE if isinstance(each.value, x509.KeyUsage) else each.value
        builder = builder.add_extension(value, critical=each.critical)
    key = parent.key
    certificate = builder.sign(key, signature_hash(key), ecdsa_deterministic=ecdsa_deterministic(key))
    return Authority(certificate, honest.key, parent)
