"""A few seconds of the fuzzing that `make fuzz` does for minutes, and that it finds what it looks for."""

from __future__ import annotations

import queue
import socket
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from fuzz_handshakes import Report, run
from fuzz_targets import BrokenPromiseError, Targets

from mustaple.core import wire
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source
from mustaple.net import server as openssl_server
from mustaple.net import stapling_server, stapling_session, tls_judge

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 6961


@pytest.fixture
def targets() -> Iterator[Targets]:
    """The cases, with their servers running."""
    with Targets(Random(SEED)) as made:  # noqa: S311 - no secret
        yield made


def test_hostile_handshakes_come_to_a_refusal_or_an_error_of_ours() -> None:
    report = run(SEED, cases=1000)
    assert report.findings == []
    assert report.cases.total() == 1000
    assert len(report.cases) == 11  # every kind of case
    outcomes = {outcome for _, outcome in report.outcomes}
    assert outcomes >= {"WireError", "NetworkError", "refused", "read", "accepted"}


def test_an_exception_that_is_not_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire.Reader, "_cut_short", lambda *_: IndexError("not one of ours"))
    assert any("IndexError: not one of ours" in finding for finding in run(SEED, cases=100).findings)


@pytest.mark.parametrize("chain", [True, False])
def test_a_client_that_takes_a_changed_staple_for_the_honest_one_is_found(
    monkeypatch: pytest.MonkeyPatch, targets: Targets, chain: bool
) -> None:
    site = targets._ground.site
    honest = {
        link.fingerprint: judge(staple, link, site.now, source=Source.STAPLE)
        for link, staple in zip(site.chain.links, site.good, strict=True)
    }
    monkeypatch.setattr(tls_judge, "judge_case", lambda _case, link, *_, **__: honest[link.fingerprint])
    with pytest.raises(BrokenPromiseError, match="not the honest one"):  # noqa: PT012 - one of the first, not the first
        for _ in range(400):
            targets.lying(chain=chain)


def test_a_server_that_fails_in_its_thread_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("in a thread")

    monkeypatch.setattr(stapling_session.Session, "linger", fail)
    assert any("LookupError: in a thread" in finding for finding in run(SEED, cases=100).findings)


def test_memory_that_grows_after_the_warm_up_is_found() -> None:
    flat, growing = [float(40 + min(n, 10)) for n in range(30)], [float(40 + n) for n in range(30)]
    assert Report(resident=flat).growth == 0
    assert Report(resident=growing).growth > 10


@pytest.mark.parametrize("module", [openssl_server, stapling_server])
def test_a_server_of_whose_records_nobody_asks_keeps_only_the_last(
    monkeypatch: pytest.MonkeyPatch, targets: Targets, module: Any
) -> None:
    monkeypatch.setattr(module, "_KEPT_RECORDS", 3)
    site, told = targets._ground.site, queue.SimpleQueue[object]()
    kind = module.StaplingServer if module is openssl_server else module.ChainStaplingServer
    with kind(site.sent, site.leaf.key, on_event=told.put) as server:
        for _ in range(5):
            socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
            told.get(timeout=30)
        assert len(server.records) == server._ended.qsize() == 3
