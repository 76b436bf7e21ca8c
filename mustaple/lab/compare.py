"""Soft fail against hard fail: every preset as a real client against every situation, and whether each was right."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene
from mustaple.core.policy import PRESETS
from mustaple.net.client import check
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.comparison import Attacker, Case, Cell, Ocsp, Revoked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certtools.chain import Link
    from mustaple.net.responder.question import Question

TIMEOUT: Final = 10.0  # seconds for one connection, all its fetches included


_BLOCKED_BY_THIEF: Final[dict[str, Any]] = {
    "revoked": Revoked.LEAF,
    "answer": "revoked",
    "ocsp": Ocsp.BLOCKED,
    "attacker": Attacker.THIEF,
}

CASES: Final = (
    Case("good-staple", "all is well"),
    Case("no-staple", "the server forgets to staple", staple=None),
    Case("no-promise", "no staple, and none was promised", staple=None, must_staple=False),
    Case("leaf-staple-only", "the server staples the leaf alone", ca_staple=None),
    Case("expired-staple", "the server does not refresh its staple", staple="expired"),
    Case("responder-down", "the responder is down, and the staple gone", staple=None, ocsp=Ocsp.BLOCKED),
    Case(
        "no-promise-down",
        "the responder is down; no staple was promised",
        staple=None,
        ocsp=Ocsp.BLOCKED,
        must_staple=False,
    ),
    Case("unknown", "the responder lost its memory", staple="unknown", answer="unknown"),
    Case("revoked-staple", "the staple says revoked", revoked=Revoked.LEAF, staple="revoked", answer="revoked"),
    Case(
        "stripped",
        "a thief staples nothing",
        revoked=Revoked.LEAF,
        staple=None,
        answer="revoked",
        attacker=Attacker.THIEF,
    ),
    Case("stripped-and-blocked", "a thief staples nothing and blocks OCSP", staple=None, **_BLOCKED_BY_THIEF),
    Case(
        "no-promise-blocked",
        "a thief blocks OCSP; no staple was promised",
        staple=None,
        must_staple=False,
        **_BLOCKED_BY_THIEF,
    ),
    Case("old-good-staple", "a thief staples an old good answer, blocks OCSP", staple="expired", **_BLOCKED_BY_THIEF),
    Case(
        "others-staple",
        "a thief staples another's good answer, blocks OCSP",
        staple="other-certificate",
        **_BLOCKED_BY_THIEF,
    ),
    Case("bad-signature", "a thief staples a forgery, blocks OCSP", staple="forged-signature", **_BLOCKED_BY_THIEF),
    Case(
        "revoked-intermediate",
        "a thief holds the intermediate's key, staples for the leaf alone",
        revoked=Revoked.INTERMEDIATE,
        ca_staple=None,
        attacker=Attacker.THIEF,
    ),
)


def run(cases: tuple[Case, ...] = CASES, presets: tuple[str, ...] = tuple(PRESETS)) -> Iterator[Cell]:
    """Every preset in every case, case by case, as they are measured.

    Issues chains of its own (root, intermediate, leaf), and runs a responder and, one after the other, servers that
    staple for every certificate, in TLS 1.3, on loopback while it goes on.
    """
    with ExitStack() as stack:
        world = _World(stack)
        for case in cases:
            with world.serve(case) as server:
                for preset in presets:
                    yield _measure(world, server, case, preset)


def _measure(world: _World, server: ChainStaplingServer, case: Case, preset: str) -> Cell:
    before = world.asked
    start = time.perf_counter()
    verdict = check(
        "localhost",
        server.port,
        preset,
        ca=world.root.certificate,
        address=(server.host, server.port),
        timeout=TIMEOUT,
    )
    return Cell(preset, case, verdict, world.asked - before, time.perf_counter() - start)


class _World:
    """The CA of the experiment, its responder, and an address where nobody answers."""

    def __init__(self, stack: ExitStack) -> None:
        self.at = datetime.now(UTC)
        begin, end = self.at - timedelta(days=90), self.at + timedelta(days=90)
        self.root = Authority.root("compare root", not_before=begin, not_after=end)
        self.rogue = Authority.root("somebody else", not_before=begin, not_after=end)
        self.answers: dict[int, bytes] = {}
        self.asked = 0
        self.responder = stack.enter_context(ResponderServer(self._answer))
        # Bound and not listening: whoever connects is refused at once, as behind a firewall that rejects.
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        self.blocked = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    def serve(self, case: Case) -> ChainStaplingServer:
        """A server in this case's situation, with certificates of its own."""
        url = self.responder.url if case.ocsp is Ocsp.ANSWERS else self.blocked
        ca, other_ca = (self.root.intermediate(f"compare CA {number}", ocsp_urls=(url,)) for number in (1, 2))
        features = (5,) if case.must_staple else None
        leaf, other = (ca.leaf(["localhost"], features=features, ocsp_urls=(url,)) for _ in range(2))
        of_leaf = self._scene(leaf.as_chain().links[0], ca, other.as_chain().links[0])
        of_ca = self._scene(ca.as_chain().links[0], self.root, other_ca.as_chain().links[0])
        self.answers[leaf.certificate.serial_number] = _response(case.answer, of_leaf)
        staples = [
            None if name is None else _response(name, scene)
            for name, scene in ((case.staple, of_leaf), (case.ca_staple, of_ca))
        ]
        return ChainStaplingServer((leaf.certificate, ca.certificate), leaf.key, staples)

    def _scene(self, link: Link, issuer: Authority, other: Link) -> Scene:
        return Scene(link=link, issuer=issuer, other=other, rogue=self.rogue, at=self.at)

    def _answer(self, question: Question) -> bytes:
        self.asked += 1
        return self.answers.get(question.cert_ids[0].serial_number, UNAUTHORIZED)


def _response(name: str, scene: Scene) -> bytes:
    return scene.response() if name == "good" else MUTATIONS[name](scene)
