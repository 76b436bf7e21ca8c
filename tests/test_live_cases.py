"""Cases as running servers: what the corpus says of a case holds of the live one, whoever asks, and however long."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from OpenSSL import SSL

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source
from mustaple.lab.cases import FAMILIES, World, cases, find
from mustaple.lab.cases.handshake import TLS12, TLS13
from mustaple.lab.cases.setup import BOTH
from mustaple.lab.live import CaseServer, host_of, stock
from mustaple.lab.live.ends import IncompleteError, server_name
from mustaple.net.client import check
from mustaple.net.fetch import fetch_crl, fetch_ocsp, new_nonce
from mustaple.net.tls_session import Ended
from mustaple.report.cases_run import found_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certtools.chain import Link
    from mustaple.lab.cases import Case
    from mustaple.lab.live import HTTPRequest, Visit

# Every fourth case of a family, each seen to hold once; of the families that are about bytes and seconds all of them.
STEP: Final = 4
WHOLE: Final = {"wire12", "wire13", "clock"}
PATIENT: Final = 60.0
ALL_WELL, EXPIRED = find("control/all-well"), find("freshness/expired")
# Where a live case cannot be what it is on paper, and why.
ELSE: Final = {
    "nonce/did-not-come-back": "our client sends no nonce of its own accord",
    "nonce/another-came-back": "the same",
    "nonce/half-came-back": "the same",
    "nonce/malformed-came-back": "the same",
    "crl/empty": "no bytes over HTTP are no answer, and so nobody's",
    "wire12/announcement-not-empty": "tlslite-ng's client ends the handshake before it is judged",
}


@pytest.fixture(scope="module")
def server() -> Iterator[CaseServer]:
    with CaseServer() as running:
        yield running


def met(server: CaseServer, case: Case, preset: str, engine: str, protocol: str, name: str | None = None) -> str:
    """What our client makes of a live case: the outcome with the code of its most telling reason."""
    host, port = server.address(case)
    verdict = check(
        name or host,
        port,
        preset,
        ca=server.trusted(case, name),
        address=(server.host, port),
        engine=engine,
        maximum=protocol,
        timeout=PATIENT,
    )
    return found_words(verdict)[0]


def ways(server: CaseServer, case: Case) -> Iterator[tuple[str, str, str]]:
    """By which preset, engine and protocol the case can be met as the corpus has it."""
    setup = server.setup(case)
    for protocol in setup.protocols:
        if protocol == TLS13:
            yield "strict", "openssl", protocol
            yield "hard-fail", "openssl", protocol
        elif setup.offered == BOTH:
            yield "strict", "rfc6961", protocol
            yield "hard-fail", "rfc6961", protocol


# The first, while no other server of this module has connections that come and go.
def test_nothing_is_left_behind_by_a_server_that_has_ended() -> None:
    def count() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    _visited()
    before = count()
    for _ in range(5):
        _visited()
    assert count() == before


def _visited() -> None:
    with CaseServer([ALL_WELL], a_port_each=True) as server:
        assert hello(server, None)[0] == "CN=localhost"
        # It is accepted and not yet served, perhaps, when the server ends.
        late = socket.create_connection((server.host, server.port))
    late.close()
    server.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_live_case_meets_the_verdict_of_the_corpus(server: CaseServer, family: str) -> None:
    found = []
    for case in cases([family])[:: 1 if family in WHOLE else STEP]:
        if case.id in ELSE:
            continue
        for preset, engine, protocol in ways(server, case):
            words = met(server, case, preset, engine, protocol)
            found.append((case.id, preset, protocol, words, str(case.expected[preset])))
    assert [each for each in found if each[3] != each[4]] == []
    assert found


@pytest.mark.parametrize("name", ["nonce/another-came-back", "nonce/came-back", "nonce/malformed-came-back"])
def test_the_nonce_of_whoever_asks(server: CaseServer, name: str) -> None:
    case = find(name)
    link = server.setup(case).chain.links[0]
    nonce = new_nonce()
    body = fetch_ocsp(link, nonce=nonce, timeout=PATIENT).body
    judged = judge(body, link, datetime.now(UTC), source=Source.OCSP, nonce=nonce)
    wrong = [] if name == "nonce/came-back" else ["nonce-mismatch"]
    assert [reason.code.value for reason in judged.reasons] == wrong


def test_where_nobody_answers_the_connection_is_cut(server: CaseServer) -> None:
    link = server.setup(find("presence/no-staple-responder-down")).chain.links[0]
    with pytest.raises(NetworkError, match="reset by peer"):
        fetch_ocsp(link, timeout=PATIENT)
    assert fetch_ocsp(server.setup(ALL_WELL).chain.links[0], timeout=PATIENT).body == server.setup(ALL_WELL).ocsp[0]
    with pytest.raises(NetworkError):
        fetch_crl(_crl_url(server, ALL_WELL), timeout=PATIENT)
    good = find("crl/good")
    assert fetch_crl(_crl_url(server, good), timeout=PATIENT).body == server.setup(good).crls[0]
    with pytest.raises(NetworkError, match="404"):
        fetch_crl(f"{server.responder_url}any/999999/ca.crl", timeout=PATIENT)


def _crl_url(server: CaseServer, case: Case) -> str:
    from mustaple.net.fetch import crl_urls

    return crl_urls(server.setup(case).chain.links[0].subject)[0]


# --- who is met where


def hello(server: CaseServer, name: bytes | None, port: int | None = None) -> tuple[str, str | None]:
    """The subject that a plain client meets, and the staple's presence; or the alert that ends it."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with socket.create_connection((server.host, port or server.port), timeout=PATIENT) as plain:
        plain.settimeout(None)
        tls = SSL.Connection(context, plain)
        if name is not None:
            tls.set_tlsext_host_name(name)
        tls.set_connect_state()
        try:
            tls.do_handshake()
        except SSL.Error as error:
            return "refused", str(error.args[0][0][2])
        tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        page = b""
        try:
            while data := tls.recv(65536):
                page += data
        except SSL.ZeroReturnError:
            pass
        certificate = tls.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate.subject.rfc4514_string(), page.partition(b"\r\n\r\n")[2].decode().partition("\n")[0]


