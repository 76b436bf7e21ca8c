"""A responder that misbehaves: every misbehaviour by name meets our own client over sockets, and each has its twin."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from commands import CA, ROOT
from misbehave_house import OCSP_TYPE, PATIENT, SOON, House, Pauses

from certtools.ca_dir import CaDir
from certtools.chain import Link
from certtools.forge.scene import HTML
from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.lab.misbehaviour import BEHAVIOURS
from mustaple.lab.misbehaviour.acts import FLAP, is_down
from mustaple.net.fetch import fetch_ocsp, new_nonce
from mustaple.net.responder.reply import MALFORMED_REQUEST, UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What `hard-fail`, which asks the CA where nothing is stapled, says first of the server's certificate.
MET: Final[dict[str, tuple[str, ...]]] = {
    "expired": ("expired", "revoked-on-hold-expired"),
    "not-yet-valid": ("not-yet-valid", "clock-wrong"),
    "no-next-update": ("no-next-update",),
    "too-old": ("too-old",),
    "inverted-window": ("inverted-window",),
    "other-certificate": (
        *("other-certificate", "other-issuer-name", "other-issuer-key", "other-issuer", "no-singles"),
        "several-others",
    ),
    "cert-id-hash": ("cert-id-md5",),
    "revoked": (
        *("revoked", "revoked-without-reason", "revoked-on-hold", "revoked-expired", "several-revoked"),
        *("contradiction", "contradiction-reversed", "crl-revoked", "crl-revoked-on-hold", "crl-revoked-expired"),
    ),
    "unknown": ("unknown",),
    "critical-extension": ("critical-extension", "critical-single-extension"),
    "bad-signature": ("bad-signature", "forged-signature", "delegate-not-sent"),
    "weak-signature": ("sha1-signature", "md5-signature", "short-key"),
    "responder-id-mismatch": ("wrong-responder-name", "wrong-responder-key"),
    "unauthorized-responder": (
        *("delegate-of-rogue", "delegate-of-namesake", "delegate-of-parent", "rogue-signer", "delegate-any-purpose"),
        *("delegate-without-purpose", "delegate-without-any-purpose", "delegate-may-not-sign"),
    ),
    "delegate-expired": ("delegate-expired", "delegate-not-yet-valid"),
    "error-status": ("malformed-request", "internal-error", "try-later", "sig-required", "unauthorized"),
    "response-type": ("not-basic",),
    "trailing-bytes": ("trailing-bytes", "trailing-bytes-inside"),
    "malformed": ("no-response-bytes", "truncated", "garbage", "pem"),
    "unreachable": (
        *("oversized", "empty", "html", "wrong-content-type", "huge", "404", "429", "500", "503", "redirect-loop"),
        *("slow", "hang", "drip", "reset", "cut-short", "flapping", "crl-empty"),
    ),
    "crl-expired": ("crl-expired",),
    "crl-not-yet-valid": ("crl-not-yet-valid",),
    "crl-too-old": ("crl-too-old",),
    "crl-inverted-window": ("crl-inverted-window",),
    "crl-no-next-update": ("crl-no-next-update",),
    "crl-bad-signature": ("crl-bad-signature", "crl-forged-signature", "crl-other-issuer"),
    "crl-weak-signature": ("crl-sha1-signature",),
    "crl-delta": ("crl-delta",),
    "crl-indirect": ("crl-indirect",),
    "crl-scope": ("crl-only-authorities",),
    "crl-reasons": ("crl-only-some-reasons",),
    "crl-other-point": ("crl-other-distribution-point",),
    "crl-critical-extension": ("crl-critical-extension",),
    "crl-critical-entry": ("crl-critical-entry-extension",),
    "crl-trailing-bytes": ("crl-trailing-bytes",),
    "crl-malformed": ("crl-truncated", "crl-garbage", "crl-html"),
    "crl-oversized": ("crl-oversized",),
    # Strange, and in order: nobody asked for a nonce, and what lives for five seconds lives now.
    "": (
        *("several-good", "unknown-extension", "nonce-wrong", "nonce-missing", "by-key", "delegated", "expiring"),
        *("delegate-without-nocheck", "delegate-dies", "crl-only-users"),
    ),
}
FIRST_CODE: Final = {name: code for code, names in MET.items() for name in names}
RESPONDERS: Final = [name for name, each in BEHAVIOURS.items() if {"ocsp", "crl"} & set(each.kinds)]
KEPT_WAITING: Final = {"slow", "hang", "drip"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("misbehave")) as made:
        yield made


def test_the_table_has_every_misbehaviour() -> None:
    assert FIRST_CODE.keys() == set(RESPONDERS)


@pytest.mark.parametrize("name", RESPONDERS)
def test_the_strict_client_says_what_is_wrong_and_takes_the_honest_answer(house: House, name: str) -> None:
    # Where the responder is no use, `hard-fail` asks for the CRL, and is not to get that from an honest one.
    house.set(*(["reset@ocsp", name] if name.startswith("crl-") else [f"{name}@ocsp", "reset@crl"]))
    assert house.code(SOON if name in KEPT_WAITING else PATIENT) == FIRST_CODE[name]
    house.set()
    assert house.code() == ""


def test_what_misbehaves_in_its_answers_alone_is_an_honest_responder_of_everything_else(house: House) -> None:
    house.set("expired", "crl-expired")
    stranger = Link(house.leaf.certificate, ROOT.certificate)
    body = fetch_ocsp(stranger, url=house.responder.url, timeout=PATIENT).body
    assert body == UNAUTHORIZED, "not a CA of this directory"
    assert httpx.post(house.responder.url, content=b"noise", headers=OCSP_TYPE).content == MALFORMED_REQUEST
    assert httpx.get(house.responder.url).status_code == 404
    assert httpx.get(f"{house.root_url}/crl/none.crl").status_code == 404


def test_a_nonce_comes_back_unless_that_is_what_is_wrong(house: House) -> None:
    nonce = new_nonce()
    house.set("by-key")
    assert house.fetched(nonce=nonce) == "good"
    house.set("nonce-wrong")
    assert house.fetched(nonce=nonce) == "unusable"


# --- over HTTP


def test_the_honest_answer_as_plain_text(house: House) -> None:
    house.set("wrong-content-type")
    got = house.post()
    assert (got.status_code, got.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert judge(got.content, house.link(), datetime.now(UTC)).status.value == "good"


def test_a_captive_portal(house: House) -> None:
    house.set("html")
    got = house.post()
    assert (got.status_code, got.headers["content-type"], got.content) == (200, "text/html", HTML)


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_an_http_error(house: House, status: int) -> None:
    house.set(str(status))
    assert house.post().status_code == status


def test_a_redirect_to_itself(house: House) -> None:
    house.set("redirect-loop")
    got = house.post()
    assert (got.status_code, got.headers["location"]) == (307, "/")
    with pytest.raises(NetworkError, match="redirects more than 3 times"):
        fetch_ocsp(house.link(), url=house.responder.url)


def test_a_reset_and_half_an_answer(house: House) -> None:
    house.set("reset")
    with pytest.raises(httpx.ReadError):
        house.post()
    house.set("cut-short")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        house.post()


def test_what_is_huge_ends_where_it_was_told_to_or_where_nobody_reads_it(house: House) -> None:
    house.set("huge=3M")
    got = house.post()
    assert (got.status_code, len(got.content), set(got.content)) == (200, 3 << 20, {0})
    house.set("huge=1G")
    with pytest.raises(NetworkError, match="too many for an OCSP response"):
        fetch_ocsp(house.link(), url=house.responder.url, timeout=PATIENT)
    assert house.noted("huge=1G").size < 1 << 29


def test_a_crl_may_be_late_too(house: House) -> None:
    house.set("503@crl")
    assert httpx.get(house.crl_url).status_code == 503
    assert house.fetched() == "good"
    house.set("503@ocsp")
    assert httpx.get(house.crl_url).status_code == 200
    assert house.fetched() == "nothing"


# --- time: the pauses are the test's


@pytest.mark.parametrize(("text", "each"), [("slow=7s", 7.0), ("drip=3ms", 0.003)])
def test_the_slow_answer_is_the_honest_one_after_all(tmp_path: Path, text: str, each: float) -> None:
    pauses = Pauses(forever=False)
    with House(tmp_path, pause=pauses) as house:
        house.set(text)
        assert house.fetched() == "good"
        assert set(pauses.asked) == {each}
        body = house.post().content
        assert len(pauses.asked) == (2 if text.startswith("slow") else 2 * len(body))


@pytest.mark.parametrize("text", ["slow", "drip", "hang", "huge"])
def test_nobody_is_waited_for_who_has_left(tmp_path: Path, text: str) -> None:
    with House(tmp_path, pause=Pauses(forever=True)) as house:
        house.set(text)
        assert house.fetched(timeout=SOON) == "nothing"
        assert house.noted(text).size == 0
        house.set()
        assert house.fetched() == "good"


@pytest.mark.parametrize("text", ["hang", "slow"])
def test_the_end_of_the_server_lets_go_of_those_who_wait(tmp_path: Path, text: str) -> None:
    pauses, said = Pauses(forever=True), []
    with House(tmp_path, pause=pauses) as house:
        house.set(text)
        waiting = threading.Thread(target=lambda: said.append(house.fetched(timeout=PATIENT)))
        waiting.start()
        assert pauses.begun.wait(PATIENT)
        house.responder.close()
        waiting.join(PATIENT)
        assert said == ["nothing"]
        house.responder.close()


def test_a_delegate_dies_and_goes_on_signing(house: House) -> None:
    house.set("delegate-dies=1d")
    assert house.judged_after(timedelta()) == []
    assert house.judged_after(timedelta(hours=23)) == []
    assert house.judged_after(timedelta(hours=25)) == ["delegate-expired"]
    house.set("delegate-dies=2d")
    assert house.judged_after(timedelta(hours=25)) == []


def test_a_dying_delegate_tells_the_truth_about_the_rest(house: House) -> None:
    house.set("delegate-dies")
    with CaDir.open(house.folder) as ca:
        ca.revoke(house.other.certificate, None, datetime.now(UTC))
    assert house.fetched(house.other) == "revoked"
    assert house.fetched() == "good"
    unknown = Link(CA.leaf(["unknown.test"]).certificate, CA.certificate)
    body = fetch_ocsp(unknown, url=house.responder.url, timeout=PATIENT).body
    assert judge(body, unknown, datetime.now(UTC)).status.value == "unknown"


@pytest.mark.parametrize(("text", "seconds"), [("expiring", 5), ("expiring=1s", 1), ("expiring=2h", 7200)])
def test_answers_that_live_for_seconds(house: House, text: str, seconds: int) -> None:
    house.set(text)
    judged = judge(house.post().content, house.link(), datetime.now(UTC))
    assert judged.this_update is not None
    assert judged.next_update is not None
    assert judged.next_update - judged.this_update == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("clock-wrong=+2h", ["not-yet-valid"]),
        ("clock-wrong=10s", []),
        ("clock-wrong=-10s", []),
        ("clock-wrong=-2d", ["expired"]),
    ],
)
def test_a_clock_that_is_off(house: House, text: str, codes: list[str]) -> None:
    house.set(text)
    assert house.judged_after(timedelta()) == codes


def test_flapping_follows_its_seed(house: House) -> None:
    house.set("flapping=one")
    met = []
    for slot in range(12):
        house.seconds = slot * FLAP + 0.5
        met.append(house.fetched())
    assert met == ["nothing" if is_down("one", slot * FLAP) else "good" for slot in range(12)]
    assert set(met) == {"nothing", "good"}
    assert [is_down("one", slot * FLAP) for slot in range(64)] != [is_down("two", slot * FLAP) for slot in range(64)]
