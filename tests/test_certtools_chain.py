"""Chains are made of real signatures, from any order and any of three formats; a missing link is named."""

from __future__ import annotations

import hashlib
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PublicFormat,
    pkcs12,
)

from certtools.authority import Authority
from certtools.chain import (
    MAX_CERTIFICATES,
    Chain,
    ChainError,
    Link,
    build_chain,
    is_authority,
    load_certificates,
    load_pkcs12,
    name_of,
    signed_by,
    to_pem,
)
from certtools.feature import FeatureError
from certtools.forge.signing import sign_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives import hashes

    from certtools.authority import Issued


def certify(authority: Authority, subject: Authority, serial_number: int | None = None) -> x509.Certificate:
    """A certificate by `authority` for the name and key that `subject` has already."""
    name = subject.certificate.subject
    return authority.intermediate(name, key=subject.key, serial_number=serial_number).certificate


def test_a_bundle_in_any_order_gives_the_chain(chain: Chain) -> None:
    for order in itertools.permutations(chain.certificates):
        assert build_chain(load_certificates(to_pem(order))) == chain


def test_a_chain_has_a_link_for_each_certificate_below_the_top(chain: Chain) -> None:
    leaf, intermediate, root = chain.certificates
    assert chain.links == (Link(leaf, intermediate), Link(intermediate, root))
    assert (chain.leaf, chain.top, chain.complete) == (leaf, root, True)
    assert not Chain((leaf, intermediate)).complete
    assert Chain((root,)).links == ()
    assert all(signed_by(link.subject, link.issuer) for link in chain.links)
    with pytest.raises(ChainError, match="at least one"):
        Chain(())


def test_a_certificate_that_stands_twice_counts_once(chain: Chain) -> None:
    assert build_chain([*chain.certificates, *chain.certificates]) == chain


def test_signatures_decide_and_not_names(at: datetime, chain: Chain, root: Authority) -> None:
    namesake = Authority.root(root.certificate.subject, not_before=at, not_after=at + timedelta(days=1)).certificate
    assert namesake.subject == chain.top.subject
    assert not signed_by(chain.certificates[1], namesake)
    assert build_chain([namesake, *chain.certificates]).top == chain.top
    with pytest.raises(ChainError, match="no certificate here signed 'CN=test CA'"):
        build_chain([*chain.certificates[:2], namesake])


def test_a_missing_link_is_named(chain: Chain) -> None:
    leaf, _, root = chain.certificates
    with pytest.raises(
        ChainError, match="no certificate here signed 'CN=localhost'; add the certificate of 'CN=test CA'"
    ):
        build_chain([root, leaf])


def test_a_chain_without_its_root_is_one_unless_it_must_be_complete(chain: Chain, rogue: Authority) -> None:
    sent = chain.certificates[:2]
    assert build_chain(sent) == Chain(sent)
    assert build_chain(sent[:1]) == Chain(sent[:1])
    with pytest.raises(ChainError, match="no certificate here signed 'CN=test CA'"):
        build_chain(sent, complete=True)
    assert build_chain(sent, anchors=[chain.top], complete=True) == chain
    assert build_chain(sent, anchors=[rogue.certificate]) == Chain(sent)
    with pytest.raises(ChainError, match="no certificate here signed"):
        build_chain(sent, anchors=[rogue.certificate], complete=True)


def test_an_anchor_ends_the_chain_wherever_it_stands(chain: Chain) -> None:
    leaf, intermediate, root = chain.certificates
    assert build_chain([leaf, root], anchors=[intermediate], complete=True) == Chain((leaf, intermediate))
    assert build_chain([root], anchors=[root], complete=True) == Chain((root,))
    assert build_chain([], anchors=[root]) == Chain((root,))


def test_the_leaf_is_the_certificate_that_signed_no_other(chain: Chain, other: Issued, root: Authority) -> None:
    spare = root.intermediate("spare CA")
    assert build_chain([spare.certificate, *chain.certificates]) == chain, "a CA is no leaf where there is a better one"
    with pytest.raises(
        ChainError, match=r"more than one certificate .*'CN=localhost', 'CN=other\.example'; name the leaf"
    ):
        build_chain([*chain.certificates, other.certificate])
    named = build_chain([*chain.certificates, other.certificate], leaf=other.certificate)
    assert named == other.as_chain()
    assert build_chain(chain.certificates[1:], leaf=chain.leaf) == chain


def test_nothing_and_too_much_are_refused(chain: Chain, root: Authority) -> None:
    with pytest.raises(ChainError, match="no certificate here"):
        build_chain([])
    crowd = [certify(root, root, serial + 1) for serial in range(MAX_CERTIFICATES + 1)]
    with pytest.raises(ChainError, match=f"{MAX_CERTIFICATES + 1} certificates here"):
        build_chain(crowd)


