"""Soft fail against hard fail: every preset as a real client against every situation, and whether each was right."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene
from mustaple.core.policy import PRESETS
from mustaple.lab.compare.cases import CASES
from mustaple.net.client import check
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.comparison import Cell, Ocsp, Outcome, Traffic, kind_of
from mustaple.report.verdict_json import verdict_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certtools.chain import Link
    from mustaple.net.responder.question import Question
    from mustaple.report.comparison import Case

TIMEOUT: Final = 10.0  # seconds for one connection, all its fetches included


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
    seconds = time.perf_counter() - start
    outcome = Outcome.ACCEPTED if verdict.accepted else Outcome.REFUSED
    said = (*verdict.all_reasons, *(note for each in verdict.certificates for note in each.notes), *verdict.notes)
    return Cell(
        preset=preset,
        case=case.name,
        title=case.title,
        attacker=case.attacker,
        server=case.server,
        revoked=case.revoked,
        outage=case.outage,
        ocsp=case.ocsp,
        must_staple=case.must_staple,
        protocol=case.protocol,
        outcome=outcome,
        kind=kind_of(outcome, case.revoked),
        reason=said[0].code.value if said else None,
        detail=said[0].detail if said else "",
        alert=None,
        seconds=seconds,
        to_server=Traffic(),
        to_ca=Traffic(),
        ca_requests=world.asked - before,
        ca_signatures=0,
        told=[],
        staples_signed=0,
        verdict=verdict_json(verdict),
    )


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
