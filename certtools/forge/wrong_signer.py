"""Responses signed by the wrong key, in the wrong way, or by a delegate who must not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asn1crypto.ocsp import BasicOCSPResponse, OCSPResponse
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certtools.authority import Authority
from certtools.drawing import rsa_key
from certtools.forge.ocsp import ResponderId, wrap
from certtools.forge.scene import DAY, Scene, by_name

if TYPE_CHECKING:
    from certtools.forge.signing import Signer


def bad_signature(scene: Scene) -> bytes:
    """One bit of its signature is flipped."""
    basic = BasicOCSPResponse.load(OCSPResponse.load(scene.response())["response_bytes"]["response"].contents)
    signature = basic["signature"].native
    basic["signature"] = signature[:-1] + bytes([signature[-1] ^ 1])
    return wrap(basic.dump())


def forged_signature(scene: Scene) -> bytes:
    """A stranger's key signed it under the issuer's name."""
    return scene.response(signer=scene.rogue, responder=scene.issuer.certificate, certificates=())


def sha1_signature(scene: Scene) -> bytes:
    """It is signed with SHA-1."""
    return scene.response(signer=_able(scene, ec.EllipticCurvePrivateKey), signature_hash=hashes.SHA1())


def md5_signature(scene: Scene) -> bytes:
    """It is signed with MD5 and RSA, by a delegate where the CA's key is not RSA."""
    return scene.response(signer=_able(scene, rsa.RSAPrivateKey), signature_hash=hashes.MD5())


def short_key(scene: Scene) -> bytes:
    """A delegate with an RSA key of 1024 bits signed it."""
    return scene.response(signer=scene.delegate(key=rsa_key(1024)))


def wrong_responder_name(scene: Scene) -> bytes:
    """Its responderID names another than its signer."""
    return scene.response(responder=scene.rogue.certificate)


def wrong_responder_key(scene: Scene) -> bytes:
    """Its responderID holds the hash of another key than its signer's."""
    return scene.response(responder=scene.rogue.certificate, responder_id=ResponderId.KEY)


def delegated(scene: Scene) -> bytes:
    """An honest delegate signed it: this one is honest."""
    return scene.response(signer=scene.delegate())


def by_key(scene: Scene) -> bytes:
    """Its responderID is the hash of its signer's key, as RFC 9919 §3.2.2 wants it: this one is honest."""
    return scene.response(responder_id=ResponderId.KEY)


def delegate_not_sent(scene: Scene) -> bytes:
    """An honest delegate signed it, and its certificate is not in the response."""
    return scene.response(signer=scene.delegate(), certificates=())


def delegate_of_rogue(scene: Scene) -> bytes:
    """A delegate that another CA designated signed it."""
    return scene.response(signer=scene.delegate(scene.rogue))


def delegate_of_namesake(scene: Scene) -> bytes:
    """The delegate's certificate names this issuer and was signed by another key."""
    name = scene.issuer.certificate.subject
    namesake = Authority.root(name, not_before=scene.at - DAY, not_after=scene.at + DAY, key=scene.rogue.key)
    return scene.response(signer=scene.delegate(namesake))


def delegate_of_parent(scene: Scene) -> bytes:
    """The delegate was designated by the CA above the issuer (by the rogue, where there is none above)."""
    return scene.response(signer=scene.delegate(scene.issuer.parent or scene.rogue))


def rogue_signer(scene: Scene) -> bytes:
    """Another CA signed it in its own name, and sent its certificate along."""
    return scene.response(signer=scene.rogue)


def delegate_without_purpose(scene: Scene) -> bytes:
    """The delegate's certificate is a TLS server's, without id-kp-OCSPSigning."""
    return scene.response(signer=scene.delegate(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)))


def delegate_without_any_purpose(scene: Scene) -> bytes:
    """The delegate's certificate has no extended key usage at all."""
    return scene.response(signer=scene.delegate(purposes=()))


def delegate_any_purpose(scene: Scene) -> bytes:
    """The delegate's certificate has anyExtendedKeyUsage, which designates nobody (RFC 6960 §4.2.2.2)."""
    return scene.response(signer=scene.delegate(purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)))


def delegate_may_not_sign(scene: Scene) -> bytes:
    """The delegate's keyUsage lacks digitalSignature."""
    return scene.response(signer=scene.delegate(digital_signature=False))


def delegate_without_nocheck(scene: Scene) -> bytes:
    """The delegate's certificate lacks id-pkix-ocsp-nocheck."""
    return scene.response(signer=scene.delegate(nocheck=False))


def delegate_expired(scene: Scene) -> bytes:
    """The delegate's certificate expired a day ago."""
    return scene.response(signer=scene.delegate(not_before=scene.at - 15 * DAY, not_after=scene.at - DAY))


def delegate_not_yet_valid(scene: Scene) -> bytes:
    """The delegate's certificate will be valid tomorrow."""
    return scene.response(signer=scene.delegate(not_before=scene.at + DAY, not_after=scene.at + 15 * DAY))


def _able(scene: Scene, kind: type) -> Signer:
    """The issuer where its key takes the hash, else a delegate whose key does."""
    key = scene.issuer.key
    if isinstance(key, kind | rsa.RSAPrivateKey):
        return scene.issuer
    return scene.delegate(key="ec-p256" if kind is ec.EllipticCurvePrivateKey else "rsa-2048")


SIGNERS: Final = by_name(
    bad_signature,
    forged_signature,
    sha1_signature,
    md5_signature,
    short_key,
    wrong_responder_name,
    wrong_responder_key,
    by_key,
    delegated,
    delegate_not_sent,
    delegate_of_rogue,
    delegate_of_namesake,
    delegate_of_parent,
    rogue_signer,
    delegate_without_purpose,
    delegate_without_any_purpose,
    delegate_any_purpose,
    delegate_may_not_sign,
    delegate_without_nocheck,
    delegate_expired,
    delegate_not_yet_valid,
)
