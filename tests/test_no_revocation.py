"""Leaves that live without revocation information, live: the policy lets noRevAvail or a short life excuse them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID
from evidence_world import Shop, codes, nobody

from certtools.authority import Issued
from mustaple.core.policy import NoRevAvail, preset
from mustaple.core.verdict import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_REV_AVAIL: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")
POINT: Final = x509.DistributionPoint([x509.UniformResourceIdentifier("http://127.0.0.1:9/")], None, None, None)
HARD: Final = preset("hard-fail")
WEEK: Final = timedelta(days=7)


class Leaf(Shop):
    """A shop whose leaf has these extensions besides the usual ones, and lives this long from an hour ago."""

    def __init__(self, *extensions: x509.ExtensionType, life: timedelta = 10 * WEEK, ocsp: Sequence[str] = ()) -> None:
        super().__init__(ocsp)
        key = ec.generate_private_key(ec.SECP256R1())
        begin = self.now - timedelta(hours=1)
        usual = (
            x509.SubjectAlternativeName([x509.DNSName("localhost")]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            x509.BasicConstraints(ca=False, path_length=None),
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.ca.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + life)
        )
        for extension in (*usual, *extensions):
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.SubjectAlternativeName))
        certificate = builder.sign(self.ca.key, SHA256())
        self.leaf = Issued(certificate, (certificate, self.ca.certificate, self.root.certificate), key)


@pytest.mark.requirement("RFC9608-4-1")
def test_no_rev_avail_excuses_where_the_policy_says_so() -> None:
    accepting = replace(HARD, no_rev_avail=NoRevAvail.ACCEPT)
    verdict = Leaf(NO_REV_AVAIL).check(accepting)
    assert verdict.accepted
    assert Code.NO_REVOCATION_AVAILABLE in {note.code for note in verdict.certificates[0].notes}
    assert verdict.requests == ()
    assert not Leaf(NO_REV_AVAIL).check(HARD).accepted
    assert not Leaf().check(accepting).accepted
    assert not Leaf(NO_REV_AVAIL, x509.CRLDistributionPoints([POINT])).check(accepting).accepted


@pytest.mark.requirement("RFC9608-4-1")
def test_no_rev_avail_excuses_from_no_promise() -> None:
    promising = Leaf(NO_REV_AVAIL, x509.TLSFeature([x509.TLSFeatureType.status_request]))
    assert codes(promising.check(replace(HARD, no_rev_avail=NoRevAvail.ACCEPT))) == ["promise-broken"]


@pytest.mark.requirement("RFC9608-1-1")
def test_a_short_life_excuses_where_the_policy_says_so() -> None:
    with nobody() as down:
        shop = Leaf(life=WEEK - timedelta(seconds=1), ocsp=[down])
        verdict = shop.check(replace(HARD, short_lived=WEEK))
        assert verdict.accepted
        assert Code.SHORT_LIVED in {note.code for note in verdict.certificates[0].notes}
        assert verdict.requests == ()
        assert not shop.check(replace(HARD, short_lived=WEEK - timedelta(seconds=1))).accepted
        assert not shop.check(HARD).accepted
        assert not Leaf(life=WEEK + timedelta(seconds=1)).check(replace(HARD, short_lived=WEEK)).accepted


@pytest.mark.requirement("RFC9608-1-1")
def test_a_revoked_staple_is_not_excused() -> None:
    shop = Leaf(NO_REV_AVAIL, life=WEEK / 2)
    policy = replace(HARD, no_rev_avail=NoRevAvail.ACCEPT, short_lived=WEEK)
    assert codes(shop.check(policy, crls=[shop.revoking()])) == ["revoked"]
    assert shop.check(policy, crls=[shop.crl()]).accepted
