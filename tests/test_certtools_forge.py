"""Forged OCSP responses: OpenSSL accepts the honest ones, and each mutation changes what its name says alone."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto.ocsp import BasicOCSPResponse, OCSPResponse
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import (
    MUTATIONS,
    CertificateStatus,
    RawExtension,
    ResponderId,
    ResponseStatus,
    Scene,
    answer,
    good,
    honest,
    sign,
    single,
)
from certtools.forge.signing import sign_bytes
from certtools.keys import KeyKind, available_kinds, generate_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Issued

KINDS = [kind for kind in available_kinds() if kind not in {KeyKind.RSA_3072, KeyKind.RSA_4096}]


def signed_with(key: Any, data: bytes, signature: bytes, algorithm: hashes.HashAlgorithm | None) -> bool:
    """Whether this public key made the signature."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(algorithm))
        else:
            key.verify(signature, data)
    except (InvalidSignature, TypeError):  # TypeError: the algorithm is not this key's
        return False
    return True


def described(data: bytes, scene: Scene) -> dict[str, Any]:
    """What a response says, field by field, so that two can be compared."""
    outer = OCSPResponse.load(data, strict=True)["response_bytes"]
    response = BasicOCSPResponse.load(outer["response"].contents, strict=True)
    body = response["tbs_response_data"]
    algorithm = response["signature_algorithm"]["algorithm"].native
    digest = getattr(hashes, algorithm.partition("_")[0].upper())() if "_" in algorithm else None
    sent = [x509.load_der_x509_certificate(each.dump()) for each in response["certs"] or ()]
    keys = {"issuer": scene.issuer.certificate, "rogue": scene.rogue.certificate}
    keys |= {f"sent {index}": each for index, each in enumerate(sent)}
    said: dict[str, Any] = {
        "type": outer["response_type"].dotted,
        "responder": body["responder_id"].dump(),
        "produced at": body["produced_at"].native,
        "extensions": body["response_extensions"].native,
        "algorithm": algorithm,
        "signed by": [
            name
            for name, each in keys.items()
            if signed_with(each.public_key(), body.dump(), response["signature"].native, digest)
        ],
        "certificates": sent,
        "singles": len(body["responses"]),
    }
    for index, each in enumerate(body["responses"]):
        fields = {name: each["cert_id"][name].native for name in each["cert_id"]}
        fields |= {name: each[name].native for name in each if name != "cert_id"}
        said |= {f"{name} {index}": value for name, value in fields.items()}
    return said


DELEGATED = {"responder", "signed by", "certificates"}
WINDOW = {"this_update 0", "next_update 0", "produced at"}
NEXT = {f"{name} 1" for name in ("hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number")}
NEXT |= {f"{name} 1" for name in ("cert_status", "this_update", "next_update", "single_extensions")} | {"singles"}
# What each mutation of a readable response changes, and nothing else.
CHANGES: dict[str, set[str]] = {
    "expired": WINDOW,
    "not-yet-valid": WINDOW,
    "no-next-update": {"next_update 0"},
    "too-old": {"this_update 0", "produced at"},
    "inverted-window": WINDOW,
    "other-certificate": {"serial_number 0"},
    "other-issuer-name": {"issuer_name_hash 0"},
    "other-issuer-key": {"issuer_key_hash 0"},
    "other-issuer": {"issuer_name_hash 0", "issuer_key_hash 0"},
    "cert-id-md5": {"hash_algorithm 0", "issuer_name_hash 0", "issuer_key_hash 0"},
    "several-good": NEXT | {"serial_number 0"},
    "several-revoked": NEXT | {"serial_number 0"},
    "several-others": NEXT | {"serial_number 0"},
    "contradiction": NEXT,
    "contradiction-reversed": NEXT | {"cert_status 0"},
    "revoked": {"cert_status 0"},
    "revoked-without-reason": {"cert_status 0"},
    "revoked-on-hold": {"cert_status 0"},
    "revoked-expired": {"cert_status 0"} | WINDOW,
    "revoked-on-hold-expired": {"cert_status 0"} | WINDOW,
    "unknown": {"cert_status 0"},
    "critical-extension": {"extensions"},
    "critical-single-extension": {"single_extensions 0"},
    "unknown-extension": {"extensions"},
    "nonce-wrong": {"extensions"},
    "nonce-missing": {"extensions"},
    "oversized": {"extensions"},
    "bad-signature": {"signed by"},
    "forged-signature": {"signed by"},
    "sha1-signature": {"algorithm"},
    "md5-signature": DELEGATED | {"algorithm"},
    "short-key": DELEGATED | {"algorithm"},
    "wrong-responder-name": {"responder"},
    "wrong-responder-key": {"responder"},
    "by-key": {"responder"},
    "delegated": DELEGATED,
    "delegate-not-sent": {"responder", "signed by"},
    "delegate-of-rogue": DELEGATED,
    "delegate-of-namesake": DELEGATED,
    "delegate-of-parent": DELEGATED,
    "rogue-signer": DELEGATED,
    "delegate-without-purpose": DELEGATED,
    "delegate-without-any-purpose": DELEGATED,
    "delegate-any-purpose": DELEGATED,
    "delegate-may-not-sign": DELEGATED,
    "delegate-without-nocheck": DELEGATED,
    "delegate-expired": DELEGATED,
    "delegate-not-yet-valid": DELEGATED,
    "not-basic": {"type"},
}
UNREADABLE = {
    "malformed-request",
    "internal-error",
    "try-later",
    "sig-required",
    "unauthorized",
    "no-response-bytes",
    "trailing-bytes",
    "trailing-bytes-inside",
    "truncated",
    "garbage",
    "empty",
    "html",
    "pem",
    "no-singles",
}


