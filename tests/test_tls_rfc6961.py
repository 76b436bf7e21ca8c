"""The stapling engine, our client against our server in memory: TLS 1.2 by ocsp_multi, TLS 1.3 entry by entry."""

from __future__ import annotations

import json
import sys
from subprocess import run
from typing import TYPE_CHECKING, Any

import pytest
from stapling_ends import ChainClients, ChainServer, Pair, ask, both_versions, codes, shake
from tls_server import server_context
from tls_server import shake as openssl_shake

from certtools.forge import MUTATIONS, Scene, good
from mustaple.core import wire
from mustaple.core.errors import Alert, NetworkError, RefusedError
from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Code, Outcome, Status
from mustaple.net.tls_context import Identity
from mustaple.net.tls_rfc6961 import ServerEnd
from mustaple.net.tlslite_ng import ServerHello

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued

ORIGINS = {
    "TLSv1.2": "TLS 1.2 CertificateStatus (ocsp_multi), response {}",
    "TLSv1.3": "TLS 1.3 Certificate, entry {}",
}


@pytest.fixture(scope="session")
def clients(root: Authority, at: datetime) -> ChainClients:
    """Makes clients for localhost that trust the root."""
    return ChainClients(root, at)


# --- a staple for every certificate


@pytest.mark.requirement("RFC6961-2.2-5", "RFC6961-2.2-6", "RFC9846-4.5.1.1-1", "RFC9846-4.5.1.1-3")
@both_versions
def test_a_good_staple_for_every_certificate_is_accepted(
    clients: ChainClients, leaf: Issued, honest: Pair, version: str
) -> None:
    tls = clients(maximum=version)
    server = shake(tls, ChainServer(leaf, honest))
    verdict = tls.verdict
    assert verdict is not None
    assert verdict.accepted
    assert (verdict.protocol, verdict.engine, server.completed) == (version, "rfc6961", True)
    for place, certificate in enumerate(verdict.certificates):
        (judgement,) = certificate.judgements
        assert judgement.status is Status.GOOD
        assert judgement.origin == ORIGINS[version].format(place)
    assert server.tls.offer.extensions == {5, 17}
    assert server.tls.server_name == "localhost"


@both_versions
def test_application_data_goes_both_ways_and_ends_with_close_notify(
    clients: ChainClients, leaf: Issued, honest: Pair, version: str
) -> None:
    tls = clients()
    server = shake(tls, ChainServer(leaf, honest, version=version))
    assert tls.read() is None
    tls.write(b"hello")
    server.exchange(tls.to_send())
    assert server.data == b"hello"
    server.tls.write(b"good day")
    tls.receive(server.to_send())
    assert (tls.read(4), tls.read()) == (b"good", b" day")
    server.tls.close()
    tls.receive(server.to_send())
    assert tls.read() == b""
    tls.close()


@pytest.mark.requirement("RFC6066-8-5", "RFC6961-2.2-2")
@both_versions
@pytest.mark.parametrize("place", [0, 1], ids=["leaf", "CA"])
@pytest.mark.parametrize("mutation", ["revoked", "expired", "other-certificate", "forged-signature", "dropped"])
def test_one_bad_staple_is_refused_with_113_naming_its_certificate(
    clients: ChainClients,
    leaf: Issued,
    honest: Pair,
    scene: Scene,
    above: Scene,
    version: str,
    place: int,
    mutation: str,
) -> None:
    staples: list[bytes | None] = list(honest)
    staples[place] = MUTATIONS[mutation]((scene, above)[place]) if mutation in MUTATIONS else None
    tls = clients(maximum=version)
    server = shake(tls, ChainServer(leaf, staples))
    assert tls.verdict is not None
    refused = [each.subject for each in tls.verdict.certificates if each.outcome is Outcome.REFUSED]
    assert refused == [("CN=localhost", "CN=test CA")[place]]
    assert (server.alert, server.completed) == (Alert.BAD_CERTIFICATE_STATUS_RESPONSE, False)
    with pytest.raises(RefusedError):
        tls.write(b"secret")


@both_versions
def test_swapped_staples_are_refused(clients: ChainClients, leaf: Issued, honest: Pair, version: str) -> None:
    tls = clients(maximum=version)
    server = shake(tls, ChainServer(leaf, honest[::-1]))
    assert tls.verdict is not None
    assert [each.outcome for each in tls.verdict.certificates] == [Outcome.REFUSED, Outcome.REFUSED]
    assert server.alert == Alert.BAD_CERTIFICATE_STATUS_RESPONSE


