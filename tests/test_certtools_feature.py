"""The TLS Feature extension: any list goes in and comes out, broken ones are refused, each reading has its demands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from certtools.authority import feature_warnings, must_staple_csr
from certtools.feature import (
    OID,
    Demand,
    FeatureError,
    Reading,
    decode_features,
    demand,
    encode_features,
    extension,
    inheritance_fault,
    not_inherited,
    read_features,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certtools.authority import Authority

LISTS: list[tuple[int, ...]] = [(5,), (5, 17), (17, 5), (5, 5), (5, 99), (), (0,), (-3,), (65536,), (1 << 80,)]
BROKEN = {
    "not a sequence": "020105",
    "a string in it": "30030c0135",
    "cut short": "300302",
    "a byte after it": "300302010500",
    "a length in two bytes where one does": "30810302 0105",
    "an integer with a needless zero": "300402020005",
    "of no defined length": "3080020105 0000",
    "empty": "",
}


def certificate(at: datetime, *extensions: x509.ExtensionType) -> x509.Certificate:
    """A self-signed certificate that holds these extensions, twice where they are given twice."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hostile")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), 5, at.replace(tzinfo=None), at.replace(tzinfo=None, year=at.year + 1)
    )
    for value in extensions:
        builder = builder.add_extension(value, critical=False)
    return builder.sign(key, SHA256())


@pytest.mark.requirement("RFC7633-4.1-1")
@pytest.mark.parametrize("features", LISTS, ids=str)
def test_any_list_is_issued_and_read_back_in_its_order(intermediate: Authority, features: tuple[int, ...]) -> None:
    issued = intermediate.leaf(["localhost"], features=features)
    assert read_features(issued.certificate) == features
    csr = must_staple_csr(["localhost"], issued.key, features)
    assert read_features(csr) == features


def test_no_extension_is_not_an_empty_list(intermediate: Authority) -> None:
    issued = intermediate.leaf(["localhost"], features=None)
    assert read_features(issued.certificate) is None
    assert read_features(must_staple_csr(["localhost"], issued.key, None)) is None
    assert read_features(must_staple_csr(["localhost"], issued.key, ())) == ()


@pytest.mark.requirement("RFC7633-4-2")
def test_the_extension_is_not_critical(intermediate: Authority) -> None:
    issued = intermediate.leaf(["localhost"])
    csr = must_staple_csr(["localhost"], issued.key)
    for holder in (issued.certificate, csr):
        assert not holder.extensions.get_extension_for_oid(OID).critical


@given(st.lists(st.integers(min_value=-(1 << 70), max_value=1 << 70), max_size=40))
def test_encoding_and_decoding_undo_each_other(values: list[int]) -> None:
    assert decode_features(encode_features(values)) == tuple(values)


@pytest.mark.requirement("RFC7633-4-1")
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_list_is_refused_and_not_taken_for_no_promise(at: datetime, data: str) -> None:
    der = bytes.fromhex(data)
    with pytest.raises(FeatureError, match="malformed"):
        decode_features(der)
    with pytest.raises(FeatureError, match="malformed"):
        read_features(certificate(at, x509.UnrecognizedExtension(OID, der)))