def test_cross_signing_gives_the_shortest_way_to_a_root(at: datetime, root: Authority, intermediate: Authority) -> None:
    old = Authority.root("old root", not_before=at, not_after=at + timedelta(days=90))
    crossed = certify(old, root)
    leaf = intermediate.leaf(["localhost"]).certificate
    sent = [leaf, intermediate.certificate, crossed]
    assert build_chain([*sent, old.certificate]) == Chain((*sent, old.certificate))
    assert build_chain([*sent, old.certificate, root.certificate]).top == root.certificate
    assert build_chain(sent, anchors=[old.certificate], complete=True).top == old.certificate


def test_two_authorities_that_signed_each_other_are_no_endless_chain(at: datetime) -> None:
    day = timedelta(days=1)
    one, two = (Authority.root(name, not_before=at, not_after=at + day) for name in ("one", "two"))
    loop = [certify(one, two), certify(two, one)]
    assert build_chain(loop).certificates == tuple(loop)
    with pytest.raises(ChainError, match="link is missing"):
        build_chain(loop, complete=True)
    leaf = one.leaf(["localhost"]).certificate
    assert build_chain([leaf, *loop, two.certificate]).certificates == (leaf, loop[1], two.certificate)


def test_a_thicket_of_cross_signatures_is_searched_in_no_time(at: datetime) -> None:
    """Eight authorities that all signed each other: 8! paths without repetition, none of which ends."""
    day = timedelta(days=1)
    crowd = [Authority.root(f"CA {index}", not_before=at, not_after=at + day) for index in range(8)]
    thicket = [certify(one, two) for one, two in itertools.permutations(crowd, 2)]
    leaf = crowd[0].leaf(["localhost"]).certificate
    found = build_chain([leaf, *thicket])
    assert found.leaf == leaf
    assert not found.complete
    assert build_chain([leaf, *thicket, crowd[0].certificate]).certificates == (leaf, crowd[0].certificate)


def test_pem_der_and_pkcs12_hold_the_same(chain: Chain, leaf: Issued) -> None:
    assert load_certificates(to_pem(chain.certificates)) == list(chain.certificates)
    assert load_certificates(b"Some words first\n" + leaf.key_pem() + leaf.chain_pem(root=True)) == list(
        chain.certificates
    )
    assert load_certificates(chain.leaf.public_bytes(Encoding.DER)) == [chain.leaf]
    sealed = pkcs12.serialize_key_and_certificates(
        b"leaf", leaf.key, leaf.certificate, list(chain.certificates[1:]), BestAvailableEncryption(b"secret")
    )
    assert build_chain(load_certificates(sealed, b"secret")) == chain
    key, certificates = load_pkcs12(sealed, b"secret")
    assert key is not None
    assert key.public_key() == leaf.key.public_key()
    assert certificates[0] == leaf.certificate
    with pytest.raises(ChainError, match="PKCS#12 file with another password"):
        load_certificates(sealed, b"other")
    with pytest.raises(ChainError, match="PKCS#12 file with another password"):
        load_certificates(sealed)


def test_a_pkcs12_file_may_hold_certificates_without_a_key_but_not_a_key_alone(leaf: Issued, root: Authority) -> None:
    only = pkcs12.serialize_key_and_certificates(None, None, None, [root.certificate], NoEncryption())
    assert load_certificates(only) == [root.certificate]
    bare = pkcs12.serialize_key_and_certificates(b"key", leaf.key, None, None, NoEncryption())
    with pytest.raises(ChainError, match="holds no certificate"):
        load_certificates(bare)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no certificate in PEM, DER or PKCS#12"),
        (b"\x30\x03\x02\x01\x00", "no certificate in PEM, DER or PKCS#12"),
        (b"hello", "no certificate in PEM, DER or PKCS#12"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no readable PEM certificate here"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no readable PEM certificate here"),
    ],
)
def test_what_is_no_certificate_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ChainError, match=why):
        load_certificates(data)


def test_a_certificate_of_a_version_that_there_is_not_is_refused(root: Authority) -> None:
    version = bytes.fromhex("a0030201")
    for encoding in (Encoding.DER, Encoding.PEM):
        der = root.certificate.public_bytes(Encoding.DER).replace(version + b"\2", version + b"\5", 1)
        data = der if encoding is Encoding.DER else _armored(der)
        with pytest.raises(ChainError, match="5 is not a valid X509 version"):
            load_certificates(data)


def _armored(der: bytes) -> bytes:
    from asn1crypto import pem

    return bytes(pem.armor("CERTIFICATE", der))


def test_a_file_of_something_else_in_pem_is_refused(leaf: Issued) -> None:
    with pytest.raises(ChainError, match="it holds something else"):
        load_certificates(leaf.key_pem())