@pytest.fixture
def asked(scene: Scene) -> Scene:
    """The scene with a nonce."""
    return replace(scene, nonce=b"n" * 16)


def test_every_mutation_has_its_row_and_its_sentence() -> None:
    assert set(MUTATIONS) == set(CHANGES) | UNREADABLE
    for mutation in MUTATIONS.values():
        assert mutation.__doc__
        assert mutation.__doc__.endswith(".")


@pytest.mark.parametrize("name", CHANGES)
def test_a_mutation_changes_what_its_name_says_and_nothing_else(asked: Scene, name: str) -> None:
    before, after = (described(make(asked), asked) for make in (honest, MUTATIONS[name]))
    differing = {key for key in before | after if before.get(key, "absent") != after.get(key, "absent")}
    assert differing == CHANGES[name]


def test_the_honest_response_is_what_it_seems(asked: Scene, at: datetime) -> None:
    said = described(honest(asked), asked)
    assert said["signed by"] == ["issuer"]
    assert said["cert_status 0"] == "good"
    assert said["certificates"] == []
    response = ocsp.load_der_ocsp_response(honest(asked))
    assert response.responder_name == asked.issuer.certificate.subject
    assert response.serial_number == asked.link.serial_number
    assert (response.issuer_name_hash, response.issuer_key_hash) == asked.link.cert_id(hashes.SHA1())
    assert response.this_update_utc < at < response.next_update_utc
    assert response.produced_at_utc == response.this_update_utc
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == asked.nonce


def test_two_honest_responses_say_the_same(asked: Scene) -> None:
    assert described(honest(asked), asked) == described(honest(asked), asked)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("malformed-request", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
        ("internal-error", ocsp.OCSPResponseStatus.INTERNAL_ERROR),
        ("try-later", ocsp.OCSPResponseStatus.TRY_LATER),
        ("sig-required", ocsp.OCSPResponseStatus.SIG_REQUIRED),
        ("unauthorized", ocsp.OCSPResponseStatus.UNAUTHORIZED),
    ],
)
def test_an_error_is_five_bytes(scene: Scene, name: str, status: ocsp.OCSPResponseStatus) -> None:
    data = MUTATIONS[name](scene)
    assert len(data) == 5
    assert ocsp.load_der_ocsp_response(data).response_status is status


def test_the_same_bytes_come_from_an_answer_with_that_status(scene: Scene) -> None:
    refused = scene.response(response_status=ResponseStatus.TRY_LATER)
    assert refused == MUTATIONS["try-later"](scene)


@pytest.mark.parametrize(
    "name", ["trailing-bytes", "trailing-bytes-inside", "truncated", "garbage", "empty", "html", "pem"]
)
def test_what_is_no_response_cannot_be_loaded(scene: Scene, name: str) -> None:
    ocsp.load_der_ocsp_response(honest(scene))
    with pytest.raises(ValueError, match=r"pars|trailing|ASN"):
        _ = ocsp.load_der_ocsp_response(MUTATIONS[name](scene)).serial_number


def test_bytes_that_trail_do_so_where_they_say(scene: Scene) -> None:
    assert MUTATIONS["trailing-bytes"](scene)[-1:] == b"\0"
    inside = OCSPResponse.load(MUTATIONS["trailing-bytes-inside"](scene), strict=True)["response_bytes"]["response"]
    with pytest.raises(ValueError, match="trailing"):
        BasicOCSPResponse.load(inside.contents, strict=True)


