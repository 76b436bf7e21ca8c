"""Running a comparison: every client in every situation, one after the other, a cell for each as it is measured."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from mustaple.core.errors import NetworkError
from mustaple.core.policy import PRESETS
from mustaple.lab.compare.cases import CASES
from mustaple.lab.compare.clients import Preset
from mustaple.lab.compare.world import Lines, World
from mustaple.report.comparison import Cell, Outcome, kind_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mustaple.lab.compare.clients import Done, Tester
    from mustaple.lab.compare.world import Counts, Scenery
    from mustaple.report.comparison import Case


def measure(
    cases: Iterable[Case], testers: Iterable[Tester], *, seed: int = 1, known: Container[tuple[str, ...]] = ()
) -> Iterator[Cell]:
    """Every client in every situation, but for cells whose key is `known`, one at a time: they are timed.

    Raises NetworkError where a connection fails that nobody has touched, since that says nothing of a policy.
    """
    clients = tuple(testers)
    with ExitStack() as stack:
        lines = stack.enter_context(Lines())
        world = stack.enter_context(World(lines, seed))
        for case in cases:
            wanted = [each for each in clients if (each.client.name, *case.key) not in known]
            if not wanted:
                continue
            with world.scenery(case) as scenery:
                for tester in wanted:
                    scenery.records.clear()
                    done = tester.meet(scenery)
                    yield _cell(tester, case, scenery, done, world.counts())


def run(cases: Iterable[Case] = CASES, presets: Iterable[str] = tuple(PRESETS), *, seed: int = 1) -> Iterator[Cell]:
    """Every preset in every situation, as they are measured."""
    return measure(cases, map(Preset, presets), seed=seed)


def _cell(tester: Tester, case: Case, scenery: Scenery, done: Done, counts: Counts) -> Cell:
    if done.broken and not counts.tampered:
        raise NetworkError(f"{tester.client.name} in the case {case.name}: {done.detail}")
    kind = kind_of(done.outcome, acceptable=case.acceptable and not counts.tampered)
    return Cell(
        preset=tester.client.name,
        program=tester.client.program,
        case=case.name,
        title=case.title,
        attacker=case.attacker,
        server=case.server,
        revoked=case.revoked,
        outage=case.outage,
        ocsp=case.ocsp,
        must_staple=case.must_staple,
        protocol=case.protocol,
        outcome=done.outcome,
        kind=kind,
        connection_failed=counts.tampered and done.outcome is Outcome.REFUSED,
        reason=done.reason,
        detail=done.detail,
        alert=next((each.alert for each in scenery.records if each.alert is not None), None),
        seconds=round(done.seconds, 6),
        to_server=counts.to_server,
        to_ca=counts.to_ca,
        ca_requests=counts.requests,
        ca_signatures=counts.signatures,
        told=list(counts.told),
        staples_signed=scenery.staples_signed,
        verdict=done.verdict,
    )
