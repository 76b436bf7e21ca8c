"""Responses that say something else than "this certificate is good now": times, statuses, CertIDs, extensions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from asn1crypto.core import Null, OctetString
from cryptography import x509

from certtools.chain import issuer_hashes
from certtools.extensions import RawExtension
from certtools.forge.ocsp import CertificateStatus, sign, single
from certtools.forge.scene import DAY, PADDING, UNKNOWN_OID, Scene, by_name

if TYPE_CHECKING:
    from certtools.forge.ocsp import Single


def expired(scene: Scene) -> bytes:
    """Its nextUpdate was a day ago."""
    return scene.response(scene.single(this_update=scene.at - 5 * DAY, next_update=scene.at - DAY))


def not_yet_valid(scene: Scene) -> bytes:
    """Its thisUpdate is tomorrow."""
    return scene.response(scene.single(this_update=scene.at + DAY, next_update=scene.at + 5 * DAY))


def no_next_update(scene: Scene) -> bytes:
    """It names no nextUpdate."""
    return scene.response(scene.single(next_update=None))


def too_old(scene: Scene) -> bytes:
    """It is 60 days old, though its nextUpdate is yet to come."""
    return scene.response(scene.single(this_update=scene.at - 60 * DAY))


def inverted_window(scene: Scene) -> bytes:
    """Its nextUpdate precedes its thisUpdate, by so little that each alone would pass for a clock that is off."""
    little = timedelta(seconds=20)
    return scene.response(scene.single(this_update=scene.at + little, next_update=scene.at - little))


def other_certificate(scene: Scene) -> bytes:
    """It is an honest response about another certificate of the same CA."""
    return scene.response(single(scene.other, scene.at))


def other_issuer_name(scene: Scene) -> bytes:
    """Its CertID has this serial number and key hash, and the hash of another CA's name."""
    return scene.response(scene.single(issuer_name_hash=issuer_hashes(scene.rogue.certificate, "sha1")[0]))


def other_issuer_key(scene: Scene) -> bytes:
    """Its CertID has this serial number and name hash, and the hash of another CA's key."""
    return scene.response(scene.single(issuer_key_hash=issuer_hashes(scene.rogue.certificate, "sha1")[1]))


def other_issuer(scene: Scene) -> bytes:
    """Its CertID has this serial number under another CA."""
    return scene.response(single(replace(scene.link, issuer=scene.rogue.certificate), scene.at), certificates=())


def cert_id_md5(scene: Scene) -> bytes:
    """Its CertID is hashed with MD5."""
    return scene.response(scene.single(hash_algorithm="md5"))


def no_singles(scene: Scene) -> bytes:
    """It holds no SingleResponse at all."""
    return sign(replace(scene.answer(), singles=()), scene.issuer)


def several_good(scene: Scene) -> bytes:
    """It speaks of two certificates, and the second is this one: good."""
    return scene.response(single(scene.other, scene.at), scene.single())


def several_revoked(scene: Scene) -> bytes:
    """It speaks of two certificates: the first is another one and good, the second is this one and revoked."""
    return scene.response(single(scene.other, scene.at), _revoked(scene))


def several_others(scene: Scene) -> bytes:
    """It speaks of two certificates, neither of them this one."""
    made_up = single(scene.other, scene.at, serial_number=scene.other.serial_number ^ 1)
    return scene.response(single(scene.other, scene.at), made_up)


def contradiction(scene: Scene) -> bytes:
    """It says good and then revoked of the same certificate."""
    return scene.response(scene.single(), _revoked(scene))


def contradiction_reversed(scene: Scene) -> bytes:
    """It says revoked and then good of the same certificate."""
    return scene.response(_revoked(scene), scene.single())


def revoked(scene: Scene) -> bytes:
    """It says revoked two days ago, for key compromise."""
    return scene.response(_revoked(scene))


def revoked_without_reason(scene: Scene) -> bytes:
    """It says revoked two days ago, and not why."""
    return scene.response(_revoked(scene, reason=None))


def revoked_on_hold(scene: Scene) -> bytes:
    """It says revoked with the reason certificateHold, which may be lifted again."""
    return scene.response(_revoked(scene, reason=x509.ReasonFlags.certificate_hold))


def revoked_expired(scene: Scene) -> bytes:
    """It said revoked, and its nextUpdate was a day ago."""
    return scene.response(replace(_revoked(scene), this_update=scene.at - 5 * DAY, next_update=scene.at - DAY))


def revoked_on_hold_expired(scene: Scene) -> bytes:
    """It said certificateHold, and its nextUpdate was a day ago."""
    held = _revoked(scene, reason=x509.ReasonFlags.certificate_hold)
    return scene.response(replace(held, this_update=scene.at - 5 * DAY, next_update=scene.at - DAY))


def unknown(scene: Scene) -> bytes:
    """It says that the responder does not know this certificate."""
    return scene.response(scene.single(status=CertificateStatus.UNKNOWN))


def critical_extension(scene: Scene) -> bytes:
    """It has a critical extension that nobody knows."""
    return scene.response(extensions=(_UNKNOWN,))


def critical_single_extension(scene: Scene) -> bytes:
    """Its SingleResponse has a critical extension that nobody knows."""
    return scene.response(scene.single(extensions=(_UNKNOWN,)))


def unknown_extension(scene: Scene) -> bytes:
    """It has an extension that nobody knows and that is not critical: this one is honest."""
    return scene.response(extensions=(_UNKNOWN._replace(critical=False),))


def nonce_wrong(scene: Scene) -> bytes:
    """It has another nonce than the client sent."""
    return scene.response(nonce=bytes(byte ^ 0xFF for byte in scene.nonce) if scene.nonce else bytes(32))


def nonce_missing(scene: Scene) -> bytes:
    """It has no nonce, whatever the client sent; most responders answer so."""
    return scene.response(nonce=None)


def oversized(scene: Scene) -> bytes:
    """It is honest but for 3 MiB of padding in an extension."""
    padding = RawExtension(UNKNOWN_OID, critical=False, value=OctetString(bytes(PADDING)).dump())
    return scene.response(extensions=(padding,))


def _revoked(scene: Scene, reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise) -> Single:
    return scene.single(status=CertificateStatus.REVOKED, revocation_time=scene.at - 2 * DAY, reason=reason)


_UNKNOWN: Final = RawExtension(UNKNOWN_OID, critical=True, value=Null().dump())

STATEMENTS: Final = by_name(
    expired,
    not_yet_valid,
    no_next_update,
    too_old,
    inverted_window,
    other_certificate,
    other_issuer_name,
    other_issuer_key,
    other_issuer,
    cert_id_md5,
    no_singles,
    several_good,
    several_revoked,
    several_others,
    contradiction,
    contradiction_reversed,
    revoked,
    revoked_without_reason,
    revoked_on_hold,
    revoked_expired,
    revoked_on_hold_expired,
    unknown,
    critical_extension,
    critical_single_extension,
    unknown_extension,
    nonce_wrong,
    nonce_missing,
    oversized,
)
