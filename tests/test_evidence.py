"""What the client gets for itself, live: which sources it asks, in which order, what it believes, what it tells."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from evidence_world import DAY, Depot, Shop, asked, codes, nobody, silent

from certtools.chain import Chain
from certtools.forge import Revoked, crl
from mustaple.core.decide import Situation, decide
from mustaple.core.errors import InputError
from mustaple.core.policy import Depth, preset
from mustaple.core.verdict import Code, Outcome, Source, Status
from mustaple.net.aclient import acheck
from mustaple.net.client import check
from mustaple.net.crl_cache import CrlCache
from mustaple.net.crl_files import GivenCrl, read_crls
from mustaple.net.evidence import settle
from mustaple.net.responder.reply import FunctionAnswers
from mustaple.net.responder.serving import ResponderServer
from mustaple.report.verdict_json import verdict_json
from mustaple.report.verdict_text import verdict_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ERROR = bytes.fromhex("30030a0106")  # unauthorized
CRL = "/ca.crl"


@pytest.fixture
def depot() -> Iterator[Depot]:
    with Depot() as opened:
        yield opened


@pytest.fixture
def down() -> Iterator[str]:
    """The URL of a responder that is down."""
    with nobody() as url:
        yield url


# --- the responder is down, and there is a CRL


@pytest.mark.requirement("RFC5280-4.2.1.13-1")
def test_a_good_crl_stands_in_for_a_responder_that_is_down(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    verdict = shop.check()
    assert verdict.accepted
    (certificate, _) = verdict.certificates
    assert [(each.source, each.status) for each in certificate.judgements] == [
        (Source.OCSP, Status.MISSING),
        (Source.CRL, Status.GOOD),
    ]
    assert certificate.judgement is not None
    assert certificate.judgement.origin == depot.url(CRL)


# Everything that can be wrong with it, and the code that refuses.
WRONG = {
    "revoked": "revoked",
    "expired": "crl-expired",
    "not-yet-valid": "crl-not-yet-valid",
    "bad-signature": "crl-bad-signature",
    "forged-signature": "crl-bad-signature",
    "sha1-signature": "crl-weak-signature",
    "delta": "crl-delta",
    "indirect": "crl-indirect",
    "only-authorities": "crl-scope",
    "only-some-reasons": "crl-reasons",
    "other-distribution-point": "crl-other-point",
    "critical-extension": "crl-critical-extension",
    "html": "crl-malformed",
    "truncated": "crl-malformed",
    "oversized": "crl-oversized",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_crl_that_is_wrong_refuses_with_its_code(depot: Depot, down: str, name: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    depot.files[CRL] = shop.crl(name)
    verdict = shop.check()
    assert verdict.outcome is Outcome.REFUSED
    assert codes(verdict) == [WRONG[name]]
    answer = "revoked" if name == "revoked" else f"unusable: {WRONG[name]}"
    assert asked(verdict)[1] == ("crl", depot.url(CRL), answer)


def test_our_responder_serves_the_crl_too(down: str) -> None:
    crls: dict[str, bytes] = {}
    with ResponderServer(FunctionAnswers(lambda _: ERROR, crls)) as responder:
        shop = Shop([responder.url], [f"{responder.root}/crl/ca.crl"])
        crls["ca"] = shop.crl()
        verdict = shop.check()
        assert verdict.accepted
        assert asked(verdict) == [
            ("ocsp", responder.url, "unusable: error-status"),
            ("crl", f"{responder.root}/crl/ca.crl", "good"),
        ]
        crls["ca"] = shop.revoking()
        assert codes(shop.check()) == ["revoked"]


def test_no_answer_anywhere_is_refused_and_everybody_who_was_asked_is_named(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url("/gone.crl")])
    verdict = shop.check()
    assert not verdict.accepted
    said = {reason.code for each in verdict.certificates[0].judgements for reason in each.reasons}
    assert said == {Code.UNREACHABLE, Code.CRL_UNREACHABLE}
    assert "404" in verdict.requests[1].answer


@pytest.mark.parametrize("urls", [(), ("ldap://127.0.0.1/cn=crl",)], ids=["none", "ldap"])
def test_a_certificate_that_names_no_crl_has_none(down: str, urls: tuple[str, ...]) -> None:
    verdict = Shop([down], urls).check()
    assert verdict.certificates[0].judgements[-1].reasons[0].code is Code.NO_CRL_URL
    assert [each.source for each in verdict.requests] == [Source.OCSP]


def test_a_policy_without_crls_asks_for_none(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    depot.files[CRL] = shop.revoking()
    assert shop.check("soft-fail").accepted
    assert not depot.asked


# --- each address in turn


def test_each_crl_address_is_tried_in_turn(depot: Depot, down: str) -> None:
    shop = Shop((), [down, depot.url("/gone.crl"), "ldap://127.0.0.1/", depot.url("/old.crl"), depot.url(CRL)])
    depot.files |= {CRL: shop.crl(), "/old.crl": shop.crl("expired")}
    verdict = shop.check()
    assert verdict.accepted
    assert depot.asked == ["/gone.crl", "/old.crl", CRL]
    assert [each.status.value for each in verdict.certificates[0].judgements] == [
        "missing",  # no OCSP URL
        *("missing", "missing", "unusable", "good"),
    ]


def test_each_ocsp_address_is_tried_in_turn(down: str) -> None:
    answers = {"bad": ERROR, "good": b""}
    with ExitStack() as stack:
        bad = stack.enter_context(ResponderServer(lambda _: answers["bad"]))
        right = stack.enter_context(ResponderServer(lambda _: answers["good"]))
        unasked = stack.enter_context(ResponderServer(lambda _: b"never"))
        shop = Shop([down, bad.url, right.url, unasked.url])
        answers["good"] = shop.staple()
        verdict = shop.check()
        assert verdict.accepted
        assert [(url, answer) for _, url, answer in asked(verdict)][1:] == [
            (bad.url, "unusable: error-status"),
            (right.url, "good"),
        ]
        assert not unasked.log.recent
        answers["good"] = ERROR
        assert not shop.check().accepted


def test_one_that_hangs_leaves_time_for_the_next(depot: Depot) -> None:
    with silent() as mute:
        shop = Shop([mute], [mute, depot.url(CRL)])
        depot.files[CRL] = shop.crl()
        verdict = shop.check(timeout=3.0)
    assert verdict.accepted
    assert [answer for _, _, answer in asked(verdict)][2] == "good"
    assert all("did not answer" in answer for _, _, answer in asked(verdict)[:2])


# --- what the client told the CA


def test_an_ocsp_request_names_the_certificate_and_a_crl_request_does_not(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    ocsp, crls = shop.check().requests
    assert (ocsp.serial_number, ocsp.method, ocsp.encrypted) == (shop.link.serial_number, "GET", False)
    assert (crls.serial_number, crls.method, crls.fingerprint) == (None, "GET", shop.link.fingerprint)
    assert replace(crls, url="https://ca.test/").encrypted
    assert not replace(crls, url="https://ca.test/", redirects=("http://ca.test/",)).encrypted


def test_where_a_request_went_on_to_is_told(depot: Depot) -> None:
    shop = Shop((), [depot.url("/moved.crl")])
    depot.files |= {"/moved.crl": depot.url(CRL), CRL: shop.crl()}
    (request,) = shop.check().requests
    assert (request.url, request.redirects) == (depot.url("/moved.crl"), (depot.url(CRL),))


def test_a_staple_costs_no_request(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    verdict = shop.check(staple=shop.staple())
    assert verdict.accepted
    assert verdict.requests == ()


def test_a_long_url_is_asked_by_post(down: str) -> None:
    (request,) = Shop([down + "x" * 200]).check("soft-fail").requests
    assert request.method == "POST"


def test_the_report_says_who_was_asked_what_they_said_and_what_was_given_away(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url("/gone.crl"), depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    verdict = shop.check()
    text = verdict_text(verdict, "localhost:443")
    number = f"{shop.link.serial_number:x}"
    for line in (
        f"    ocsp from {down}: missing, unreachable",
        f"    crl from {depot.url('/gone.crl')}: missing, crl-unreachable",
        f"    asked ocsp by GET {down}, in clear, giving away serial number {number}: ",
        f"    asked crl by GET {depot.url(CRL)}, in clear, giving nothing away: good",
        "  privacy: 3 requests to CAs by this client itself; 1 gave away which site was visited, 1 of them in clear",
    ):
        assert line in text
    told = [(each["source"], each["serial_number"]) for each in verdict_json(verdict)["requests"]]
    assert told == [("ocsp", number), ("crl", None), ("crl", None)]
    quiet = verdict_text(shop.check(crls=[shop.crl()]), "localhost:443")
    assert "asked" not in quiet
    assert "privacy" not in quiet
    alone = Shop((), [depot.url(CRL)])
    depot.files[CRL] = alone.crl()
    assert "privacy: 1 request to CAs by this client itself; none named a site" in verdict_text(alone.check(), "x")


# --- CRLs that the user gives


def test_a_given_crl_makes_it_needless_to_ask_anybody(depot: Depot, down: str, tmp_path: Path) -> None:
    shop = Shop([down], [depot.url(CRL)])
    path = tmp_path / "ca.crl"
    path.write_bytes(shop.crl())
    pem = tmp_path / "ca.pem"
    pem.write_bytes(x509.load_der_x509_crl(shop.crl()).public_bytes(Encoding.PEM))
    for given in (path, str(path), pem, shop.crl()):
        verdict = shop.check(crls=[given])
        assert verdict.accepted
        assert verdict.requests == ()
        judgement = verdict.certificates[0].judgement
        assert judgement is not None
        assert judgement.origin == ("a CRL given" if isinstance(given, bytes) else str(given))
    path.write_bytes(shop.revoking())
    assert codes(shop.check(crls=[path])) == ["revoked"]
    assert not depot.asked


def test_a_given_crl_that_revokes_wins_over_a_good_staple() -> None:
    shop = Shop()
    assert shop.check(staple=shop.staple(), crls=[shop.crl()]).accepted
    verdict = shop.check(staple=shop.staple(), crls=[shop.revoking()])
    assert codes(verdict) == ["revoked"]
    hold = crl_with(shop, x509.ReasonFlags.certificate_hold)
    assert codes(shop.check(staple=shop.staple(), crls=[shop.crl(), hold])) == ["revoked"]


def crl_with(shop: Shop, reason: x509.ReasonFlags) -> bytes:
    times: dict[str, Any] = {"this_update": shop.now - DAY / 24, "next_update": shop.now + DAY, "number": 9}
    return crl(shop.ca, [Revoked(shop.link.serial_number, shop.now - DAY, reason)], **times)


def test_a_given_crl_of_another_ca_says_nothing(depot: Depot) -> None:
    shop = Shop((), [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    others = crl(
        shop.root,
        [Revoked(shop.link.serial_number, shop.now - DAY)],
        this_update=shop.now - DAY,
        next_update=shop.now + DAY,
        number=1,
    )
    verdict = shop.check(crls=[others])
    assert verdict.accepted
    assert depot.asked == [CRL]
    assert [each.origin for each in verdict.certificates[0].judgements] == ["the certificate", depot.url(CRL)]


def test_a_given_crl_that_is_stale_is_shown_and_another_is_fetched(depot: Depot) -> None:
    shop = Shop((), [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    verdict = shop.check(crls=[shop.crl("expired")])
    assert verdict.accepted
    assert [each.status.value for each in verdict.certificates[0].judgements] == ["missing", "unusable", "good"]
    alone = Shop()
    assert codes(alone.check(crls=[alone.crl("expired")])) == ["crl-expired"]


def test_given_crls_count_for_every_certificate_of_the_path() -> None:
    shop = Shop()
    above = crl(shop.root, this_update=shop.now - DAY, next_update=shop.now + DAY, number=1)
    policy = replace(preset("hard-fail"), depth=Depth.EVERY)
    assert shop.check(policy, crls=[shop.crl(), above]).accepted
    assert not shop.check(policy, crls=[shop.crl()]).accepted


def test_a_given_crl_changes_no_refusal() -> None:
    shop = Shop()
    verdict = shop.check(crls=[shop.crl()], ca=shop.rogue.certificate)
    assert codes(verdict) == ["path-invalid"]


def test_a_refusal_is_final() -> None:
    shop = Shop()
    with shop.serve(shop.staple()) as server:
        # The other name is a reason, and yet every certificate has been looked at.
        verdict = check("localhost", server.port, "hard-fail", ca=shop.root.certificate, server_name="other.test")
    assert (codes(verdict), len(verdict.certificates)) == (["name-mismatch"], 2)
    nobody_to_ask: Any = object()
    assert settle(nobody_to_ask, verdict, preset("hard-fail"), 1.0, crls=[shop.revoking()]) is verdict


def test_what_is_given_must_be_a_crl_that_the_policy_takes(tmp_path: Path) -> None:
    shop = Shop()
    missing, garbage = tmp_path / "missing.crl", tmp_path / "garbage.crl"
    garbage.write_bytes(b"-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n")
    cut = b"-----BEGIN X509 CRL-----\nAAAA"
    for given, said in (
        (cut, "it is PEM"),
        (missing, "missing.crl"),
        (garbage, "garbage.crl is not a CRL"),
        (b"", "empty"),
    ):
        with pytest.raises(InputError, match=said):
            check("localhost", 9, "hard-fail", crls=[given])
    with pytest.raises(InputError, match="takes no CRL"):
        check("localhost", 9, "strict", crls=[shop.crl()])
    (opened,) = read_crls([shop.crl()])
    assert read_crls([opened]) == (opened,)
    assert isinstance(opened, GivenCrl)


# --- kept


@pytest.mark.requirement("RFC5280-6.3.3-9")
def test_a_crl_is_asked_for_once_until_its_next_update(depot: Depot, tmp_path: Path) -> None:
    shop = Shop((), [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    cache = CrlCache(tmp_path)
    first, second = shop.check(crl_cache=cache), shop.check(crl_cache=cache)
    another = shop.check(crl_cache=CrlCache(tmp_path))
    assert [each.accepted for each in (first, second, another)] == [True] * 3
    assert [len(each.requests) for each in (first, second, another)] == [1, 0, 0]
    assert second.certificates[0].judgements[-1].origin == f"{depot.url(CRL)}, kept"
    late = shop.check(crl_cache=cache, at=shop.now + timedelta(days=8))
    assert codes(late) == ["crl-expired"]
    assert depot.asked == [CRL, CRL]


@pytest.mark.requirement("RFC5280-6.3.3-9")
def test_a_kept_crl_is_judged_again(depot: Depot, tmp_path: Path) -> None:
    """Whoever can write in the folder can bring in no CRL that the CA did not sign."""
    shop = Shop((), [depot.url(CRL)])
    depot.files[CRL] = shop.revoking()
    assert codes(shop.check(crl_cache=CrlCache(tmp_path))) == ["revoked"]
    (file,) = tmp_path.glob("*.crl")
    file.write_bytes(shop.crl("forged-signature"))
    assert codes(shop.check(crl_cache=CrlCache(tmp_path))) == ["revoked"]
    assert depot.asked == [CRL, CRL]


def test_a_crl_that_says_nothing_of_use_is_not_kept(depot: Depot, tmp_path: Path) -> None:
    shop = Shop((), [depot.url(CRL)])
    depot.files[CRL] = shop.crl("delta")
    for _ in range(2):
        assert codes(shop.check(crl_cache=CrlCache(tmp_path))) == ["crl-delta"]
    assert depot.asked == [CRL, CRL]
    assert not list(tmp_path.glob("*.crl"))


# --- the async twin


def test_asyncio_gathers_the_same(depot: Depot, down: str) -> None:
    shop = Shop([down], [depot.url(CRL)])
    depot.files[CRL] = shop.crl()
    with shop.serve() as server:
        verdict = asyncio.run(acheck("localhost", server.port, "hard-fail", ca=shop.root.certificate))
    assert verdict.accepted
    assert [each.source for each in verdict.requests] == [Source.OCSP, Source.CRL]
    with shop.serve(shop.staple()) as server:
        listed = acheck("localhost", server.port, "hard-fail", ca=shop.root.certificate, crls=[shop.revoking()])
        assert codes(asyncio.run(listed)) == ["revoked"]


# --- paths, whose rules are others' work


@pytest.mark.requirement("RFC5280-6-1")
def test_a_path_to_nobody_trusted_is_refused_whatever_the_evidence() -> None:
    shop = Shop()
    assert shop.check(staple=shop.staple()).accepted
    assert codes(shop.check(staple=shop.staple(), ca=shop.rogue.certificate)) == ["path-invalid"]


@pytest.mark.requirement("RFC5280-6.1-1")
def test_a_trust_anchor_leaves_nothing_to_check() -> None:
    shop = Shop()
    alone = Situation(Chain((shop.root.certificate,)), shop.now)
    refused = decide(alone, preset("hard-fail"))
    assert (codes(refused), refused.checked) == (["nothing-to-check"], False)
    assert decide(alone, preset("soft-fail")).accepted