@pytest.mark.requirement("RFC7633-4-1")
def test_a_list_that_stands_twice_is_refused(at: datetime) -> None:
    one = certificate(at, extension([5]), x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.25"), b""))
    assert read_features(one) == (5,)
    # The builder refuses to say a thing twice, so the OID of its neighbour is bent into the same.
    twice = x509.load_der_x509_certificate(der(one).replace(oid_der(25), oid_der(24)))
    with pytest.raises(FeatureError, match="twice"):
        read_features(twice)


def test_the_list_is_read_where_another_extension_stands_twice(at: datetime) -> None:
    others = [
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.5.5.7.1.{last}"), b"\5\0") for last in (25, 26)
    ]
    one = certificate(at, extension([5]), *others)
    twice = x509.load_der_x509_certificate(der(one).replace(oid_der(26), oid_der(25)))
    with pytest.raises(x509.DuplicateExtension):
        _ = twice.extensions
    assert read_features(twice) == (5,)


def test_the_oid_elsewhere_than_among_the_extensions_is_no_promise(intermediate: Authority) -> None:
    name = x509.Name([x509.NameAttribute(OID, "5")])
    decoy = intermediate.intermediate(name)
    assert read_features(decoy.certificate) is None
    csr = x509.CertificateSigningRequestBuilder(name).sign(decoy.key, SHA256())
    assert read_features(csr) is None


def test_a_request_whose_extensions_are_none_is_no_promise_and_not_read(intermediate: Authority) -> None:
    request = x509.ObjectIdentifier("1.2.840.113549.1.9.14")
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_attribute(request, oid_der(24))
    with pytest.raises(FeatureError, match="cannot be read"):
        read_features(builder.sign(intermediate.key, SHA256()))


def der(holder: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return holder.public_bytes(Encoding.DER)


def oid_der(last: int) -> bytes:
    """The DER of an OID beside id-pe-tlsfeature, which ends in 24."""
    return bytes.fromhex("06082b060105050701") + bytes([last])


@pytest.mark.requirement("RFC7633-4.2.2-2")
@pytest.mark.parametrize(
    ("issuer", "subject", "missing", "missing_by_mozilla"),
    [
        (None, None, set(), set()),
        (None, (5,), set(), set()),
        ((), None, set(), set()),
        ((5,), (5,), set(), set()),
        ((5,), None, {5}, {5}),
        ((5,), (), {5}, {5}),
        ((5,), (5, 17), set(), {17}),
        ((5,), (17, 5), set(), {17}),
        ((5, 17), (5,), {17}, {17}),
        ((5, 17), (17, 5), set(), {5, 17}),
        ((), (), set(), set()),
    ],
)
def test_a_certificate_has_at_least_what_its_ca_has(
    issuer: tuple[int, ...] | None,
    subject: tuple[int, ...] | None,
    missing: set[int],
    missing_by_mozilla: set[int],
) -> None:
    assert not_inherited(issuer, subject) == missing
    assert not_inherited(issuer, subject, Reading.MOZILLA) == missing_by_mozilla


@pytest.mark.requirement("RFC7633-4.2.2-2")
@pytest.mark.parametrize(
    ("issuer", "subject", "by_rfc", "by_mozilla"),
    [
        (None, None, None, None),
        (None, (5,), None, None),
        ((5,), (5,), None, None),
        ((5,), (5, 17), None, "has the list [5, 17] where its CA has [5]"),
        ((5, 17), (17, 5), None, "has the list [17, 5] where its CA has [5, 17]"),
        ((5, 17), (5,), "lacks [17], which its CA promises for it", "has the list [5] where its CA has [5, 17]"),
        ((5,), None, "lacks [5], which its CA promises for it", "has no list where its CA has [5]"),
        ((), None, None, "has no list where its CA has []"),  # an empty list is still a list
        ((), (), None, None),
    ],
)
def test_why_a_list_does_not_fit_that_of_its_ca(
    issuer: tuple[int, ...] | None, subject: tuple[int, ...] | None, by_rfc: str | None, by_mozilla: str | None
) -> None:
    for reading in Reading:
        expected = by_mozilla if reading is Reading.MOZILLA else by_rfc
        assert inheritance_fault(issuer, subject, reading) == expected


NONE, LEAF, CHAIN = Demand(), Demand(leaf=True), Demand(leaf=True, chain=True)


@pytest.mark.requirement("RFC7633-4.2.3.1-1", "RFC7633-4.3.3-2")
@pytest.mark.parametrize(
    ("features", "offered", "tls13", "evidence", "gnutls"),
    [
        (None, {5, 17}, False, NONE, NONE),
        ((), {5, 17}, False, NONE, NONE),
        ((99,), {5, 17}, False, NONE, NONE),
        ((5,), set(), False, NONE, NONE),
        ((5,), {5}, False, LEAF, LEAF),
        ((5,), {17}, False, NONE, NONE),
        ((5,), {5}, True, LEAF, LEAF),
        ((17,), {5}, False, NONE, NONE),
        ((17,), {17}, False, CHAIN, NONE),
        ((17,), {5}, True, CHAIN, NONE),
        ((17,), {17}, True, NONE, NONE),
        ((17,), set(), True, NONE, NONE),
        ((5, 17), {17}, False, CHAIN, NONE),
        ((5, 17), {17}, True, NONE, NONE),
        ((5, 17), {5}, False, LEAF, LEAF),
        ((5, 17), {5, 17}, False, CHAIN, LEAF),
        ((5, 99), {5}, True, LEAF, LEAF),
    ],
)
def test_a_promise_is_about_evidence_and_binds_as_far_as_the_client_asked(
    features: tuple[int, ...] | None, offered: set[int], tls13: bool, evidence: Demand, gnutls: Demand
) -> None:
    asked = frozenset(offered)
    assert demand(features, reading=Reading.EVIDENCE, offered=asked, tls13=tls13) == evidence
    assert demand(features, reading=Reading.GNUTLS, offered=asked, tls13=tls13) == gnutls


@pytest.mark.requirement("RFC7633-4.3.3-3", "RFC7633-4.3.3-2")
@pytest.mark.parametrize(
    ("features", "offered", "expected"),
    [
        (None, {5}, NONE),
        ((5,), {5}, Demand(leaf=True, carriers=frozenset({5}))),
        ((5,), {17}, NONE),
        ((5,), {5, 17}, Demand(leaf=True, carriers=frozenset({5}))),
        ((17,), {5, 17}, Demand(leaf=True, chain=True, carriers=frozenset({17}))),
        ((5, 17), {5, 17}, Demand(leaf=True, chain=True, carriers=frozenset({5, 17}))),
        ((16,), {5, 16}, NONE),
    ],
)
def test_by_the_letter_each_promised_and_offered_extension_is_answered(
    features: tuple[int, ...] | None, offered: set[int], expected: Demand
) -> None:
    for tls13 in (False, True):
        assert demand(features, reading=Reading.RFC, offered=frozenset(offered), tls13=tls13) == expected


@pytest.mark.requirement("RFC7633-4.2.3-1")
@pytest.mark.parametrize("features", [(), (17,), (5, 17), (17, 5), (99, 5), (5, 99)], ids=str)
def test_mozilla_takes_no_value_but_five(features: Sequence[int]) -> None:
    refused = demand(tuple(features), reading=Reading.MOZILLA, offered=frozenset({5}), tls13=True)
    assert refused.unacceptable
    assert not refused.leaf
    assert str(list(features)) in feature_warnings(features)[0]


@pytest.mark.requirement("RFC7633-4.2.3-1")
def test_mozilla_takes_five_and_none() -> None:
    assert demand((5,), reading=Reading.MOZILLA, offered=frozenset({5}), tls13=True) == LEAF
    assert demand((5, 5), reading=Reading.MOZILLA, offered=frozenset({5}), tls13=True) == LEAF
    assert demand((5,), reading=Reading.MOZILLA, offered=frozenset({17}), tls13=False) == NONE
    assert demand((5,), reading=Reading.MOZILLA, offered=frozenset(), tls13=True) == NONE
    assert demand(None, reading=Reading.MOZILLA, offered=frozenset({5}), tls13=True) == NONE
    assert not feature_warnings((5,))
    assert not feature_warnings((5, 5))
    assert not feature_warnings(None)


@pytest.mark.requirement("RFC7633-4.2.2-1")
def test_issuing_warns_where_the_child_lacks_a_feature_of_its_ca() -> None:
    assert not feature_warnings((5,), (5,))
    assert not feature_warnings(None, None)
    (warning,) = feature_warnings(None, (5, 17))
    assert "[5, 17]" in warning
    assert "4.2.2" in warning
    assert len(feature_warnings((17,), (5,))) == 2  # not [5], and not what the CA has