@pytest.mark.requirement("RFC6961-2.2-3")
@pytest.mark.parametrize(
    ("version", "keep", "expected", "alert"),
    [
        ("TLSv1.2", (0,), [Code.NO_STAPLE], 113),
        ("TLSv1.2", (), [Code.PROMISE_BROKEN, Code.NO_STAPLE], 113),
        ("TLSv1.2", (0, 1, 1), [Code.WIRE], 113),
        ("TLSv1.3", (0,), [Code.NO_STAPLE], 113),
        ("TLSv1.3", (0, 1, 1), [], None),  # the third has no entry to stand in
    ],
)
def test_a_list_of_another_length(
    clients: ChainClients,
    leaf: Issued,
    honest: Pair,
    version: str,
    keep: tuple[int, ...],
    expected: list[Code],
    alert: int | None,
) -> None:
    tls = clients(maximum=version)
    server = shake(tls, ChainServer(leaf, [honest[place] for place in keep]))
    assert (codes(tls), server.alert) == (expected, alert)


@pytest.mark.parametrize(
    ("version", "expected", "alert"),
    [("TLSv1.2", [Code.PROMISE_BROKEN, Code.NO_STAPLE], 113), ("TLSv1.3", [Code.WIRE], Alert.DECODE_ERROR)],
)
def test_empty_responses_are_none_in_a_list_and_malformed_in_an_entry(
    clients: ChainClients, leaf: Issued, version: str, expected: list[Code], alert: int
) -> None:
    tls = clients(maximum=version)
    server = shake(tls, ChainServer(leaf, [b"", b""]))
    assert (codes(tls), server.alert) == (expected, alert)


@both_versions
def test_a_staple_of_megabytes_ends_the_handshake(
    clients: ChainClients, leaf: Issued, honest: Pair, version: str
) -> None:
    tls = clients(maximum=version)
    server = ChainServer(leaf, [bytes(2 << 20), honest[1]])
    if version == "TLSv1.2":
        shake(tls, server)
        assert codes(tls) == [Code.WIRE]
    else:
        with pytest.raises(NetworkError):
            shake(tls, server)
        assert "do not fit" in str(server.error)


@both_versions
@pytest.mark.parametrize("policy", PRESETS)
def test_every_preset_accepts_an_honest_server(
    clients: ChainClients, leaf: Issued, honest: Pair, version: str, policy: str
) -> None:
    tls = clients(policy, maximum=version)
    server = shake(tls, ChainServer(leaf, honest))
    assert tls.verdict is not None
    assert tls.verdict.accepted
    assert server.tls.offer.extensions == (set() if policy == "ignore" else {5, 17})


@both_versions
def test_a_pending_verdict_takes_more_evidence(
    clients: ChainClients, intermediate: Authority, root: Authority, at: datetime, version: str
) -> None:
    plain = intermediate.leaf(["localhost"], features=None)
    tls = clients("hard-fail", maximum=version)
    shake(tls, ChainServer(plain))
    assert tls.verdict is not None
    assert tls.verdict.outcome is Outcome.PENDING
    assert [link.subject for link in tls.wanted] == [plain.certificate]
    with pytest.raises(RefusedError):
        tls.read()
    assert tls.supply({}).outcome is Outcome.PENDING


@pytest.mark.parametrize("key", ["rsa-2048", "ec-p256", "ec-p384"])
@both_versions
def test_leaves_of_each_kind_of_key(
    clients: ChainClients, intermediate: Authority, honest: Pair, at: datetime, version: str, key: str
) -> None:
    issued = intermediate.leaf(["localhost"], key=key)
    staple = good(issued.as_chain().links[0], intermediate, at)
    tls = clients(maximum=version)
    shake(tls, ChainServer(issued, [staple, honest[1]]))
    assert tls.verdict is not None
    assert tls.verdict.accepted


@both_versions
def test_bytes_that_come_one_by_one_come_to_the_same(
    clients: ChainClients, leaf: Issued, honest: Pair, version: str
) -> None:
    tls = clients(maximum=version)
    server = ChainServer(leaf, honest)
    while sent := tls.to_send():
        for byte in server.exchange(sent):
            tls.receive(bytes([byte]))
    assert tls.verdict is not None
    assert tls.verdict.accepted


# --- what the client sends


@pytest.mark.requirement("RFC9846-2.2-1")
@both_versions
def test_no_session_is_ever_asked_for(clients: ChainClients, leaf: Issued, honest: Pair, version: str) -> None:
    seen: list[set[int]] = []

    class Watching(ServerEnd):
        def _take(self, hello: Any, version: tuple[int, int]) -> None:
            seen.append({each.extType for each in hello.extensions})
            super()._take(hello, version)

    shake(clients(maximum=version), ChainServer(leaf, honest, end=Watching))
    (numbers,) = seen
    assert not numbers & {35, 41, 45, 49}  # session_ticket, pre_shared_key, its modes, post_handshake_auth
    assert numbers >= {0, 5, 17}


def test_status_request_v2_is_as_java_sends_it(clients: ChainClients) -> None:
    sent = clients().to_send()
    assert bytes.fromhex("0005 0005 01 0000 0000") in sent
    assert bytes.fromhex("0011 0009 0007 02 0004 0000 0000") in sent