def test_successful_may_hold_nothing(scene: Scene) -> None:
    assert MUTATIONS["no-response-bytes"](scene) == bytes.fromhex("30030a0100")
    assert described(MUTATIONS["no-singles"](scene), scene)["singles"] == 0


def test_an_oversized_response_is_well_over_any_limit_and_sound(scene: Scene) -> None:
    data = MUTATIONS["oversized"](scene)
    assert len(data) > 3 * 1024 * 1024
    assert described(data, scene)["signed by"] == ["issuer"]


@pytest.mark.parametrize("name", sorted(name for name in CHANGES if name.startswith("delegate-")))
def test_a_dishonest_delegate_differs_from_the_honest_one_as_its_name_says(scene: Scene, name: str) -> None:
    def delegate(mutation: str) -> x509.Certificate | None:
        sent = described(MUTATIONS[mutation](scene), scene)["certificates"]
        return sent[0] if sent else None

    def said(certificate: x509.Certificate) -> dict[str, Any]:
        extensions = {each.oid._name: each.value for each in certificate.extensions}
        del extensions["subjectKeyIdentifier"]
        key_identifier = extensions.pop("authorityKeyIdentifier")
        try:
            certificate.verify_directly_issued_by(scene.issuer.certificate)
            by_issuer = True
        except (InvalidSignature, ValueError):
            by_issuer = False
        times = {"from": certificate.not_valid_before_utc, "to": certificate.not_valid_after_utc}
        return extensions | times | {"issuer": certificate.issuer, "by": by_issuer, "by key": key_identifier}

    good_one, found = delegate("delegated"), delegate(name)
    assert good_one is not None
    if name == "delegate-not-sent":
        assert found is None
        return
    assert found is not None
    before, after = said(good_one), said(found)
    assert {key for key in before | after if before.get(key) != after.get(key)} == {
        "delegate-of-rogue": {"issuer", "by", "by key"},
        "delegate-of-parent": {"issuer", "by", "by key"},
        "delegate-of-namesake": {"by", "by key"},
        "delegate-without-purpose": {"extendedKeyUsage"},
        "delegate-without-any-purpose": {"extendedKeyUsage"},
        "delegate-any-purpose": {"extendedKeyUsage"},
        "delegate-may-not-sign": {"keyUsage"},
        "delegate-without-nocheck": {"OCSPNoCheck"},
        "delegate-expired": {"from", "to"},
        "delegate-not-yet-valid": {"from", "to"},
    }[name]


def test_a_delegate_of_the_parent_is_the_rogues_where_there_is_no_parent(scene: Scene, root: Authority) -> None:
    link = Link(scene.issuer.certificate, root.certificate)
    data = MUTATIONS["delegate-of-parent"](replace(scene, link=link, issuer=root))
    (sent,) = ocsp.load_der_ocsp_response(data).certificates
    assert sent.issuer == scene.rogue.certificate.subject


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_signs_every_mutation(at: datetime, rogue: Authority, kind: KeyKind) -> None:
    root = Authority.root("root", not_before=at, not_after=at + timedelta(days=9), key=kind)
    links = [Link(root.leaf([name]).certificate, root.certificate) for name in ("a", "b")]
    scene = Scene(link=links[0], issuer=root, other=links[1], rogue=rogue, at=at)
    assert described(honest(scene), scene)["signed by"] == ["issuer"]
    for name in ("sha1-signature", "md5-signature", "bad-signature", "delegate-expired"):
        assert MUTATIONS[name](scene)
    assert described(MUTATIONS["bad-signature"](scene), scene)["signed by"] == []
    assert described(MUTATIONS["sha1-signature"](scene), scene)["algorithm"].startswith("sha1_")
    assert described(MUTATIONS["md5-signature"](scene), scene)["algorithm"] == "md5_rsa"


def test_a_key_takes_no_hash_that_its_algorithm_forbids() -> None:
    with pytest.raises(ValueError, match="takes no hash"):
        sign_bytes(b"", generate_key("ed25519"), hashes.SHA1())
    with pytest.raises(ValueError, match="takes no hash"):
        sign_bytes(b"", dsa.generate_private_key(2048))


def test_a_wrong_nonce_is_wrong_even_where_none_was_asked_for(scene: Scene) -> None:
    response = ocsp.load_der_ocsp_response(MUTATIONS["nonce-wrong"](scene))
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == bytes(32)


