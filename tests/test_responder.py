"""What the responder says of certificates: good, revoked, unknown, for several at once, signed anew and ahead."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from certtools.ca_dir import CaDir, issuer_id
from certtools.chain import Link
from certtools.forge import ResponderId
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status
from mustaple.net.exchange import ocsp_request
from mustaple.net.fetch import fetch_ocsp, new_nonce
from mustaple.net.responder import (
    read_request,
)
from mustaple.net.responder.register import RegisterAnswers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from responder_house import CA, MALFORMED, NOW, ROOT, TRY_LATER, UNAUTHORIZED, House, house, new_leaf, several

HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


@pytest.mark.requirement("RFC6960-4.1.1-2")
@pytest.mark.parametrize("algorithm", HASHES.values(), ids=HASHES)
def test_a_certificate_is_good_by_whatever_hash(home: House, algorithm: hashes.HashAlgorithm) -> None:
    assert home.status(hash_algorithm=algorithm) is Status.GOOD
    body = fetch_ocsp(home.link, url=home.server.url, hash_algorithm=algorithm).body
    assert ocsp.load_der_ocsp_response(body).hash_algorithm.name == algorithm.name


def test_a_revoked_certificate_is_revoked_with_time_and_reason(home: House) -> None:
    assert home.status() is Status.GOOD
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.key_compromise, NOW)
    assert home.status() is Status.REVOKED
    response = ocsp.load_der_ocsp_response(fetch_ocsp(home.link, url=home.server.url).body)
    assert response.revocation_time_utc == NOW.replace(microsecond=0)
    assert response.revocation_reason is x509.ReasonFlags.key_compromise


REVOKE = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from certtools.ca_dir import CaDir
    with CaDir.open(Path(sys.argv[1])) as ca:
        ca.revoke(int(sys.argv[2], 16), None, datetime.now(UTC))
"""


def test_a_revocation_by_another_process_shows_in_the_very_next_answer(home: House) -> None:
    others = new_leaf(home)
    for _ in range(3):
        assert (home.status(), home.status(others)) == (Status.GOOD, Status.GOOD)
    serial = f"{home.link.serial_number:x}"
    subprocess.run([sys.executable, "-c", textwrap.dedent(REVOKE), str(home.folder), serial], check=True, timeout=60)
    assert (home.status(), home.status(others)) == (Status.REVOKED, Status.GOOD)
    assert (home.status(nonce=new_nonce()), home.post(ocsp_request(home.link)) != b"") == (Status.REVOKED, True)


def test_a_hold_that_is_lifted_is_good_again(home: House) -> None:
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.certificate_hold, NOW)
    assert home.status() is Status.REVOKED
    home.ca.revoke(home.leaf.certificate, x509.ReasonFlags.remove_from_crl, NOW)
    assert home.status() is Status.GOOD


@pytest.mark.requirement("RFC6960-2.2-4")
def test_a_serial_never_issued_is_unknown_until_it_is_issued(home: House) -> None:
    issued = CA.leaf(["localhost"])
    link = Link(issued.certificate, CA.certificate)
    assert home.status(link) is Status.UNKNOWN
    home.ca.record(issued.certificate)
    assert home.status(link) is Status.GOOD


@pytest.mark.requirement("RFC9919-3.2.3-1", "RFC6960-2.3-1")
def test_another_cas_certificate_is_not_ours_to_speak_of(home: House) -> None:
    stranger = ROOT.intermediate("another CA")
    link = Link(stranger.leaf(["localhost"]).certificate, stranger.certificate)
    assert home.post(ocsp_request(link)) == UNAUTHORIZED
    assert home.server.log.recent[-1].why == "not a CA of this directory"
    # The intermediate itself, issued by the root, whose directory this is too, is answered for.
    assert home.status(Link(CA.certificate, ROOT.certificate)) is Status.GOOD


@pytest.mark.requirement("RFC6960-4.2.2.3-3")
def test_several_certificates_get_an_answer_each_in_their_order(home: House) -> None:
    links = [new_leaf(home) for _ in range(3)]
    home.ca.revoke(links[1].subject, None, NOW)
    unheard = Link(CA.leaf(["localhost"]).certificate, CA.certificate)
    body = home.post(several(*links, unheard, links[0]))
    singles = list(ocsp.load_der_ocsp_response(body).responses)
    expected = [*links, unheard, links[0]]
    assert [each.serial_number for each in singles] == [link.serial_number for link in expected]
    assert [each.certificate_status.name for each in singles] == ["GOOD", "REVOKED", "GOOD", "UNKNOWN", "GOOD"]
    assert judge(body, links[0], datetime.now(UTC)).status is Status.GOOD
    assert home.server.log.recent[-1].answered == ("good", "revoked", "good", "unknown", "good")


def test_certificates_of_two_cas_in_one_request_are_refused(home: House) -> None:
    assert home.post(several(home.link, Link(CA.certificate, ROOT.certificate))) == UNAUTHORIZED
    assert home.server.log.recent[-1].why == "several CAs in one request"


@pytest.mark.requirement("RFC9654-2.1-3")
@pytest.mark.parametrize("length", [1, 32, 128])
def test_a_nonce_comes_back_each_time_anew(home: House, length: int) -> None:
    nonces = [new_nonce(length), b"\0" * length]
    for nonce in nonces:
        body = home.post(ocsp_request(home.link, nonce=nonce))
        response = ocsp.load_der_ocsp_response(body)
        assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
        assert judge(body, home.link, datetime.now(UTC), nonce=nonce).status is Status.GOOD
    assert home.server.log.recent[-1].nonce