@pytest.mark.requirement("RFC6066-8-5")
@pytest.mark.parametrize("key", ["ec-p256", "rsa-2048"])
@both_versions
def test_only_a_server_that_is_accepted_sees_the_clients_certificate(
    clients: ChainClients,
    leaf: Issued,
    honest: Pair,
    root: Authority,
    intermediate: Authority,
    tmp_path: Path,
    version: str,
    key: str,
) -> None:
    own = intermediate.leaf(["client.example"], key=key)
    (tmp_path / "own.pem").write_bytes(own.chain_pem() + own.key_pem())
    identity = Identity(str(tmp_path / "own.pem"), str(tmp_path / "own.pem"))
    for staple, seen in ((honest[0], own.certificate), (None, None)):
        tls = clients("must-staple", maximum=version, identity=identity)
        server = openssl_shake(tls, server_context(leaf, staple, client_ca=root.certificate))
        assert tls.verdict is not None
        assert tls.verdict.accepted is bool(seen)
        assert server.seen.certificate == seen
        assert server.seen.completed is bool(seen)


# --- what the server sends, to each way of asking

FIVE, JAVA = (5, wire.encode_status_request()), (17, bytes.fromhex("0007 02 0004 0000 0000"))
OCSP_BY_17 = (17, bytes.fromhex("0007 01 0004 0000 0000"))


@pytest.mark.requirement("RFC6066-8-6", "RFC6961-2.2-5", "RFC6961-2.2-6")
@pytest.mark.parametrize(
    ("asked", "announced", "status_type", "count"),
    [
        ((), None, None, 0),
        ((FIVE,), 5, 1, 1),
        ((JAVA,), 17, 2, 2),
        ((FIVE, JAVA), 17, 2, 2),
        ((JAVA, FIVE), 17, 2, 2),
        ((FIVE, OCSP_BY_17), 17, 1, 1),
    ],
    ids=["nothing", "5", "17", "5 and 17", "17 and 5", "5, and ocsp by 17"],
)
def test_in_tls_12_the_server_announces_one_answer_and_sends_it_after_its_certificates(
    leaf: Issued,
    honest: Pair,
    asked: tuple[tuple[int, bytes], ...],
    announced: int | None,
    status_type: int | None,
    count: int,
) -> None:
    witness = ask(ChainServer(leaf, honest, version="TLSv1.2"), *asked)
    (hello,) = witness.all_of(2)
    extensions = {each.extType: bytes(each.extData) for each in _parsed(hello).extensions or ()}
    assert {number: extensions.get(number) for number in (5, 17)} == {
        number: b"" if number == announced else None for number in (5, 17)
    }
    order = [number for number, _ in witness.messages]
    assert order == [2, 11, *([22] if announced else []), 12, 14]
    for body in witness.all_of(22):
        status = wire.decode_certificate_status(body, allowed=(1, 2))
        assert (status.status_type, status.responses) == (status_type, honest[:count])


def _parsed(body: bytes) -> ServerHello:
    from tlslite.utils.codec import Parser

    return ServerHello().parse(Parser(bytearray(len(body).to_bytes(3, "big") + body)))


@pytest.mark.requirement("RFC9846-4.5.1.1-1", "RFC9846-4.5.1.1-3")
@pytest.mark.parametrize(("asked", "stapled"), [((), False), ((FIVE,), True), ((JAVA,), False), ((FIVE, JAVA), True)])
def test_in_tls_13_each_entry_is_stapled_where_5_asks_and_never_because_of_17(
    leaf: Issued, honest: Pair, asked: tuple[tuple[int, bytes], ...], stapled: bool
) -> None:
    witness = ask(ChainServer(leaf, honest, version="TLSv1.3"), *asked)
    (body,) = witness.all_of(11)
    entries = wire.decode_certificate_tls13(body)
    found = [dict(entry.extensions).get(5) for entry in entries]
    expected = [wire.encode_certificate_status(wire.CertificateStatus(1, (staple,))) for staple in honest]
    assert found == (expected if stapled else [None, None])
    assert not witness.all_of(22)


@both_versions
@pytest.mark.parametrize(
    ("asked", "alert"),
    [
        ([(5, b"\x01\0")], Alert.DECODE_ERROR),
        ([(17, b"\0\0")], Alert.DECODE_ERROR),
        ([JAVA, JAVA], Alert.ILLEGAL_PARAMETER),
        ([(10, bytes.fromhex("0002 0017"))], Alert.ILLEGAL_PARAMETER),
    ],
    ids=["5 cut short", "17 empty", "17 twice", "supported_groups twice"],
)
def test_a_malformed_offer_gets_its_alert(
    leaf: Issued, honest: Pair, version: str, asked: list[tuple[int, bytes]], alert: Alert
) -> None:
    server = ChainServer(leaf, honest, version=version)
    witness = ask(server, *asked)
    assert not witness.messages
    assert getattr(server.error, "description", None) == alert


def test_importing_the_client_does_not_import_the_stapling_engine() -> None:
    code = "import json, sys, mustaple.net.client; print(json.dumps([n for n in sys.modules if 'tlslite' in n]))"
    assert json.loads(run([sys.executable, "-c", code], check=True, capture_output=True).stdout) == []
