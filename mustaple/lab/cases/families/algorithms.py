"""Keys and signatures of every kind in use, each good and each once broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asn1crypto.algos import SignedDigestAlgorithm
from asn1crypto.ocsp import BasicOCSPResponse, OCSPResponse
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certtools.forge.ocsp import wrap
from certtools.keys import KeyKind
from mustaple.lab.cases.model import Importance, case

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import Site, World

_BAD: Final[dict[str, Any]] = dict.fromkeys(("must_staple", "hard_fail", "strict"), "bad-signature")


@case("RFC6960-3.2-2")
def p256(world: World) -> Setup:
    """CA and leaf have keys on P-256."""
    return _site(world, KeyKind.EC_P256).served()


@case("RFC6960-3.2-2")
def p384(world: World) -> Setup:
    """CA and leaf have keys on P-384, and the staple is signed over SHA-384."""
    return _site(world, KeyKind.EC_P384).served()


@case("RFC6960-3.2-2", **_BAD)
def p384_broken(world: World) -> Setup:
    """The same with one bit of the staple's signature flipped."""
    site = _site(world, KeyKind.EC_P384)
    return site.served(site.forged("bad-signature"))


@case("RFC6960-3.2-2")
def rsa_pkcs1(world: World) -> Setup:
    """CA and leaf have RSA keys of 2048 bits, and the staple's signature is of PKCS #1 v1.5."""
    return _site(world, KeyKind.RSA_2048).served()


@case("RFC6960-3.2-2", **_BAD)
def rsa_pkcs1_broken(world: World) -> Setup:
    """The same with one bit of the staple's signature flipped."""
    site = _site(world, KeyKind.RSA_2048)
    return site.served(site.forged("bad-signature"))


@case("RFC6960-3.2-2", importance=Importance.SHOULD)
def rsa_pss(world: World) -> Setup:
    """CA and leaf have RSA keys, and the staple's signature is RSASSA-PSS over SHA-256."""
    site = _site(world, KeyKind.RSA_2048)
    return site.served(_with_pss(site))


@case("RFC6960-3.2-2", **_BAD)
def rsa_pss_said_and_pkcs1_made(world: World) -> Setup:
    """The staple says RSASSA-PSS, and its signature is of PKCS #1 v1.5."""
    site = _site(world, KeyKind.RSA_2048)
    basic = _basic(site.good())
    basic["signature_algorithm"] = _pss(hashes.SHA256())
    return site.served(wrap(basic.dump()))


@case(
    "RFC6960-5.1.1-1",
    must_staple="weak-signature",
    hard_fail="weak-signature",
    strict="weak-signature",
)
def rsa_pss_over_sha1(world: World) -> Setup:
    """The staple's signature is RSASSA-PSS over SHA-1, which its parameters say, not its name."""
    site = _site(world, KeyKind.RSA_2048)
    return site.served(_with_pss(site, hashes.SHA1()))


@case("RFC6960-3.2-2", **_BAD)
def rsa_pss_with_another_mask(world: World) -> Setup:
    """The staple's signature is RSASSA-PSS over SHA-256, and its parameters name SHA-512 for the mask."""
    site = _site(world, KeyKind.RSA_2048)
    basic = _basic(_with_pss(site))
    basic["signature_algorithm"]["parameters"]["mask_gen_algorithm"]["parameters"] = {"algorithm": "sha512"}
    return site.served(wrap(basic.dump(force=True)))


@case("RFC6960-3.2-2", importance=Importance.SHOULD)
def ed25519(world: World) -> Setup:
    """The CA has an Ed25519 key, which signs without a hash of its own; the leaf's is on P-256."""
    return _site(world, KeyKind.ED25519, KeyKind.EC_P256).served()


@case("RFC6960-3.2-2", **_BAD)
def ed25519_broken(world: World) -> Setup:
    """The same with one bit of the staple's signature flipped."""
    site = _site(world, KeyKind.ED25519, KeyKind.EC_P256)
    return site.served(site.forged("bad-signature"))


@case("RFC6960-3.2-2", "RFC6960-4.2.2.2-1", importance=Importance.SHOULD)
def ed25519_delegate(world: World) -> Setup:
    """The CA's key is on P-256, its delegate's is Ed25519."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(key=KeyKind.ED25519)))


@case("RFC6960-3.2-2", "RFC6960-4.2.2.2-1", importance=Importance.SHOULD)
def rsa_delegate(world: World) -> Setup:
    """The CA's key is on P-256, its delegate's is RSA."""
    scene = world.site.scene()
    return world.site.served(scene.response(signer=scene.delegate(key=KeyKind.RSA_2048)))


@case("RFC6960-3.2-2", importance=Importance.SHOULD)
def p256_with_sha512(world: World) -> Setup:
    """A key on P-256 signed the staple over SHA-512, which is longer than the key."""
    return world.site.served(world.site.singles(signature_hash=hashes.SHA512()))


def _site(world: World, ca: KeyKind, leaf: KeyKind | None = None) -> Site:
    return world.site_of(world.authority(f"corpus CA {ca}", key=ca), key=leaf if leaf is not None else ca)


def _basic(response: bytes) -> BasicOCSPResponse:
    return BasicOCSPResponse.load(OCSPResponse.load(response)["response_bytes"]["response"].contents)


def _pss(digest: hashes.HashAlgorithm) -> SignedDigestAlgorithm:
    """RSASSA-PSS over this hash, without salt: that alone comes out the same every time."""
    hashed = {"algorithm": digest.name}
    mask = {"algorithm": "mgf1", "parameters": hashed}
    parameters = {"hash_algorithm": hashed, "mask_gen_algorithm": mask, "salt_length": 0}
    return SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})


def _with_pss(site: Site, digest: hashes.HashAlgorithm | None = None) -> bytes:
    digest = digest if digest is not None else hashes.SHA256()
    basic = _basic(site.good())
    key = site.ca.key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("RSASSA-PSS takes an RSA key.")
    basic["signature_algorithm"] = _pss(digest)
    basic["signature"] = key.sign(basic["tbs_response_data"].dump(), padding.PSS(padding.MGF1(digest), 0), digest)
    return wrap(basic.dump())