def test_the_name_asked_for_chooses_the_case(server: CaseServer) -> None:
    assert hello(server, b"freshness-expired.localhost") == ("CN=freshness-expired.localhost", "freshness/expired")
    assert hello(server, b"FRESHNESS-EXPIRED.localhost.") == ("CN=freshness-expired.localhost", "freshness/expired")
    for name in (None, b"localhost"):
        assert hello(server, name) == ("CN=localhost", "An honest server: no case has this name.")
    for name in (b"expired.localhost", b"example.com"):
        assert hello(server, name) == ("refused", "tlsv1 unrecognized name")


def test_a_case_may_have_a_port_of_its_own_or_be_what_the_nameless_meet() -> None:
    with CaseServer([EXPIRED, ALL_WELL], a_port_each=True, nameless=EXPIRED) as server:
        name, port = server.own_address(EXPIRED)
        assert (name, port != server.port) == ("localhost", True)
        assert hello(server, None, port) == hello(server, b"localhost", port) == ("CN=localhost", EXPIRED.id)
        assert hello(server, b"freshness-expired.localhost", port)[0] == "CN=freshness-expired.localhost"
        assert hello(server, None, server.own_address(ALL_WELL)[1]) == ("CN=localhost", ALL_WELL.id)
        assert hello(server, None) == ("CN=localhost", EXPIRED.id)
        records = [server.next_record() for _ in range(5)]
        assert [each.case for each in records] == [EXPIRED, EXPIRED, EXPIRED, ALL_WELL, EXPIRED]
        with pytest.raises(InputError, match="has no port of its own"):
            server.own_address(find("status/good"))


def test_every_case_has_a_host_of_its_own() -> None:
    hosts = [host_of(case) for case in cases()]
    assert len(set(hosts)) == len(hosts)
    assert host_of(EXPIRED) == "freshness-expired.localhost"


def test_the_record_says_what_was_seen(server: CaseServer) -> None:
    server.records.clear()
    assert met(server, EXPIRED, "strict", "openssl", TLS13) == "refused: expired"
    while not server.records:
        server.next_record()
    (visit,) = server.records
    assert (visit.case, visit.server_name, visit.ended) == (EXPIRED, "freshness-expired.localhost", Ended.REFUSED)
    assert (visit.alert, visit.application_data, visit.shown) == (113, b"", True)
    assert visit.sent == server.setup(EXPIRED).staples


def test_what_a_client_cannot_meet_is_told(server: CaseServer) -> None:
    case = find("wire12/empty-list")
    server.records.clear()
    assert met(server, case, "hard-fail", "openssl", TLS12) == "accepted", "it offers no status_request_v2"
    assert met(server, case, "hard-fail", "rfc6961", TLS12) == "refused: wire"
    while len(server.records) < 2:
        server.next_record()
    assert [visit.shown for visit in server.records] == [False, True]


def test_the_answer_is_whatever_one_likes() -> None:
    def answer(request: HTTPRequest | None, visit: Visit) -> bytes:
        assert request is not None
        assert visit.case is not None
        return f"HTTP/1.1 200 OK\r\n\r\n{request.method} {request.target} {visit.case.id}".encode()

    with CaseServer([EXPIRED], answer=answer) as server:
        assert hello(server, b"freshness-expired.localhost")[1] == "GET / freshness/expired"


# --- time, and trust


