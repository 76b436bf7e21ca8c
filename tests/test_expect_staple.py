"""The Expect-Staple header is read as its draft says, makes the right hosts known, and reports in the draft's words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certtools.forge import MUTATIONS, good
from mustaple.core.decide import Situation, decide
from mustaple.core.expect_report import (
    MAX_REPORT,
    CertStatus,
    ResponseStatus,
    StapleFound,
    report_body,
    staple_found,
)
from mustaple.core.expect_staple import (
    LONGEST_MAX_AGE,
    MAX_HEADER,
    ExpectStapleHeader,
    HeaderError,
    KnownHost,
    canonical_name,
    first_field,
    itself_and_above,
    note,
    parse_header,
)
from mustaple.core.flight import Entry, Flight, Sent
from mustaple.core.ocsp import judge
from mustaple.core.policy import ExpectStaple, preset
from mustaple.core.verdict import Code, Outcome, Reason, Source

if TYPE_CHECKING:
    from certtools.authority import Authority
    from certtools.chain import Chain
    from certtools.forge import Scene
    from mustaple.core.verdict import ChainVerdict

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
URI = "https://example.com/report"

TAKEN = {
    "max-age alone": ("max-age=3600", ExpectStapleHeader(HOUR)),
    "zero": ("max-age=0", ExpectStapleHeader(timedelta())),
    "leading zeros": ("max-age=0003600", ExpectStapleHeader(HOUR)),
    "any case": ("Max-AGE=3600; INCLUDEsubdomains; Preload", ExpectStapleHeader(HOUR, True, True)),
    "any order": ("preload;includeSubDomains ; max-age=3600", ExpectStapleHeader(HOUR, True, True)),
    "space around": (" \tmax-age=3600\t;\t preload ", ExpectStapleHeader(HOUR, preload=True)),
    "a quoted number": ('max-age="3600"', ExpectStapleHeader(HOUR)),
    "a quoted pair": ('max-age="36\\00"', ExpectStapleHeader(HOUR)),
    "a report-uri": (f'max-age=3600; report-uri="{URI}"', ExpectStapleHeader(HOUR, report_uri=URI)),
    "a report-uri over http, with port and query": (
        'max-age=3600; report-uri="http://127.0.0.1:8555/a?b=%20"',
        ExpectStapleHeader(HOUR, report_uri="http://127.0.0.1:8555/a?b=%20"),
    ),
    "a semicolon in a quoted value": (
        'max-age=3600; report-uri="https://example.com/a;b"',
        ExpectStapleHeader(HOUR, report_uri="https://example.com/a;b"),
    ),
    "what nobody knows": ('enforce; x=y; z="a;b\\"c"; max-age=3600', ExpectStapleHeader(HOUR)),
    "more than the longest": ("max-age=99999999999999999999", ExpectStapleHeader(LONGEST_MAX_AGE)),
}

IGNORED = {
    "nothing": ("", "no directive"),
    "spaces": ("  ", "no directive"),
    "no max-age": ("includeSubDomains", "max-age is missing"),
    "max-age without value": ("max-age", "max-age is missing"),
    "an empty max-age": ('max-age=""', "no number of seconds"),
    "a negative max-age": ("max-age=-1", "no number of seconds"),
    "a signed max-age": ("max-age=+1", "no number of seconds"),
    "a fraction": ("max-age=1.5", "no number of seconds"),
    "digits of another script": ('max-age="²"', "no number of seconds"),
    "max-age twice": ("max-age=3600; max-age=3600", "max-age stands twice"),
    "twice, in another case": ("max-age=3600; MAX-AGE=0", "max-age stands twice"),
    "an unknown one twice": ("max-age=3600; x; X", "x stands twice"),
    "a value for includeSubDomains": ("max-age=3600; includeSubDomains=1", "includesubdomains takes no value"),
    "an empty value for preload": ('max-age=3600; preload=""', "preload takes no value"),
    "a semicolon at the end": ("max-age=3600;", "no directive"),
    "an empty directive": ("max-age=3600;;preload", "no directive"),
    "space around the equals sign": ("max-age = 3600", "goes on oddly"),
    "a comma, as where two fields are joined": ("max-age=3600, max-age=3600", "goes on oddly"),
    "the draft's own example": ("max-age=3600; report-uri https://example.com/report/ct", "goes on oddly"),
    "an unquoted URI": (f"max-age=3600; report-uri={URI}", "goes on oddly"),
    "an unclosed quote": ('max-age="3600', "goes on oddly"),
    "text after a quote": ('max-age="3600"x', "goes on oddly"),
    "a quote in a token": ('max-age=36"00"', "goes on oddly"),
    "a bare equals sign": ("max-age=3600; =x", "no directive"),
    "a line break": ("max-age=3600\r\nX: y", "goes on oddly"),
    "a line break within quotes": ('max-age=3600; x="a\r\nb"', "goes on oddly"),
    "an escaped line break within quotes": ('max-age=3600; x="a\\\nb"', "goes on oddly"),
    "a null byte": ("max-age=3600\0", "goes on oddly"),
    "a report-uri without value": ("max-age=3600; report-uri", "no absolute URI"),
    "a relative report-uri": ('max-age=3600; report-uri="/report"', "no absolute URI"),
    "a report-uri without scheme": ('max-age=3600; report-uri="//example.com/"', "no absolute URI"),
    "a report-uri with a fragment": (f'max-age=3600; report-uri="{URI}#x"', "no absolute URI"),
    "a report-uri with a space": (f'max-age=3600; report-uri="{URI} x"', "no absolute URI"),
    "a report-uri with a backslash": ('max-age=3600; report-uri="https:\\\\\\\\example.com"', "no absolute URI"),
    "a report-uri with a loose percent sign": (f'max-age=3600; report-uri="{URI}%2"', "no absolute URI"),
    "a report-uri for mail": ('max-age=3600; report-uri="mailto:a@example.com"', "no http or https"),
    "a report-uri for a file": ('max-age=3600; report-uri="file:///etc/passwd"', "no http or https"),
    "a report-uri without host": ('max-age=3600; report-uri="https:///x"', "no http or https"),
    "a report-uri with no port there is": ('max-age=3600; report-uri="https://a.test:99999/"', "no http or https"),
    "a report-uri with port 0": ('max-age=3600; report-uri="https://a.test:0/"', "no http or https"),
    "a report-uri with half an address": ('max-age=3600; report-uri="http://[::1/"', "no http or https"),
    "a report-uri with credentials": ('max-age=3600; report-uri="https://a:b@example.com/"', "credentials"),
    "a bomb of directives": (";".join(f"a{number}" for number in range(1000)), "longer than"),
    "a bomb of a number": ("max-age=" + "9" * MAX_HEADER, "longer than"),
}


@pytest.mark.requirement("EXPECT-STAPLE-2.1-1", "EXPECT-STAPLE-2.1-2", "EXPECT-STAPLE-2.1.2-1")
@pytest.mark.parametrize(("value", "said"), TAKEN.values(), ids=TAKEN)
def test_a_header_that_conforms_is_read(value: str, said: ExpectStapleHeader) -> None:
    assert parse_header(value) == said
    assert parse_header(value.encode("latin-1")) == said


@pytest.mark.requirement("EXPECT-STAPLE-2.1-1", "EXPECT-STAPLE-2.1.1-1", "EXPECT-STAPLE-2.1.2-1")
@pytest.mark.parametrize(("value", "why"), IGNORED.values(), ids=IGNORED)
def test_a_header_that_does_not_conform_is_ignored_whole(value: str, why: str) -> None:
    with pytest.raises(HeaderError, match=why):
        parse_header(value)


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-3")
def test_a_longer_life_than_the_longest_is_cut_to_it() -> None:
    longest = int(LONGEST_MAX_AGE.total_seconds())
    assert parse_header(f"max-age={longest - 1}").max_age == LONGEST_MAX_AGE - timedelta(seconds=1)
    assert parse_header(f"max-age={longest + 1}").max_age == LONGEST_MAX_AGE


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_comes_is_read_or_ignored(value: str | bytes) -> None:
    try:
        header = parse_header(value)
    except HeaderError:
        return
    assert timedelta() <= header.max_age <= LONGEST_MAX_AGE


@given(
    st.integers(0, 10**9),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, URI, "http://a.test/"]),
    st.randoms(use_true_random=False),
)
def test_what_is_written_is_what_is_read(
    seconds: int, subdomains: bool, preload: bool, uri: str | None, random: Any
) -> None:
    directives = [
        f"max-age={seconds}",
        *(["preload"] if preload else []),
        *(["includeSubDomains"] if subdomains else []),
    ]
    directives += [f'report-uri="{uri}"'] if uri else []
    random.shuffle(directives)
    expected = ExpectStapleHeader(min(timedelta(seconds=seconds), LONGEST_MAX_AGE), subdomains, preload, uri)
    assert parse_header(" ; ".join(directives)) == expected


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-3")
def test_of_several_fields_only_the_first_counts() -> None:
    assert first_field([(b"date", b"x"), (b"Expect-Staple", b"a"), (b"expect-staple", b"b")]) == b"a"
    assert first_field([(b"expect-staples", b"a")]) is None


# --- hosts


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-1")
@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("XN--BCHER-KVA.test", "xn--bcher-kva.test"),
        ("localhost", "localhost"),
        ("127.0.0.1", None),
        ("::1", None),
        ("[::1]", None),
        ("127.1", None),
        ("*.example.com", None),
        ("a@example.com", None),
        ("a b.test", None),
        ("", None),
        (".", None),
    ],
)
def test_a_host_is_remembered_by_its_name_and_an_address_never(host: str, name: str | None) -> None:
    assert canonical_name(host) == name


def test_the_superdomains_of_a_name() -> None:
    assert list(itself_and_above("a.b.test")) == ["a.b.test", "b.test", "test"]


@pytest.mark.requirement("EXPECT-STAPLE-2.3.2-2")
@pytest.mark.parametrize(
    ("name", "subdomains", "applies"),
    [
        ("site.test", False, True),
        ("site.test", True, True),
        ("www.site.test", True, True),
        ("a.b.site.test", True, True),
        ("www.site.test", False, False),
        ("test", True, False),
        ("othersite.test", True, False),
    ],
)
def test_a_promise_holds_for_the_host_and_for_those_below_where_it_says_so(
    name: str, subdomains: bool, applies: bool
) -> None:
    known = KnownHost("site.test", AT, AT + HOUR, subdomains)
    assert known.applies_to(name, AT) is applies
    assert known.applies_to(name, AT + HOUR - timedelta(seconds=1)) is applies
    assert not known.applies_to(name, AT + HOUR)


@pytest.mark.requirement("EXPECT-STAPLE-2.3.1-2")
def test_what_is_noted_expires_and_zero_notes_nothing() -> None:
    said = parse_header(f'max-age=3600; includeSubDomains; preload; report-uri="{URI}"')
    assert note(said, "site.test", AT) == KnownHost("site.test", AT, AT + HOUR, True, True, URI)
    assert note(parse_header("max-age=0"), "site.test", AT) is None


# --- how the staple was found

OWN_RULES = preset("must-staple").rules
# Each mutation of the forge that spoils a staple, and what the draft calls it.
PROVIDED_UNKNOWN = StapleFound(ResponseStatus.PROVIDED, CertStatus.UNKNOWN)


def connection(chain: Chain, *staples: bytes, at: datetime = AT, **verdict: Any) -> tuple[ChainVerdict, Flight]:
    """The verdict of `must-staple` on this chain with these staples for the leaf, and what the server sent."""
    link = chain.links[0]
    judged = [judge(each, link, at, OWN_RULES, source=Source.STAPLE, origin="a test") for each in staples]
    evidence = {link.fingerprint: judged} if judged else {}
    situation = Situation(chain, at, frozenset({5}), frozenset({5}), "TLSv1.3", "openssl", evidence)
    sent = [each.public_bytes(Encoding.DER) for each in chain.certificates[:-1]]
    entries = [Entry(der, staples if not place else (), f"entry {place}") for place, der in enumerate(sent)]
    flight = Flight("TLSv1.3", 0x1301, Sent(tuple(entries)), frozenset({5}))
    return replace(decide(situation, preset("must-staple")), **verdict), flight


@pytest.mark.requirement("EXPECT-STAPLE-3.1-1")
def test_a_good_staple_complies_and_none_is_missing(chain: Chain, staple: bytes) -> None:
    assert staple_found(*connection(chain, staple)) == (ResponseStatus.PROVIDED, CertStatus.GOOD)
    assert StapleFound(ResponseStatus.PROVIDED, CertStatus.GOOD).complies
    assert staple_found(*connection(chain)) == (ResponseStatus.MISSING, None)
    assert not StapleFound(ResponseStatus.MISSING).complies


EXPECTED_OF_CODES = {
    Code.REVOKED: StapleFound(ResponseStatus.PROVIDED, CertStatus.REVOKED),
    Code.UNKNOWN: PROVIDED_UNKNOWN,
    Code.OVERSIZED: StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR),
    Code.MALFORMED: StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR),
    Code.TRAILING_BYTES: StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR),
    Code.RESPONSE_TYPE: StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR),
    Code.ERROR_STATUS: StapleFound(ResponseStatus.ERROR_RESPONSE),
    Code.CRITICAL_EXTENSION: StapleFound(ResponseStatus.PARSE_RESPONSE_DATA_ERROR),
    Code.CONTRADICTION: StapleFound(ResponseStatus.PARSE_RESPONSE_DATA_ERROR),
    Code.OTHER_CERTIFICATE: StapleFound(ResponseStatus.NO_MATCHING_RESPONSE),
    Code.CERT_ID_HASH: StapleFound(ResponseStatus.NO_MATCHING_RESPONSE),
    Code.NOT_YET_VALID: StapleFound(ResponseStatus.INVALID_DATE),
    Code.EXPIRED: StapleFound(ResponseStatus.INVALID_DATE),
    Code.INVERTED_WINDOW: StapleFound(ResponseStatus.INVALID_DATE),
    Code.NO_NEXT_UPDATE: StapleFound(ResponseStatus.INVALID_DATE),
    Code.TOO_OLD: StapleFound(ResponseStatus.INVALID_DATE),
}


@pytest.mark.requirement("EXPECT-STAPLE-3.1-1")
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_every_spoilt_staple_is_told_in_the_drafts_words(name: str, scene: Scene, chain: Chain) -> None:
    response = MUTATIONS[name](scene)
    verdict, flight = connection(chain, response)
    judgement = verdict.certificates[0].judgements[0]
    found = staple_found(verdict, flight)
    assert found is not None
    produced_at, leaf = judgement.produced_at, chain.leaf
    if judgement.status.value in {"good", "revoked", "unknown"}:
        assert found == (ResponseStatus.PROVIDED, CertStatus(judgement.status.value.upper()))
    elif produced_at and not leaf.not_valid_before_utc <= produced_at <= leaf.not_valid_after_utc:
        assert found == (ResponseStatus.BAD_PRODUCED_AT, None)
    else:
        allowed = {EXPECTED_OF_CODES.get(reason.code, PROVIDED_UNKNOWN) for reason in judgement.reasons}
        assert found in allowed
    assert found.complies == (judgement.status.value == "good")


def test_a_response_produced_before_the_certificate_is_told_so(chain: Chain, intermediate: Authority) -> None:
    before = chain.leaf.not_valid_before_utc - timedelta(days=2)
    assert staple_found(*connection(chain, good(chain.links[0], intermediate, before))) == (
        ResponseStatus.BAD_PRODUCED_AT,
        None,
    )
    later = chain.leaf.not_valid_before_utc + timedelta(days=1)
    found = staple_found(*connection(chain, good(chain.links[0], intermediate, later)))
    assert found == (ResponseStatus.INVALID_DATE, None)


@pytest.mark.requirement("EXPECT-STAPLE-2.5-2")
@pytest.mark.parametrize("code", [Code.PATH_INVALID, Code.NAME_MISMATCH, Code.NO_CHAIN])
def test_a_connection_with_errors_of_its_own_is_not_evaluated(chain: Chain, code: Code) -> None:
    verdict, flight = connection(chain, reasons=(Reason(code, "so"),))
    assert staple_found(verdict, flight) is None


@pytest.mark.requirement("EXPECT-STAPLE-2.5-2")
def test_a_connection_that_asked_for_no_staple_is_not_evaluated(chain: Chain) -> None:
    verdict, flight = connection(chain)
    assert staple_found(verdict, None) is None
    assert staple_found(verdict, flight) is not None
    assert staple_found(replace(verdict, certificates=()), flight) is None


@pytest.mark.parametrize("code", [Code.WIRE, Code.MALFORMED])
def test_a_handshake_that_ended_over_bytes_is_a_response_that_cannot_be_parsed(chain: Chain, code: Code) -> None:
    verdict, _ = connection(chain, reasons=(Reason(code, "so"),), certificates=())
    assert staple_found(verdict, None) == (ResponseStatus.PARSE_RESPONSE_ERROR, None)


def test_of_two_staples_the_telling_one_is_told(chain: Chain, scene: Scene, staple: bytes) -> None:
    revoked = MUTATIONS["revoked"](scene)
    assert staple_found(*connection(chain, staple, revoked)) == (ResponseStatus.PROVIDED, CertStatus.REVOKED)


# --- the report


def reported(verdict: ChainVerdict, flight: Flight | None, **options: Any) -> dict[str, Any]:
    found = staple_found(verdict, flight)
    assert found is not None
    how = {"host": "localhost", "port": 8443, "expires_at": AT + HOUR} | options
    whole = json.loads(report_body(found, verdict, flight, **how))
    assert list(whole) == ["expect-staple-report"]
    inner: dict[str, Any] = whole["expect-staple-report"]
    return inner


@pytest.mark.requirement("EXPECT-STAPLE-3.1-2", "EXPECT-STAPLE-3.2-1")
def test_a_report_says_what_the_draft_wants_said(chain: Chain, scene: Scene) -> None:
    revoked = MUTATIONS["revoked"](scene)
    report = reported(*connection(chain, revoked))
    assert report["date-time"] == "2026-06-01T12:00:00Z"
    assert report["effective-expiration-date"] == "2026-06-01T13:00:00Z"
    assert (report["hostname"], report["port"]) == ("localhost", 8443)
    assert (report["response-status"], report["cert-status"]) == ("PROVIDED", "REVOKED")
    served = [x509.load_pem_x509_certificate(pem.encode()) for pem in report["served-certificate-chain"]]
    assert served == list(chain.certificates[:-1])
    validated = [x509.load_pem_x509_certificate(pem.encode()) for pem in report["validated-certificate-chain"]]
    assert validated == list(chain.certificates)
    assert report["ocsp-response"].startswith("-----BEGIN OCSP RESPONSE-----\n")
    assert set(report) == {
        *("date-time", "effective-expiration-date", "hostname", "port", "response-status", "cert-status"),
        *("ocsp-response", "served-certificate-chain", "validated-certificate-chain"),
    }


@pytest.mark.requirement("EXPECT-STAPLE-3.1-2")
def test_what_was_not_stapled_is_not_in_the_report(chain: Chain, scene: Scene) -> None:
    missing = reported(*connection(chain))
    assert missing["response-status"] == "MISSING"
    assert "ocsp-response" not in missing
    assert "cert-status" not in missing
    expired = reported(*connection(chain, MUTATIONS["expired"](scene)))
    assert expired["response-status"] == "INVALID_DATE"
    assert "ocsp-response" in expired
    assert "cert-status" not in expired


def test_a_report_without_flight_or_path_is_one_still(chain: Chain) -> None:
    verdict, _ = connection(chain, reasons=(Reason(Code.WIRE, "so"),), certificates=())
    report = reported(verdict, None)
    assert report["served-certificate-chain"] == report["validated-certificate-chain"] == []


def test_times_are_told_in_utc_by_rfc_3339(chain: Chain) -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=2)))
    report = reported(*connection(chain, at=elsewhere), expires_at=elsewhere + HOUR)
    assert report["date-time"] == "2026-06-01T12:00:00Z"
    assert report["effective-expiration-date"] == "2026-06-01T13:00:00Z"


def test_a_report_is_bounded_whatever_was_served(chain: Chain) -> None:
    verdict, flight = connection(chain)
    flood = tuple(Entry(bytes(3000), (bytes(60_000),), "x") for _ in range(1000))
    verdict = replace(verdict, reasons=(Reason(Code.WIRE, "so"),))
    found = StapleFound(ResponseStatus.PARSE_RESPONSE_ERROR)
    flood_flight = replace(flight, sent=Sent(flood))
    body = report_body(found, verdict, flood_flight, host="a" * 253, port=65535, expires_at=AT)
    assert len(body) <= MAX_REPORT
    report = json.loads(body)["expect-staple-report"]
    assert report["served-certificate-chain"]
    assert "ocsp-response" not in report


# --- enforced (ours, not the draft's)


@pytest.mark.parametrize("name", ["soft-fail", "must-staple", "hard-fail", "strict", "ignore"])
def test_no_preset_enforces_the_header(name: str) -> None:
    assert preset(name).expect_staple is ExpectStaple.IGNORE


def test_a_remembered_host_owes_a_staple_where_the_policy_enforces_it(intermediate: Authority, scene: Scene) -> None:
    chain = intermediate.leaf(["localhost"], features=None).as_chain()
    policy = replace(preset("soft-fail"), expect_staple=ExpectStaple.ENFORCE, sources=frozenset({Source.STAPLE}))
    known = Situation(chain, AT, frozenset({5}), expect_staple=True)
    refused = decide(known, policy)
    assert refused.outcome is Outcome.REFUSED
    assert [reason.code for reason in refused.all_reasons] == [Code.EXPECTED_STAPLE]
    assert decide(replace(known, expect_staple=False), policy).accepted
    assert decide(known, replace(policy, expect_staple=ExpectStaple.IGNORE)).accepted
    link = chain.links[0]
    judged = judge(good(link, intermediate, AT), link, AT, policy.rules, source=Source.STAPLE, origin="a test")
    assert decide(replace(known, evidence={link.fingerprint: [judged]}), policy).accepted
