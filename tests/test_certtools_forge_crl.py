"""Forged CRLs: OpenSSL accepts the honest one, and each mutation changes what its name says alone."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import CRL_MUTATIONS, CrlScene, Revoked, crl, honest_crl
from certtools.keys import KeyKind, available_kinds

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.chain import Chain

KINDS = [kind for kind in available_kinds() if kind not in {KeyKind.RSA_3072, KeyKind.RSA_4096}]
DAY = timedelta(days=1)

WINDOW = {"this_update", "next_update"}
CHANGES: dict[str, set[str]] = {
    "expired": WINDOW,
    "not-yet-valid": WINDOW,
    "too-old": {"this_update"},
    "inverted-window": WINDOW,
    "no-next-update": {"next_update"},
    "bad-signature": {"sound"},
    "forged-signature": {"sound"},
    "other-issuer": {"sound", "issuer", "authorityKeyIdentifier"},
    "sha1-signature": {"sound", "algorithm"},
    "delta": {"deltaCRLIndicator"},
    "indirect": {"issuingDistributionPoint"},
    "only-authorities": {"issuingDistributionPoint"},
    "only-users": {"issuingDistributionPoint"},
    "only-some-reasons": {"issuingDistributionPoint"},
    "other-distribution-point": {"issuingDistributionPoint"},
    "critical-extension": {"Unknown OID"},
    "critical-entry-extension": {"entries"},
    "revoked": {"entries"},
    "revoked-on-hold": {"entries"},
    "revoked-expired": {"entries"} | WINDOW,
    "oversized": {"Unknown OID"},
}
UNREADABLE = {"trailing-bytes", "truncated", "garbage", "empty", "html"}


@pytest.fixture(scope="module")
def scene(chain: Chain, intermediate: Authority, rogue: Authority, at: datetime) -> CrlScene:
    revoked = (Revoked(0xAB, at - DAY, x509.ReasonFlags.superseded), Revoked(1 << 150, at - DAY))
    return CrlScene(link=chain.links[0], issuer=intermediate, rogue=rogue, at=at, revoked=revoked)


def described(data: bytes, issuer: Authority) -> dict[str, Any]:
    """What a CRL says, field by field, so that two can be compared."""
    read = x509.load_der_x509_crl(data)
    said: dict[str, Any] = {
        "issuer": read.issuer,
        "this_update": read.last_update_utc,
        "next_update": read.next_update_utc,
        "algorithm": read.signature_algorithm_oid,
        # `cryptography` calls no SHA-1 signature sound
        "sound": read.is_signature_valid(issuer.key.public_key()),
        "entries": [
            (each.serial_number, each.revocation_date_utc, [(e.critical, e.value) for e in each.extensions])
            for each in read
        ],
    }
    return said | {each.oid._name: (each.critical, each.value) for each in read.extensions}


def test_every_mutation_has_its_row_and_its_sentence() -> None:
    assert set(CRL_MUTATIONS) == set(CHANGES) | UNREADABLE
    for mutation in CRL_MUTATIONS.values():
        assert mutation.__doc__
        assert mutation.__doc__.endswith(".")


@pytest.mark.parametrize("name", CHANGES)
def test_a_mutation_changes_what_its_name_says_and_nothing_else(scene: CrlScene, name: str) -> None:
    before, after = (described(make(scene), scene.issuer) for make in (honest_crl, CRL_MUTATIONS[name]))
    differing = {key for key in before | after if before.get(key, "absent") != after.get(key, "absent")}
    assert differing == CHANGES[name]


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_what_is_no_crl_cannot_be_loaded(scene: CrlScene, name: str) -> None:
    x509.load_der_x509_crl(honest_crl(scene))
    with pytest.raises(ValueError, match="pars"):
        x509.load_der_x509_crl(CRL_MUTATIONS[name](scene))


def test_the_honest_crl_says_what_it_was_told(scene: CrlScene, at: datetime) -> None:
    read = x509.load_der_x509_crl(honest_crl(scene))
    assert read.issuer == scene.issuer.certificate.subject
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == scene.number
    assert [each.serial_number for each in read] == [0xAB, 1 << 150]
    superseded, unexplained = read
    assert superseded.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
    assert superseded.revocation_date_utc == at - DAY
    assert list(unexplained.extensions) == []
    assert not any(each.critical for each in read.extensions)


def test_an_unspecified_reason_is_left_out(scene: CrlScene, at: datetime) -> None:
    (entry,) = x509.load_der_x509_crl(
        crl(
            scene.issuer,
            [Revoked(5, at, x509.ReasonFlags.unspecified)],
            this_update=at,
            next_update=at + DAY,
            number=1,
        )
    )
    assert list(entry.extensions) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_signs(at: datetime, rogue: Authority, kind: KeyKind) -> None:
    root = Authority.root("root", not_before=at - 9 * DAY, not_after=at + 9 * DAY, key=kind)
    scene = CrlScene(link=Link(root.leaf(["a"]).certificate, root.certificate), issuer=root, rogue=rogue, at=at)
    assert described(honest_crl(scene), root)["sound"]
    assert not described(CRL_MUTATIONS["bad-signature"](scene), root)["sound"]
    assert described(CRL_MUTATIONS["no-next-update"](scene), root)["sound"]
    if kind.startswith(("ec", "rsa")):
        assert (
            "sha1"
            in CertificateList.load(CRL_MUTATIONS["sha1-signature"](scene))["signature_algorithm"]["algorithm"].native
        )
    else:
        with pytest.raises(ValueError, match="takes no hash"):
            CRL_MUTATIONS["sha1-signature"](scene)


def test_a_sha1_signature_is_the_issuers(scene: CrlScene) -> None:
    whole = CertificateList.load(CRL_MUTATIONS["sha1-signature"](scene))
    key = scene.issuer.key.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(whole["signature"].native, whole["tbs_cert_list"].dump(), ec.ECDSA(SHA1()))
    assert whole["tbs_cert_list"]["signature"].native == whole["signature_algorithm"].native


@pytest.mark.peer("openssl")
@pytest.mark.parametrize(
    ("name", "accepted", "why"),
    [
        ("honest", True, "OK"),
        ("revoked", False, "certificate revoked"),
        ("bad-signature", False, "CRL signature failure"),
        ("forged-signature", False, "CRL signature failure"),
        ("expired", False, "CRL has expired"),
        ("not-yet-valid", False, "CRL is not yet valid"),
        ("other-issuer", False, "unable to get certificate CRL"),
        ("critical-extension", False, "unhandled critical CRL extension"),
    ],
)
def test_openssl_sees_it_so(tmp_path: Path, scene: CrlScene, chain: Chain, name: str, accepted: bool, why: str) -> None:
    files = {"leaf": chain.certificates[:1], "ca": chain.certificates[1:2], "root": chain.certificates[2:]}
    for file, certificates in files.items():
        (tmp_path / f"{file}.pem").write_bytes(certificates[0].public_bytes(Encoding.PEM))
    make = CRL_MUTATIONS.get(name, honest_crl)
    (tmp_path / "crl.pem").write_bytes(x509.load_der_x509_crl(make(scene)).public_bytes(Encoding.PEM))
    when = str(int(scene.at.timestamp()))
    command = ["openssl", "verify", "-crl_check", "-attime", when, "-CAfile", "root.pem", "-untrusted", "ca.pem"]
    run = subprocess.run(
        [*command, "-CRLfile", "crl.pem", "leaf.pem"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (run.returncode == 0) is accepted
    assert why in run.stdout + run.stderr