def test_a_case_stays_what_it_is_however_long_the_server_runs() -> None:
    now = [datetime.now(UTC)]
    with CaseServer([ALL_WELL, find("depth/trusted-leaf")], clock=lambda: now[0]) as server:
        first = server.setup(ALL_WELL)
        assert server.setup(ALL_WELL) is first, "made once"
        own = server.trusted(find("depth/trusted-leaf"))
        for days in (0.01, 3, 30):
            now[0] += timedelta(days=days)
            setup = server.setup(ALL_WELL)
            assert setup is not first
            link, staple = setup.chain.links[0], setup.staples[0]
            assert staple is not None
            assert judge(staple, link, now[0]).status.value == "good"
            assert setup.trusted == server.root, "what clients trust stays"
        assert own != server.trusted(find("depth/trusted-leaf"))
        now[0] -= timedelta(days=1)
        assert server.setup(ALL_WELL).at <= now[0], "a clock put back is heeded, too"


def test_the_responder_remembers_for_a_while_and_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(certificates: list[Link]) -> list[bool]:
        found = []
        for link in certificates:
            try:
                found.append(bool(fetch_ocsp(link, timeout=PATIENT).body))
            except NetworkError:
                found.append(False)
        return found

    now, to_the_second = [datetime.now(UTC)], find("clock/this-update-now")
    with CaseServer([ALL_WELL, to_the_second], clock=lambda: now[0]) as server:
        first = server.setup(ALL_WELL).chain.links[0]
        now[0] += timedelta(minutes=1)
        assert answers([first, server.setup(ALL_WELL).chain.links[0]]) == [True, True]
        now[0] += timedelta(minutes=2)
        assert answers([first, server.setup(ALL_WELL).chain.links[0]]) == [False, True]
        monkeypatch.setattr(stock, "MOST_REMEMBERED", 3)
        made = [server.setup(to_the_second).chain.links[0] for _ in range(5)]
        assert answers(made) == [False, False, True, True, True], "each is another's, and the latest are kept"


def test_an_anchor_of_its_own_lasts_for_hours() -> None:
    now, case = [datetime.now(UTC)], find("depth/trusted-leaf")
    with CaseServer([case], clock=lambda: now[0]) as server:
        own = server.trusted(case)
        assert own != server.root
        now[0] += timedelta(hours=11)
        assert server.trusted(case) == own


def test_nobody_else_has_the_keys_of_a_root_that_somebody_trusts() -> None:
    rsa = find("crl/rsa-signature")
    with CaseServer([rsa]) as one, CaseServer([rsa]) as other:
        assert one.root != other.root
        known = [link.issuer.public_key() for link in rsa.setup(World()).chain.links]
        made = [link.issuer.public_key() for link in one.setup(rsa).chain.links]
        assert any(isinstance(key, RSAPublicKey) for key in made)
        assert not [key for key in made if key in known]


# --- those who say nothing, or nonsense


def test_silent_clients_keep_nobody_waiting() -> None:
    with CaseServer([ALL_WELL], handshake_timeout=PATIENT, max_connections=64) as server:
        silent = [socket.create_connection((server.host, server.port)) for _ in range(40)]
        half = [socket.create_connection((server.host, server.port)) for _ in range(20)]
        try:
            for each in half:
                each.sendall(b"\x16\x03\x01\x02\x00\x01")
            assert met(server, ALL_WELL, "strict", "openssl", TLS13) == "accepted"
        finally:
            for each in (*silent, *half):
                each.close()


def test_a_client_that_says_nothing_has_its_time() -> None:
    with (
        CaseServer([ALL_WELL], handshake_timeout=0.2) as server,
        socket.create_connection((server.host, server.port), timeout=PATIENT) as silent,
    ):
        assert silent.recv(1) == b""
        assert server.next_record().ended is Ended.TIMED_OUT


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x02\0\0\x01\0", b"\x16\x03\x01\0\0", b"\0" * 70_000]
)
def test_nonsense_ends_a_connection_and_nothing_else(server: CaseServer, sent: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=PATIENT) as plain:
        plain.sendall(sent)
        plain.shutdown(socket.SHUT_WR)
        try:
            while plain.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert hello(server, b"localhost")[0] == "CN=localhost"


def client_hello(name: bytes | None) -> bytes:
    """What OpenSSL sends first."""
    tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    if name is not None:
        tls.set_tlsext_host_name(name)
    tls.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        tls.do_handshake()
    return tls.bio_read(65536)


def test_the_name_is_read_from_a_hello_in_pieces_and_in_records() -> None:
    whole = client_hello(b"Case.Localhost")
    assert server_name(whole) == "case.localhost"
    assert server_name(client_hello(None)) is None
    for cut in range(len(whole)):
        with pytest.raises(IncompleteError):
            server_name(whole[:cut])
    body = whole[5:]
    pieces = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (body[:3], body[3:90], body[90:])
    )
    assert server_name(pieces) == "case.localhost"
