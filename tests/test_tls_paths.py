"""Both TLS engines on one table of certificate paths: each accepts and refuses what the other does, for one reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from stapling_ends import ChainServer, both_versions, shake

from certtools.authority import Authority, Issued
from certtools.forge import good
from certtools.forge.signing import sign_bytes
from certtools.keys import generate_key
from certtools.profile import Profile, sign_certificate
from mustaple.core.errors import Alert
from mustaple.core.policy import preset
from mustaple.core.verdict import Code
from mustaple.net.service_name import service_name
from mustaple.net.tls_chain import ChainClientTLS
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from certtools.keys import PrivateKey

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROOT = Authority.root("path root", not_before=AT - 30 * DAY, not_after=AT + 30 * DAY)
CA = ROOT.intermediate("path CA")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Path:
    """What a server shows, whom the client trusts, and the reason for which both engines refuse it (None: accepted)."""

    leaf: Issued
    reason: Code | None
    says: str = ""
    alert: int | None = None
    sent: tuple[x509.Certificate, ...] | None = None
    root: Authority = ROOT
    at: datetime = AT
    name: str = "localhost"


def _certificate(
    parent: Authority,
    profile: Profile,
    *,
    key: PrivateKey | None = None,
    subject: str = "localhost",
    names: tuple[str, ...] = ("localhost",),
    until: datetime = AT + 9 * DAY,
) -> Issued:
    """A certificate as this profile has it, which `Authority.leaf` would not issue."""
    key = key if key is not None else generate_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(parent.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AT - 20 * DAY)
        .not_valid_after(until)
    )
    if names:
        held = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(held, critical=False)
    certificate = sign_certificate(builder, key.public_key(), profile, parent.key, parent.certificate)
    return Issued(certificate, (certificate, *parent.path), key)


def _signed_again(issued: Issued, parent: Authority, algorithm: HashAlgorithm, version: int = 2) -> bytes:
    """The same certificate with another signature, or of another version: 2 is X.509 version 3."""
    raw = asn1_x509.Certificate.load(issued.certificate.public_bytes(Encoding.DER))
    content = raw["tbs_certificate"]
    content["signature"] = raw["signature_algorithm"] = sign_bytes(b"", parent.key, algorithm)[0]
    signed = content.dump(force=True).replace(bytes.fromhex("a003 0201 02"), bytes([0xA0, 3, 2, 1, version]), 1)
    raw["tbs_certificate"] = asn1_x509.TbsCertificate.load(signed)
    raw["signature_value"] = sign_bytes(signed, parent.key, algorithm)[1]
    return raw.dump()


def _signed_with_sha1(issued: Issued, parent: Authority) -> Issued:
    certificate = x509.load_der_x509_certificate(_signed_again(issued, parent, SHA1()))
    return Issued(certificate, (certificate, *parent.path), issued.key)


def _below(issued: Issued, parent: Authority, **options: Any) -> Issued:
    """A leaf below a certificate that was issued as no authority."""
    return Authority(issued.certificate, issued.key, parent).leaf(["localhost"], **options)


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


SERVER_LEAF = Profile(purposes=(SERVER,), features=(5,))
CA_PROFILE = Profile(ca=True)


@cache
def _weak_ca() -> Authority:
    return ROOT.intermediate("weak CA", key=_rsa(1024))


PATHS: dict[str, Callable[[], Path]] = {
    "good": lambda: Path(CA.leaf(["localhost"]), None),
    "good, with RSA keys": lambda: Path(ROOT.intermediate(key="rsa-2048").leaf(["localhost"], key="rsa-2048"), None),
    "good, without purposes": lambda: Path(_certificate(CA, Profile(features=(5,))), None),
    "good, with its root": lambda: Path(leaf := CA.leaf(["localhost"]), None, sent=leaf.chain),
    "good, in disorder": lambda: Path(
        leaf := ROOT.intermediate("upper CA").intermediate("lower CA").leaf(["localhost"]),
        None,
        sent=(leaf.chain[0], leaf.chain[2], leaf.chain[1]),
    ),
    "good, below a CA that is trusted itself": lambda: Path(CA.leaf(["localhost"]), None, root=CA),
    "for clients only": lambda: Path(
        _certificate(CA, Profile(purposes=(CLIENT,), features=(5,))), Code.PATH_INVALID, "purpose", 43
    ),
    "a CA for clients only": lambda: Path(
        _below(_certificate(ROOT, Profile(ca=True, purposes=(CLIENT,)), subject="client CA", names=()), ROOT),
        Code.PATH_INVALID,
        "at depth 1",
    ),
    "a key of RSA 1024": lambda: Path(
        _certificate(CA, SERVER_LEAF, key=_rsa(1024)), Code.PATH_INVALID, "too weak", Alert.BAD_CERTIFICATE
    ),
    "a CA's key of RSA 1024": lambda: Path(_weak_ca().leaf(["localhost"]), Code.PATH_INVALID, "too weak"),
    "signed with SHA-1": lambda: Path(
        _signed_with_sha1(CA.leaf(["localhost"]), CA), Code.PATH_INVALID, "too weak", Alert.BAD_CERTIFICATE
    ),
    "expired": lambda: Path(
        _certificate(CA, SERVER_LEAF, until=AT - DAY), Code.PATH_INVALID, "expired", Alert.CERTIFICATE_EXPIRED
    ),
    "expired by the time": lambda: Path(
        CA.leaf(["localhost"], not_after=AT + DAY), Code.PATH_INVALID, "expired", at=AT + 2 * DAY
    ),
    "not valid yet": lambda: Path(CA.leaf(["localhost"], not_before=AT + DAY), Code.PATH_INVALID, "not yet valid"),
    "an expired CA": lambda: Path(
        _below(_certificate(ROOT, CA_PROFILE, subject="old CA", names=(), until=AT - DAY), ROOT, not_after=AT - DAY),
        Code.PATH_INVALID,
        "expired",
        Alert.CERTIFICATE_EXPIRED,
    ),
    "another name": lambda: Path(CA.leaf(["localhost"]), Code.NAME_MISMATCH, "other.example", name="other.example"),
    "no name": lambda: Path(_certificate(CA, SERVER_LEAF, names=()), Code.NAME_MISMATCH, "no subjectAltName"),
    "another root": lambda: Path(
        CA.leaf(["localhost"]),
        Code.PATH_INVALID,
        "unable to get issuer",
        Alert.UNKNOWN_CA,
        root=Authority.root("another root", not_before=AT - DAY, not_after=AT + DAY),
    ),
    "no intermediate": lambda: Path(
        leaf := CA.leaf(["localhost"]), Code.PATH_INVALID, "unable to get issuer", Alert.UNKNOWN_CA, leaf.chain[:1]
    ),
    "an intermediate that is no CA": lambda: Path(
        _below(_certificate(ROOT, SERVER_LEAF, subject="no CA"), ROOT), Code.PATH_INVALID, "at depth 1"
    ),
    "a path longer than its CA allows": lambda: Path(
        ROOT.intermediate("short CA", path_length=0).intermediate("CA too many").leaf(["localhost"]),
        Code.PATH_INVALID,
        "path length",
    ),
    "its own issuer": lambda: Path(
        leaf := Issued((own := ROOT).certificate, own.path, own.key),
        Code.PATH_INVALID,
        "self signed",
        sent=leaf.chain,
        root=CA,
    ),
}


def _staples(path: Path, certificates: tuple[x509.Certificate, ...]) -> list[bytes | None]:
    """An honest staple for each certificate that was sent, by whoever issued it, if that can be."""
    signers = {each.certificate.subject: each for each in (ROOT, CA, _weak_ca())}
    found: list[bytes | None] = []
    links = {link.subject: link for link in path.leaf.as_chain().links}
    for certificate in certificates:
        signer = signers.get(certificate.issuer)
        link = links.get(certificate)
        found.append(good(link, signer, path.at) if signer is not None and link is not None else None)
    return found


@both_versions
@pytest.mark.parametrize("make", PATHS.values(), ids=PATHS)
def test_both_engines_say_the_same_of_a_path(make: Callable[[], Path], version: str) -> None:
    path = make()
    sent = path.sent if path.sent is not None else path.leaf.chain[:-1]
    context = ClientContext([path.root.certificate], at=path.at, maximum=version)
    policy, name = preset("soft-fail"), service_name(path.name)
    seen = []
    for client in (
        ClientTLS(context, name, policy, path.at),
        ChainClientTLS(context, name, policy, path.at, maximum=version),
    ):
        server = shake(client, ChainServer(path.leaf, _staples(path, sent), version=version, chain=sent))
        verdict = client.verdict
        assert verdict is not None
        said = [(reason.code, reason.detail) for reason in verdict.all_reasons]
        seen.append((verdict.outcome, said, [each.subject for each in verdict.certificates]))
        assert [code for code, _ in said] == ([] if path.reason is None else [path.reason])
        assert all(path.says in detail for _, detail in said)
        if path.alert is not None:
            assert server.alert == path.alert
        assert server.completed is (path.reason is None)
    assert seen[0] == seen[1]


@both_versions
@pytest.mark.parametrize("place", [0, 1], ids=["leaf", "CA"])
def test_both_engines_refuse_a_certificate_that_only_openssl_can_load(version: str, place: int) -> None:
    upper = Issued(CA.certificate, CA.path, CA.key)
    leaf = CA.leaf(["localhost"])
    shown = [each.public_bytes(Encoding.DER) for each in leaf.chain[:-1]]
    shown[place] = _signed_again((leaf, upper)[place], (CA, ROOT)[place], SHA256(), version=3)
    context = ClientContext([ROOT.certificate], at=AT, maximum=version)
    policy, name = preset("soft-fail"), service_name("localhost")
    for client in (ClientTLS(context, name, policy, AT), ChainClientTLS(context, name, policy, AT, maximum=version)):
        server = ChainServer(leaf, version=version)
        server.tls._credentials.certificates = tuple(shown)
        shake(client, server)
        assert client.verdict is not None
        assert [reason.code for reason in client.verdict.all_reasons] == [Code.PATH_INVALID]
        assert "cannot be read" in client.verdict.headline
        assert not server.completed
