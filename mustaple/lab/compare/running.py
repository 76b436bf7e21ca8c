"""Running a comparison: every client in every situation, one after the other, a cell for each as it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core.errors import NetworkError
from mustaple.core.policy import PRESETS
from mustaple.lab.compare.cases import CASES
from mustaple.lab.compare.clients import Preset
from mustaple.lab.compare.world import World
from mustaple.report.comparison import Cell, Outcome, kind_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mustaple.lab.compare.clients import Done, Tester
    from mustaple.lab.compare.stage import Counts, Stage
    from mustaple.report.comparison import Case, Client, Key


def measure(
    stage: Stage, cases: Iterable[Case], testers: Iterable[Tester], *, known: Container[Key] = ()
) -> Iterator[Cell]:
    """Every client in every situation of this stage, but for cells whose key is `known`.

    One at a time, since they are timed. Raises NetworkError where a connection fails that nobody has touched: that says
    nothing of a policy.
    """
    clients = tuple(testers)
    for case in cases:
        wanted = [each for each in clients if (each.client.name, *case.key) not in known]
        if not wanted:
            continue
        with stage.scenery(case) as scenery:
            for tester in wanted:
                scenery.seen.forget()
                done = tester.meet(scenery)
                records = scenery.records()
                counts = stage.counts()
                if done.broken and not counts.tampered and not stage.odd:
                    raise NetworkError(f"{tester.client.name} in the case {case.name}: {done.detail}")
                alert = next((each.alert for each in records if each.alert is not None), None)
                yield _cell(tester.client, case, done, counts, alert=alert, staples_signed=scenery.staples_signed)


def run(cases: Iterable[Case] = CASES, presets: Iterable[str] = tuple(PRESETS), *, seed: int = 1) -> Iterator[Cell]:
    """Every preset in every situation, as they are measured."""
    with World(seed) as world:
        yield from measure(world, cases, map(Preset, presets))


def _cell(client: Client, case: Case, done: Done, counts: Counts, *, alert: int | None, staples_signed: int) -> Cell:
    return Cell(
        preset=client.name,
        program=client.program,
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
        kind=kind_of(done.outcome, acceptable=case.acceptable and not counts.tampered),
        connection_failed=counts.tampered and done.outcome is Outcome.REFUSED,
        reason=done.reason,
        detail=done.detail,
        alert=alert,
        seconds=round(done.seconds, 6),
        to_server=counts.to_server,
        to_ca=counts.to_ca,
        ca_requests=counts.asked.requests,
        ca_signatures=counts.asked.signatures,
        told=list(counts.asked.told),
        staples_signed=staples_signed,
        verdict=done.verdict,
    )