@pytest.mark.requirement("RFC9654-2.1-3")
@pytest.mark.parametrize("length", [0, 129])
def test_a_nonce_of_another_length_is_malformed(home: House, length: int) -> None:
    assert home.post(several(home.link, nonces=(bytes(length),))) == MALFORMED
    assert f"the nonce has {length} bytes" in str(home.server.log.recent[-1].why)
    assert home.post(several(home.link, nonces=(bytes(1),))) != MALFORMED


@pytest.mark.requirement("RFC9919-3.2.4-1")
def test_times_are_whole_seconds_and_end_with_the_signer(tmp_path: Path) -> None:
    with house(tmp_path, valid_for=timedelta(days=400)) as home:
        response = ocsp.load_der_ocsp_response(fetch_ocsp(home.link, url=home.server.url).body)
    assert response.next_update_utc == CA.certificate.not_valid_after_utc
    assert response.this_update_utc == response.produced_at_utc
    assert response.this_update_utc <= datetime.now(UTC)


def test_the_lifetime_is_the_one_asked_for(tmp_path: Path) -> None:
    with house(tmp_path, valid_for=timedelta(seconds=300)) as home:
        response = ocsp.load_der_ocsp_response(fetch_ocsp(home.link, url=home.server.url).body)
    assert response.next_update_utc is not None
    assert response.next_update_utc - response.this_update_utc == timedelta(seconds=300)


def test_a_lifetime_below_a_second_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a second at least"), house(tmp_path, valid_for=timedelta(milliseconds=999)):
        pass


@pytest.mark.requirement("RFC9919-3.2.2-1")
@pytest.mark.parametrize("delegated", [False, True], ids=["direct", "delegated"])
@pytest.mark.parametrize("kind", [None, ResponderId.NAME, ResponderId.KEY], ids=["default", "name", "key"])
def test_the_signer_and_its_name_are_those_asked_for(
    tmp_path: Path, kind: ResponderId | None, *, delegated: bool
) -> None:
    with house(tmp_path, delegated=delegated, responder_id=kind) as home:
        assert home.status() is Status.GOOD
        response = ocsp.load_der_ocsp_response(fetch_ocsp(home.link, url=home.server.url).body)
    assert bool(response.certificates) is delegated
    signer = response.certificates[0] if delegated else CA.certificate
    if kind is ResponderId.KEY:
        assert response.responder_key_hash is not None
    else:
        assert response.responder_name == signer.subject


def test_an_answer_is_kept_until_half_life_and_then_signed_anew(tmp_path: Path) -> None:
    with CaDir.create(tmp_path / "ca", CA) as ca:
        leaf = CA.leaf(["localhost"])
        ca.record(leaf.certificate)
        answers = RegisterAnswers(ca, valid_for=timedelta(hours=2))
        question = read_request(ocsp_request(Link(leaf.certificate, CA.certificate)))
        at = NOW.replace(microsecond=0)
        first = answers.answer(question, at)
        assert answers.answer(question, at + timedelta(minutes=59)) is first
        second = answers.answer(question, at + timedelta(hours=1))
        assert second.this_update == at + timedelta(hours=1)
        other = CA.leaf(["other"])
        ca.record(other.certificate)  # another version of the register, and the same facts
        assert answers.answer(question, at + timedelta(hours=1)) is second
        ca.revoke(leaf.certificate, None, at)
        assert answers.answer(question, at + timedelta(hours=1)).answered == ("revoked",)


def test_answers_are_signed_ahead_once_and_again_when_due(tmp_path: Path) -> None:
    with CaDir.create(tmp_path / "ca", CA) as ca:
        leaf, old = CA.leaf(["localhost"]), CA.leaf(["old"], not_after=NOW - timedelta(hours=1))
        ca.record(leaf.certificate)
        ca.record(old.certificate)
        answers = RegisterAnswers(ca, valid_for=timedelta(hours=2))
        ahead = list(answers.sign_ahead(NOW))
        assert len(ahead) == 4, "the intermediate and the leaf, with SHA-1 and SHA-256; not the expired one"
        assert list(answers.sign_ahead(NOW)) == []
        link = Link(leaf.certificate, CA.certificate)
        for algorithm in (hashes.SHA1(), hashes.SHA256()):
            reply = answers.answer(read_request(ocsp_request(link, algorithm)), NOW)
            assert any(reply is each for each in ahead)
        assert len(list(answers.sign_ahead(NOW + timedelta(hours=1)))) == 4
        ca.record(CA.leaf(["new"]).certificate)
        assert len(list(answers.sign_ahead(NOW + timedelta(hours=1)))) == 6


def test_a_signer_that_has_expired_signs_nothing(tmp_path: Path) -> None:
    with CaDir.create(tmp_path / "ca", CA) as ca:
        question = read_request(ocsp_request(Link(CA.leaf(["localhost"]).certificate, CA.certificate)))
        late = CA.certificate.not_valid_after_utc
        assert RegisterAnswers(ca).answer(question, late - timedelta(seconds=1)).answered == ("unknown",)
        reply = RegisterAnswers(ca).answer(question, late)
        assert reply.answered == ("internalError",)
        assert "has expired" in str(reply.why)


@pytest.mark.requirement("RFC6960-2.3-1")
def test_a_register_that_is_gone_is_try_later(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        assert home.status() is Status.GOOD
        answers: Any = home.server.app._answers
        answers._ca.close()
        assert home.post(ocsp_request(home.link)) == TRY_LATER
        assert "register" in str(home.server.log.recent[-1].why)
        crl = home.ask("GET", f"/crl/{issuer_id(CA.certificate)}.crl")
        assert (crl.status, crl.getheader("Retry-After")) == (503, "1")
