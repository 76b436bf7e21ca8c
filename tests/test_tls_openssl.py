"""The strict client's TLS against real OpenSSL in memory: each acceptance beside the refusal one thing away."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tls_server import MemoryServer, server_context, shake

from certtools.forge import MUTATIONS, good
from mustaple.core.errors import NetworkError, RefusedError
from mustaple.core.policy import PRESETS, preset
from mustaple.core.verdict import Code, Judgement, Outcome, Reason, Source, Status
from mustaple.net import tls_judge
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext, Identity
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from OpenSSL import SSL

    from certtools.authority import Authority, Issued
    from certtools.chain import Chain
    from certtools.forge import Scene

DAY = timedelta(days=1)
VERSIONS = ("TLSv1.2", "TLSv1.3")
both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="session")
def staple(chain: Chain, intermediate: Authority, at: datetime) -> bytes:
    return good(chain.links[0], intermediate, at)


@pytest.fixture(scope="session")
def context(root: Authority, at: datetime) -> ClientContext:
    return ClientContext([root.certificate], at=at)


@pytest.fixture
def client(context: ClientContext, at: datetime) -> Callable[..., ClientTLS]:
    """Makes a client for localhost that trusts the root."""

    def make(policy: str = "must-staple", name: str = "localhost", shared: ClientContext = context) -> ClientTLS:
        return ClientTLS(shared, service_name(name), preset(policy), at)

    return make


def _codes(tls: ClientTLS) -> list[Code]:
    assert tls.verdict is not None
    return [reason.code for reason in tls.verdict.all_reasons]


# --- accepted and refused over one staple


@both_versions
def test_a_good_staple_is_accepted_and_data_flows(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str, at: datetime
) -> None:
    tls = client()
    server = shake(tls, server_context(leaf, staple, version=version))
    verdict = tls.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.checked, verdict.at) == (Outcome.ACCEPTED, True, at)
    assert (verdict.protocol, verdict.engine, verdict.policy) == (version, "openssl", "must-staple")
    (judgement,) = verdict.certificates[0].judgements
    assert (judgement.status, judgement.source) == (Status.GOOD, Source.STAPLE)
    assert "Certificate" in judgement.origin
    tls.write(b"question")
    answered = server.exchange(tls.to_send())
    assert server.seen.data == b"question"
    assert tls.read() is None
    server.tls.sendall(b"answer")
    server.tls.shutdown()
    tls.receive(answered + server.to_send())
    assert tls.read(3) == b"ans"
    assert tls.read() == b"wer"
    assert tls.read() == b""


STAPLES = {
    "no staple": (None, Code.PROMISE_BROKEN),
    "revoked": ("revoked", Code.REVOKED),
    "expired": ("expired", Code.EXPIRED),
    "a forged signature": ("forged-signature", Code.BAD_SIGNATURE),
    "nobody's signature": ("rogue-signer", Code.UNAUTHORIZED_RESPONDER),
    "the responder is busy": ("try-later", Code.ERROR_STATUS),
    "unknown": ("unknown", Code.UNKNOWN),
}


@pytest.mark.requirement("RFC6066-8-5")
@both_versions
@pytest.mark.parametrize(("mutation", "code"), STAPLES.values(), ids=STAPLES)
def test_a_server_refused_for_its_staple_sees_alert_113_and_nothing_else(
    root: Authority,
    intermediate: Authority,
    leaf: Issued,
    scene: Scene,
    version: str,
    mutation: str | None,
    code: Code,
    tmp_path: Path,
    at: datetime,
) -> None:
    own = _identity(intermediate, tmp_path)
    tls = ClientTLS(
        ClientContext([root.certificate], at=at, identity=own), service_name("localhost"), preset("must-staple"), at
    )
    staple = None if mutation is None else MUTATIONS[mutation](scene)
    server = shake(tls, server_context(leaf, staple, version=version, client_ca=root.certificate))
    assert code in _codes(tls)
    assert server.seen.alert == 113
    assert (server.seen.completed, server.seen.data, server.seen.certificate) == (False, b"", None)
    for use in (lambda: tls.write(b"secret"), tls.read):
        with pytest.raises(RefusedError) as caught:
            use()
        assert caught.value.verdict is tls.verdict
    tls.close()
    assert tls.to_send() == b""


@both_versions
def test_the_same_server_with_a_good_staple_sees_the_clients_certificate(
    root: Authority, intermediate: Authority, leaf: Issued, staple: bytes, version: str, tmp_path: Path, at: datetime
) -> None:
    own = _identity(intermediate, tmp_path)
    shared = ClientContext([root.certificate], at=at, identity=own)
    tls = ClientTLS(shared, service_name("localhost"), preset("must-staple"), at)
    server = shake(tls, server_context(leaf, staple, version=version, client_ca=root.certificate))
    assert tls.verdict is not None
    assert tls.verdict.accepted
    assert server.seen.certificate is not None
    assert server.seen.certificate.serial_number == 4711


def _identity(intermediate: Authority, folder: Path) -> Identity:
    own = intermediate.leaf(["client"], features=None, serial_number=4711)
    (folder / "own.pem").write_bytes(own.chain_pem())
    (folder / "own.key").write_bytes(own.key_pem())
    return Identity(str(folder / "own.pem"), str(folder / "own.key"))


@both_versions
def test_a_leaf_without_a_promise_may_be_bare_and_strict_still_wants_a_staple(
    client: Callable[..., ClientTLS], intermediate: Authority, version: str
) -> None:
    plain = intermediate.leaf(["localhost"], features=None)
    wanting = client("must-staple")
    shake(wanting, server_context(plain, None, version=version))
    assert wanting.verdict is not None
    assert wanting.verdict.outcome is Outcome.PENDING  # it asks the responder, and notes what it hears
    strict = client("strict")
    server = shake(strict, server_context(plain, None, version=version))
    assert _codes(strict) == [Code.NO_STAPLE, Code.NO_STAPLE]
    assert server.seen.alert == 113


@both_versions
def test_ignore_asks_for_nothing_and_is_decided_all_the_same(
    client: Callable[..., ClientTLS], leaf: Issued, scene: Scene, version: str
) -> None:
    tls = client("ignore")
    server = shake(tls, server_context(leaf, MUTATIONS["revoked"](scene), version=version))
    assert tls.verdict is not None
    assert tls.verdict.accepted
    assert (tls.verdict.checked, tls.verdict.protocol, server.seen.asked) == (False, version, False)


# --- the path and the name


def _expired(root: Authority, at: datetime) -> Issued:
    return root.leaf(["localhost"], not_after=at - DAY)


def _not_yet(root: Authority, at: datetime) -> Issued:
    return root.leaf(["localhost"], not_before=at + DAY)


@both_versions
@pytest.mark.parametrize("policy", PRESETS)
@pytest.mark.parametrize(("issue", "said"), [(_expired, "expired"), (_not_yet, "not yet valid")])
def test_a_leaf_outside_its_validity_is_refused_by_every_policy(
    client: Callable[..., ClientTLS],
    root: Authority,
    at: datetime,
    version: str,
    policy: str,
    issue: Callable[[Authority, datetime], Issued],
    said: str,
) -> None:
    leaf = issue(root, at)
    tls = client(policy)
    server = shake(tls, server_context(leaf, good(leaf.as_chain().links[0], root, at), version=version))
    assert _codes(tls) == [Code.PATH_INVALID]
    assert tls.verdict is not None
    assert said in tls.verdict.reasons[0].detail
    assert "depth 0" in tls.verdict.reasons[0].detail
    assert (server.seen.completed, server.seen.data) == (False, b"")
    assert server.seen.alert in {42, 45}  # bad_certificate, certificate_expired


@both_versions
def test_the_path_is_verified_at_the_time_that_is_asked_for(root: Authority, version: str, at: datetime) -> None:
    leaf = root.leaf(["localhost"], not_after=at - DAY)
    then = at - 2 * DAY
    for moment, accepted in ((then, True), (at, False)):
        tls = ClientTLS(
            ClientContext([root.certificate], at=moment), service_name("localhost"), preset("strict"), moment
        )
        shake(tls, server_context(leaf, good(leaf.as_chain().links[0], root, then), version=version))
        assert tls.verdict is not None
        assert tls.verdict.accepted is accepted


@both_versions
@pytest.mark.parametrize("policy", PRESETS)
def test_a_root_that_nobody_trusts_is_refused_by_every_policy(
    client: Callable[..., ClientTLS], rogue: Authority, version: str, policy: str, at: datetime
) -> None:
    leaf = rogue.leaf(["localhost"])
    tls = client(policy)
    server = shake(tls, server_context(leaf, good(leaf.as_chain().links[0], rogue, at), version=version))
    assert _codes(tls) == [Code.PATH_INVALID]
    assert (server.seen.completed, server.seen.alert) == (False, 48)  # unknown_ca


def test_a_missing_intermediate_is_a_path_error_that_names_the_certificate(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes
) -> None:
    tls = client()
    shake(tls, server_context(leaf, staple, chain=[]))
    assert _codes(tls) == [Code.PATH_INVALID]
    assert tls.verdict is not None
    assert "CN=localhost" in tls.verdict.reasons[0].detail


NAMES = {
    "localhost": True,
    "LOCALHOST": True,
    "localhost.": True,
    "127.0.0.1": True,
    "example.com": False,
    "localhost.example": False,
    "127.0.0.2": False,
    "::1": False,
}


@both_versions
@pytest.mark.parametrize("policy", ["must-staple", "ignore"])
@pytest.mark.parametrize(("name", "held"), NAMES.items())
def test_the_name_must_stand_in_the_leaf(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str, policy: str, name: str, *, held: bool
) -> None:
    tls = client(policy, name)
    server = shake(tls, server_context(leaf, staple, version=version))
    assert server.seen.completed is held
    assert _codes(tls) == ([] if held else [Code.NAME_MISMATCH])
    if not held:
        assert (server.seen.data, server.seen.alert is not None) == (b"", True)


def test_a_wrong_name_does_not_hide_what_the_staple_says(
    client: Callable[..., ClientTLS], leaf: Issued, scene: Scene
) -> None:
    tls = client("must-staple", "example.com")
    shake(tls, server_context(leaf, MUTATIONS["revoked"](scene)))
    assert _codes(tls) == [Code.REVOKED, Code.NAME_MISMATCH]


@both_versions
@pytest.mark.parametrize("features", [(5, 99), (), (99,)])
@pytest.mark.parametrize(("name", "held"), [("localhost", True), ("example.com", False)])
def test_a_feature_list_that_hides_the_extensions_does_not_hide_the_name(
    client: Callable[..., ClientTLS],
    intermediate: Authority,
    version: str,
    features: tuple[int, ...],
    name: str,
    at: datetime,
    *,
    held: bool,
) -> None:
    leaf = intermediate.leaf(["localhost"], features=features)
    tls = client("must-staple", name)
    shake(tls, server_context(leaf, good(leaf.as_chain().links[0], intermediate, at), version=version))
    assert _codes(tls) == ([] if held else [Code.NAME_MISMATCH])


# --- where the path ends


def test_a_trusted_intermediate_ends_the_path(
    intermediate: Authority, leaf: Issued, staple: bytes, at: datetime
) -> None:
    tls = ClientTLS(ClientContext([intermediate.certificate], at=at), service_name("localhost"), preset("strict"), at)
    shake(tls, server_context(leaf, staple))
    assert tls.verdict is not None
    assert tls.verdict.accepted
    assert len(tls.verdict.certificates) == 1


@pytest.mark.parametrize(("policy", "accepted"), [("strict", False), ("must-staple", False), ("ignore", True)])
def test_a_trusted_leaf_leaves_nothing_to_check(
    leaf: Issued, staple: bytes, at: datetime, policy: str, *, accepted: bool
) -> None:
    tls = ClientTLS(ClientContext([leaf.certificate], at=at), service_name("localhost"), preset(policy), at)
    shake(tls, server_context(leaf, staple))
    assert tls.verdict is not None
    assert tls.verdict.accepted is accepted
    assert _codes(tls) == ([] if accepted else [Code.NOTHING_TO_CHECK])


# --- sessions


class _Resuming(ClientTLS):
    """A client that offers a session, as ours never does."""

    session: SSL.Session | None = None

    def _step(self) -> None:
        if self.session is not None:
            self._tls.set_session(self.session)
            type(self).session = None
        super()._step()


@pytest.mark.requirement("RFC9846-2.2-1")
@both_versions
@pytest.mark.parametrize("policy", ["must-staple", "soft-fail", "ignore"])
def test_a_resumed_session_shows_no_chain_and_is_refused(
    context: ClientContext, leaf: Issued, staple: bytes, version: str, policy: str, at: datetime
) -> None:
    server = server_context(leaf, staple, version=version, tickets=True)
    first = _Resuming(context, service_name("localhost"), preset(policy), at)
    end = shake(first, server)
    first.receive(end.to_send() or b"\x17")  # the tickets of TLS 1.3 come after the handshake
    assert first.verdict is not None
    assert first.verdict.accepted
    assert first.read() is None
    _Resuming.session = first._tls.get_session()
    second = _Resuming(context, service_name("localhost"), preset(policy), at)
    shake(second, server)
    assert _codes(second) == [Code.NO_CHAIN]


@both_versions
def test_two_connections_of_one_context_each_see_the_whole_chain(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str
) -> None:
    server = server_context(leaf, staple, version=version, tickets=True)
    for _ in range(2):
        tls = client()
        assert shake(tls, server).seen.asked
        assert tls.verdict is not None
        assert len(tls.verdict.certificates) == 2


# --- what is decided after the handshake


@both_versions
@pytest.mark.parametrize("mutation", [None, "forged-signature", "expired"])
def test_what_needs_a_fetch_is_pending_until_it_is_supplied(
    client: Callable[..., ClientTLS], leaf: Issued, scene: Scene, version: str, mutation: str | None
) -> None:
    staple = None if mutation is None else MUTATIONS[mutation](scene)
    for policy, accepted in (("soft-fail", True), ("hard-fail", False)):
        tls = client(policy)
        server = shake(tls, server_context(leaf, staple, version=version))
        if policy == "hard-fail":
            assert _codes(tls), "the promise is broken whatever a fetch brings"
            assert not server.seen.completed
            continue
        assert server.seen.completed
        assert tls.verdict is not None
        assert tls.verdict.outcome is Outcome.PENDING
        with pytest.raises(RefusedError):
            tls.write(b"too early")
        (link,) = tls.wanted
        assert link.subject == leaf.certificate
        reason = Reason(Code.UNREACHABLE, "nobody answers")
        missing = Judgement(Status.MISSING, Source.OCSP, "http://127.0.0.1:1", link.fingerprint, (reason,))
        assert tls.supply({link.fingerprint: [missing]}).accepted is accepted
        tls.write(b"now")


def test_nothing_can_be_supplied_or_written_before_there_is_a_verdict(client: Callable[..., ClientTLS]) -> None:
    tls = client()
    assert (tls.done, tls.verdict, tls.wanted) == (False, None, ())
    for use in (lambda: tls.supply({}), lambda: tls.write(b"x"), tls.read):
        with pytest.raises(RuntimeError):
            use()
    tls.close()


# --- what is no verdict


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak TLS"),
        (bytes.fromhex("15 0303 0002 0228"), "the server ended the connection: .*handshake failure"),
        (bytes.fromhex("15 0303 0002 0246"), "the server ended the connection: .*protocol version"),
        (bytes.fromhex("16 0303 0004 02000000"), "the TLS handshake failed"),
        (b"", "closed the connection"),
    ],
)
def test_an_answer_that_is_no_handshake_is_a_network_error(
    client: Callable[..., ClientTLS], data: bytes, said: str
) -> None:
    tls = client()
    with pytest.raises(NetworkError, match=said):
        tls.receive(data)
    assert (tls.done, tls.verdict) == (True, None)


@both_versions
def test_a_handshake_that_fails_after_the_decision_has_no_verdict(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, root: Authority, version: str
) -> None:
    tls = client()
    demanding = server_context(leaf, staple, version=version, client_ca=root.certificate)
    if version == "TLSv1.3":  # there the handshake is over for the client before the server has said no
        server = shake(tls, demanding)
        assert not server.seen.completed
        tls.receive(server.to_send())
        with pytest.raises(NetworkError, match=r"the server ended the connection: .*certificate required"):
            tls.read()
        return
    with pytest.raises(NetworkError, match="the server ended the connection"):
        shake(tls, demanding)
    assert tls.verdict is None


@both_versions
def test_a_server_without_the_key_is_no_verdict(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str
) -> None:
    def altered(data: bytes) -> bytes:
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] if len(data) > 500 else data

    tls = client()
    with pytest.raises(NetworkError, match="the TLS handshake failed"):
        shake(tls, server_context(leaf, staple, version=version), altered)
    assert tls.verdict is None


@both_versions
def test_a_stream_cut_off_is_told_from_its_end(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str
) -> None:
    tls = client()
    shake(tls, server_context(leaf, staple, version=version))
    tls.receive(b"")
    with pytest.raises(NetworkError, match="closed the connection"):
        tls.read()


def test_a_flight_without_end_is_refused(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shake(client(), server_context(leaf, staple))
    monkeypatch.setattr(tls_judge, "MAX_FLIGHT_BYTES", 200)
    tls = client()
    server = shake(tls, server_context(leaf, staple))
    assert _codes(tls) == [Code.WIRE]
    assert not server.seen.completed


@both_versions
def test_an_exception_in_a_callback_comes_out_of_the_handshake(
    context: ClientContext, leaf: Issued, staple: bytes, version: str, at: datetime
) -> None:
    naive = at.replace(tzinfo=None)
    tls = ClientTLS(context, service_name("localhost"), preset("must-staple"), naive)
    with pytest.raises(TypeError, match="aware"):
        shake(tls, server_context(leaf, staple, version=version))
    assert tls.verdict is None


@both_versions
def test_bytes_that_come_one_by_one_come_to_the_same(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, version: str
) -> None:
    tls = client()
    server = MemoryServer(server_context(leaf, staple, version=version))
    while sent := tls.to_send():
        for byte in server.exchange(sent):
            tls.receive(bytes([byte]))
    assert tls.verdict is not None
    assert tls.verdict.accepted


@pytest.mark.requirement("RFC6066-8-3")
@pytest.mark.parametrize("code", [Code.MALFORMED, Code.WIRE])
def test_a_staple_that_openssl_cannot_read_is_a_refusal_with_its_reason(
    client: Callable[..., ClientTLS], leaf: Issued, staple: bytes, code: Code
) -> None:
    """TLS 1.2 in clear: the staple is changed on its way, which OpenSSL notices before it could miss a signature."""
    response = b"\x30\x82" if code is Code.MALFORMED else b""
    head = bytes([22]) + (len(staple) + 4).to_bytes(3, "big") + b"\x01"

    def spoiled(data: bytes) -> bytes:
        place = data.find(head)
        if place < 0:
            return data
        if code is Code.WIRE:  # a length that reaches one byte too far
            return data.replace(len(staple).to_bytes(3, "big") + staple, (len(staple) + 1).to_bytes(3, "big") + staple)
        return data.replace(staple, response + staple[2:].replace(staple[4:8], b"\xff\xff\xff\xff", 1))

    tls = client()
    shake(tls, server_context(leaf, staple, version="TLSv1.2"), spoiled)
    assert _codes(tls) == [code]


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_end_in_a_network_error_or_wait_for_more(data: bytes) -> None:
    tls = ClientTLS(_BARE, service_name("localhost"), preset("strict"), datetime.fromisoformat("2026-06-01T00:00Z"))
    try:
        tls.receive(data)
        tls.receive(b"")
    except NetworkError:
        assert tls.verdict is None
    else:
        pytest.fail("a stream that ended is no handshake")


_BARE = ClientContext(())