def test_what_is_said_of_a_single_is_in_it(scene: Scene, at: datetime) -> None:
    extension = RawExtension("2.999.5", critical=False, value=b"\5\0")
    said = single(
        scene.link,
        at,
        status=CertificateStatus.REVOKED,
        reason=x509.ReasonFlags.superseded,
        hash_algorithm="sha256",
        extensions=(extension,),
    )
    response = ocsp.load_der_ocsp_response(scene.response(said))
    assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert response.revocation_reason is x509.ReasonFlags.superseded
    assert response.revocation_time_utc == said.this_update, "unless told otherwise"
    assert isinstance(response.hash_algorithm, hashes.SHA256)
    assert (response.issuer_name_hash, response.issuer_key_hash) == scene.link.cert_id(hashes.SHA256())
    assert response.single_extensions[0].oid.dotted_string == "2.999.5"
    forged = replace(said, serial_number=0, issuer_name_hash=b"a" * 32, issuer_key_hash=b"b" * 32)
    response = ocsp.load_der_ocsp_response(scene.response(forged))
    assert (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) == (0, b"a" * 32, b"b" * 32)


def test_a_delegates_certificate_is_sent_and_the_issuers_is_not(scene: Scene, at: datetime) -> None:
    delegate = scene.issuer.ocsp_signer(not_before=at - timedelta(hours=1))
    by_delegate = ocsp.load_der_ocsp_response(good(scene.link, delegate, at, responder_id=ResponderId.KEY))
    assert by_delegate.certificates == [delegate.certificate]
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(delegate.key.public_key())
    assert by_delegate.responder_key_hash == key_identifier.digest
    assert ocsp.load_der_ocsp_response(good(scene.link, scene.issuer, at)).certificates == []
    spoken = answer([single(scene.link, at)], delegate, certificates=())
    assert ocsp.load_der_ocsp_response(sign(spoken, delegate)).certificates == []


@pytest.fixture
def judged_by_openssl(tmp_path: Path, chain: Any, at: datetime) -> Callable[[bytes], tuple[int, str]]:
    """What `openssl ocsp` says of a response about the leaf, at AT."""
    names = ("leaf", "ca", "root")
    for name, certificate in zip(names, chain.certificates, strict=True):
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    def judge(data: bytes) -> tuple[int, str]:
        (tmp_path / "response.der").write_bytes(data)
        command = ["openssl", "ocsp", "-respin", "response.der", "-issuer", "ca.pem", "-cert", "leaf.pem"]
        trust = ["-CAfile", "root.pem", "-verify_other", "ca.pem", "-attime", str(int(at.timestamp()))]
        command += [*trust, "-validity_period", "999999999", "-no_nonce"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
        return run.returncode, run.stdout + run.stderr

    return judge


HONEST = ("delegated", "by-key", "unknown-extension", "several-good")


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("name", ["honest", *HONEST])
def test_openssl_takes_an_honest_response(
    judged_by_openssl: Callable[[bytes], tuple[int, str]], scene: Scene, name: str
) -> None:
    code, said = judged_by_openssl(MUTATIONS[name](scene) if name in MUTATIONS else honest(scene))
    assert code == 0, said
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bad-signature", "Response Verify Failure"),
        ("forged-signature", "Response Verify Failure"),
        ("delegate-of-rogue", "Response Verify Failure"),
        ("delegate-without-purpose", "Response Verify Failure"),
        ("delegate-not-sent", "Response Verify Failure"),
        ("other-certificate", "ERROR: No Status found"),
        ("other-issuer-key", "ERROR: No Status found"),
        ("revoked", "leaf.pem: revoked"),
        ("unknown", "leaf.pem: unknown"),
        ("try-later", "Responder Error: trylater"),
        ("garbage", "Error reading OCSP response"),
    ],
)
def test_openssl_sees_what_is_wrong(
    judged_by_openssl: Callable[[bytes], tuple[int, str]], scene: Scene, name: str, why: str
) -> None:
    _, said = judged_by_openssl(MUTATIONS[name](scene))
    assert why in said
    assert "leaf.pem: good" not in said or "Verify Failure" in said


def test_an_issued_signer_is_a_signer(scene: Scene, leaf: Issued, at: datetime) -> None:
    """A leaf's key can sign too: that is what a thief of a server's key would do."""
    said = described(good(scene.link, leaf, at), scene)
    assert said["certificates"] == [leaf.certificate]
    assert said["signed by"] == ["sent 0"]
