"""The strict client's TLS against real OpenSSL in memory: each acceptance beside the refusal one thing away."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from strict_client import Clients, codes
from tls_server import server_context, shake

from certtools.forge import MUTATIONS, good
from mustaple.core.errors import RefusedError
from mustaple.core.policy import PRESETS, preset
from mustaple.core.verdict import Code, Judgement, Outcome, Reason, Source, Status
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import ClientContext, Identity
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from OpenSSL import SSL

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

DAY = timedelta(days=1)
VERSIONS = ("TLSv1.2", "TLSv1.3")
both_versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture(scope="session")
def clients(root: Authority, at: datetime) -> Clients:
    return Clients(root, at)


# --- accepted and refused over one staple


@both_versions
def test_a_good_staple_is_accepted_and_data_flows(
    clients: Clients, leaf: Issued, staple: bytes, version: str, at: datetime
) -> None:
    tls = clients()
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
    assert code in codes(tls)
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


@pytest.mark.peer("ML-DSA")
@pytest.mark.parametrize(("version", "shown"), [("TLSv1.3", True), ("TLSv1.2", False)])
def test_a_client_has_a_post_quantum_certificate_in_tls13_alone(
    root: Authority,
    intermediate: Authority,
    leaf: Issued,
    staple: bytes,
    version: str,
    shown: bool,
    tmp_path: Path,
    at: datetime,
) -> None:
    own = _identity(intermediate, tmp_path, "ml-dsa-65")
    shared = ClientContext([root.certificate], at=at, identity=own)
    tls = ClientTLS(shared, service_name("localhost"), preset("must-staple"), at)
    asks = server_context(leaf, staple, version=version, client_ca=root.certificate, require=False)
    server = shake(tls, asks)
    assert server.seen.completed
    assert (server.seen.certificate is not None) is shown, "TLS 1.2 has no signature scheme for such a key"


def _identity(intermediate: Authority, folder: Path, kind: str = "ec-p256") -> Identity:
    own = intermediate.leaf(["client"], features=None, serial_number=4711, key=kind)
    (folder / "own.pem").write_bytes(own.chain_pem())
    (folder / "own.key").write_bytes(own.key_pem())
    return Identity(str(folder / "own.pem"), str(folder / "own.key"))


@both_versions
def test_a_leaf_without_a_promise_may_be_bare_and_strict_still_wants_a_staple(
    clients: Clients, intermediate: Authority, version: str
) -> None:
    plain = intermediate.leaf(["localhost"], features=None)
    wanting = clients("must-staple")
    shake(wanting, server_context(plain, None, version=version))
    assert wanting.verdict is not None
    assert wanting.verdict.outcome is Outcome.PENDING  # it asks the responder, and notes what it hears
    strict = clients("strict")
    server = shake(strict, server_context(plain, None, version=version))
    assert codes(strict) == [Code.NO_STAPLE, Code.NO_STAPLE]
    assert server.seen.alert == 113


@both_versions
def test_ignore_asks_for_nothing_and_is_decided_all_the_same(
    clients: Clients, leaf: Issued, scene: Scene, version: str
) -> None:
    tls = clients("ignore")
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
    clients: Clients,
    root: Authority,
    at: datetime,
    version: str,
    policy: str,
    issue: Callable[[Authority, datetime], Issued],
    said: str,
) -> None:
    leaf = issue(root, at)
    tls = clients(policy)
    server = shake(tls, server_context(leaf, good(leaf.as_chain().links[0], root, at), version=version))
    assert codes(tls) == [Code.PATH_INVALID]
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
    clients: Clients, rogue: Authority, version: str, policy: str, at: datetime
) -> None:
    leaf = rogue.leaf(["localhost"])
    tls = clients(policy)
    server = shake(tls, server_context(leaf, good(leaf.as_chain().links[0], rogue, at), version=version))
    assert codes(tls) == [Code.PATH_INVALID]
    assert (server.seen.completed, server.seen.alert) == (False, 48)  # unknown_ca


def test_a_missing_intermediate_is_a_path_error_that_names_the_certificate(
    clients: Clients, leaf: Issued, staple: bytes
) -> None:
    tls = clients()
    shake(tls, server_context(leaf, staple, chain=[]))
    assert codes(tls) == [Code.PATH_INVALID]
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
    clients: Clients, leaf: Issued, staple: bytes, version: str, policy: str, name: str, *, held: bool
) -> None:
    tls = clients(policy, name)
    server = shake(tls, server_context(leaf, staple, version=version))
    assert server.seen.completed is held
    assert codes(tls) == ([] if held else [Code.NAME_MISMATCH])
    if not held:
        assert (server.seen.data, server.seen.alert is not None) == (b"", True)


def test_a_wrong_name_does_not_hide_what_the_staple_says(clients: Clients, leaf: Issued, scene: Scene) -> None:
    tls = clients("must-staple", "example.com")
    shake(tls, server_context(leaf, MUTATIONS["revoked"](scene)))
    assert codes(tls) == [Code.REVOKED, Code.NAME_MISMATCH]


@both_versions
@pytest.mark.parametrize("features", [(5, 99), (), (99,)])
@pytest.mark.parametrize(("name", "held"), [("localhost", True), ("example.com", False)])
def test_a_feature_list_that_hides_the_extensions_does_not_hide_the_name(
    clients: Clients,
    intermediate: Authority,
    version: str,
    features: tuple[int, ...],
    name: str,
    at: datetime,
    *,
    held: bool,
) -> None:
    leaf = intermediate.leaf(["localhost"], features=features)
    tls = clients("must-staple", name)
    shake(tls, server_context(leaf, good(leaf.as_chain().links[0], intermediate, at), version=version))
    assert codes(tls) == ([] if held else [Code.NAME_MISMATCH])


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
    assert codes(tls) == ([] if accepted else [Code.NOTHING_TO_CHECK])


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
    clients: Clients, leaf: Issued, staple: bytes, version: str, policy: str, at: datetime
) -> None:
    server = server_context(leaf, staple, version=version, tickets=True)
    first = _Resuming(clients.context, service_name("localhost"), preset(policy), at)
    end = shake(first, server)
    first.receive(end.to_send() or b"\x17")  # the tickets of TLS 1.3 come after the handshake
    assert first.verdict is not None
    assert first.verdict.accepted
    assert first.read() is None
    _Resuming.session = first._tls.get_session()
    second = _Resuming(clients.context, service_name("localhost"), preset(policy), at)
    shake(second, server)
    assert codes(second) == [Code.NO_CHAIN]


@both_versions
def test_two_connections_of_one_context_each_see_the_whole_chain(
    clients: Clients, leaf: Issued, staple: bytes, version: str
) -> None:
    server = server_context(leaf, staple, version=version, tickets=True)
    for _ in range(2):
        tls = clients()
        assert shake(tls, server).seen.asked
        assert tls.verdict is not None
        assert len(tls.verdict.certificates) == 2


# --- what is decided after the handshake


@both_versions
@pytest.mark.parametrize("mutation", [None, "forged-signature", "expired"])
def test_what_needs_a_fetch_is_pending_until_it_is_supplied(
    clients: Clients, leaf: Issued, scene: Scene, version: str, mutation: str | None
) -> None:
    staple = None if mutation is None else MUTATIONS[mutation](scene)
    for policy, accepted in (("soft-fail", True), ("hard-fail", False)):
        tls = clients(policy)
        server = shake(tls, server_context(leaf, staple, version=version))
        if policy == "hard-fail":
            assert codes(tls), "the promise is broken whatever a fetch brings"
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


def test_nothing_can_be_supplied_or_written_before_there_is_a_verdict(clients: Clients) -> None:
    tls = clients()
    assert (tls.done, tls.verdict, tls.wanted) == (False, None, ())
    for use in (lambda: tls.supply({}), lambda: tls.write(b"x"), tls.read):
        with pytest.raises(RuntimeError):
            use()
    tls.close()