def test_a_byte_after_a_der_certificate_is_refused(chain: Chain) -> None:
    with pytest.raises(ChainError, match="no certificate"):
        load_certificates(chain.leaf.public_bytes(Encoding.DER) + b"\0")


@pytest.mark.requirement("RFC6960-4.1.1-1")
@pytest.mark.parametrize("algorithm", ["sha1", "sha224", "sha256", "sha384", "sha512"])
def test_a_cert_id_hashes_the_issuers_name_and_its_bare_key(chain: Chain, algorithm: str) -> None:
    from asn1crypto.keys import PublicKeyInfo
    from cryptography.hazmat.primitives import hashes

    link = chain.links[0]
    spki = link.issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bare = bytes(PublicKeyInfo.load(spki)["public_key"])
    chosen: hashes.HashAlgorithm = getattr(hashes, algorithm.upper())()
    expected = tuple(hashlib.new(algorithm, each).digest() for each in (link.issuer.subject.public_bytes(), bare))
    assert link.cert_id(chosen) == expected
    assert link.cert_id(chosen) is link.cert_id(chosen), "computed once"


@pytest.mark.requirement("RFC6960-4.1.1-1")
def test_a_cert_id_by_an_unknown_hash_identifies_nothing(chain: Chain) -> None:
    from cryptography.hazmat.primitives.hashes import MD5

    with pytest.raises(ValueError, match="SHA"):
        chain.links[0].cert_id(MD5())


def test_a_link_knows_its_subject(chain: Chain) -> None:
    link = chain.links[0]
    assert link.serial_number == chain.leaf.serial_number
    assert link.fingerprint == hashlib.sha256(chain.leaf.public_bytes(Encoding.DER)).digest()
    assert link.responder_id.endswith(link.issuer.subject.public_bytes())
    assert link.responder_id[0] == 0xA1


def test_features_are_read_once_for_the_whole_chain_and_a_broken_list_is_told(intermediate: Authority) -> None:
    def features_of(features: tuple[int, ...] | None) -> object:
        return intermediate.leaf(["localhost"], features=features).as_chain().features[0]

    assert features_of((5, 99)) == (5, 99)
    assert features_of(None) is None
    broken = intermediate.leaf(["localhost"], features=(5,)).certificate.public_bytes(Encoding.DER)
    value = bytes.fromhex("06082b0601050507011804053003020105")
    assert value in broken
    spoiled = x509.load_der_x509_certificate(broken.replace(value, value[:-3] + b"\x0c\x01\x35"))
    assert isinstance(Chain((spoiled,)).features[0], FeatureError)


def test_names_are_readable_whatever_they_hold(chain: Chain, intermediate: Authority) -> None:
    assert name_of(chain.leaf) == "CN=localhost"
    nameless = intermediate.leaf(["a" * 60 + ".example"], serial_number=0xBEEF)
    assert name_of(nameless.certificate) == "serial beef"
    der = chain.leaf.public_bytes(Encoding.DER)
    invalid = x509.load_der_x509_certificate(der.replace(b"\x0c\x09localhost", b"\x0c\x09\xff\xfeocalhos", 1))
    assert name_of(invalid) == f"serial {chain.leaf.serial_number:x}"
    assert not signed_by(invalid, intermediate.certificate)


def test_a_missing_issuer_with_an_unreadable_name_is_said_so(chain: Chain, rogue: Authority) -> None:
    der = chain.leaf.public_bytes(Encoding.DER)
    invalid = x509.load_der_x509_certificate(der.replace(b"\x0c\x07test CA", b"\x0c\x07\xff\xfeST CA", 1))
    with pytest.raises(ChainError, match="add the certificate of 'its issuer'"):
        build_chain([invalid, rogue.certificate])


def test_a_leaf_with_an_unreadable_name_has_its_chain(chain: Chain, intermediate: Authority) -> None:
    from asn1crypto.x509 import Certificate

    tbs = chain.leaf.tbs_certificate_bytes.replace(b"\x0c\x09localhost", b"\x0c\x09\xff\xfeocalhos", 1)
    algorithm, signature = sign_bytes(tbs, intermediate.key)
    whole = Certificate({"signature_algorithm": algorithm, "signature_value": signature})
    whole["tbs_certificate"] = Certificate.load(chain.leaf.public_bytes(Encoding.DER))["tbs_certificate"].load(tbs)
    nameless = x509.load_der_x509_certificate(whole.dump())
    with pytest.raises(ValueError, match="subject"):
        _ = nameless.subject
    assert build_chain([*chain.certificates[1:], nameless]) == Chain((nameless, *chain.certificates[1:]))


def test_only_basic_constraints_make_a_ca(chain: Chain, intermediate: Authority) -> None:
    assert [is_authority(each) for each in chain.certificates] == [False, True, True]
    assert is_authority(intermediate.intermediate("strange", features=(5, 99)).certificate)
