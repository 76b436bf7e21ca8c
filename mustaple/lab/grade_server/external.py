"""A server that runs already: what can be seen of it from outside, by handshakes alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import mustaple
from mustaple.core.errors import NetworkError
from mustaple.core.verdict import Code, Status
from mustaple.lab.grade_server.findings import Findings
from mustaple.lab.grade_server.grading import fill_in
from mustaple.lab.grade_server.points import imc_2018, sleevi
from mustaple.net.dial import written
from mustaple.net.survey import survey
from mustaple.report.grade_server import QUESTIONS, SCHEMA, Event, EventKind, Requests, ServerReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from mustaple.core.verdict import Judgement

ROUNDS: Final = 5
_NEVER: Final = "not to be seen of a server that was running already"


def grade_external(
    host: str,
    port: int,
    *,
    issuers: tuple[x509.Certificate, ...] = (),
    rounds: int = ROUNDS,
    step: Callable[[str], None] = lambda _: None,
) -> ServerReport:
    """Look at a server several times, in TLS 1.3 and 1.2 each. `issuers` may hold certificates that it does not send.

    Raises NetworkError where nobody answers.
    """
    if rounds < 1:
        raise ValueError("Look at least once.")
    at, begun, found = datetime.now(UTC), time.monotonic(), Findings()
    seen: list[list[Judgement | None]] = []
    events: list[Event] = []
    for round_ in range(rounds):
        now = datetime.now(UTC)
        surveyed = survey(host, port, at=now, ca=issuers, issuers=issuers)
        for showing in surveyed.showings:
            if not showing.seen:
                continue
            seen.append([each.judgement for each in showing.seen])
            told = ", ".join(_said(each.staple, each.judgement) for each in showing.seen)
            events.append(_event(len(events), time.monotonic() - begun, now, f"{showing.look.protocol}: {told}"))
        step(f"look {round_ + 1}")
    if not seen:
        raise NetworkError(f"{written(host, port)} showed no certificate")
    _conclude(found, seen, datetime.now(UTC))
    return _report(written(host, port), at, time.monotonic() - begun, found, events)


def _event(number: int, at: float, clock: datetime, said: str) -> Event:
    return Event(
        number=number, at=round(at, 4), clock=clock, scene="looks", kind=EventKind.HANDSHAKE, said=said, lasted=None
    )


def _said(staple: bytes | None, judgement: Judgement | None) -> str:
    if staple is None:
        return "no staple"
    if judgement is None:
        return "a staple that cannot be judged without its issuer"
    reason = f" ({judgement.reasons[0].code.value})" if judgement.reasons else ""
    return f"a staple: {judgement.status.value}{reason}"


def _conclude(found: Findings, seen: list[list[Judgement | None]], now: datetime) -> None:
    """What five looks show is shown; that something never happens they cannot show."""
    everything = range(len(seen))
    leaves = [each[0] for each in seen]
    flat = [judgement for each in seen for judgement in each if judgement is not None]
    stapled = sum(each is not None for each in leaves)
    found.say("staples", stapled > 0, f"the leaf had a staple in {stapled} of {len(seen)} handshakes", everything)
    if stapled:
        above = any(judgement is not None for each in seen for judgement in each[1:])
        several = any(len(each) > 1 for each in seen)
        found.say("staples_chain", above if several else None, "as far as certificates were sent", everything)
    dead = [each for each in flat if each.next_update is not None and each.next_update < now]
    errors = [each for each in flat if Code.ERROR_STATUS in {reason.code for reason in each.reasons}]
    unusable = [each for each in flat if each.status in {Status.UNUSABLE, Status.UNKNOWN}]
    for name, bad, answer in (
        ("respects_next_update", dead, False),
        ("serves_errors", errors, True),
        ("serves_revoked", [each for each in flat if each.status is Status.REVOKED], True),
        ("serves_unusable", unusable, True),
    ):
        if bad:
            found.say(name, answer, f"seen {len(bad)} times", everything)


def _report(name: str, at: datetime, seconds: float, found: Findings, events: list[Event]) -> ServerReport:
    nothing = Requests(
        methods=[],
        nonces=0,
        conditional=0,
        well=0,
        well_handshakes=0,
        failing=0,
        failing_handshakes=0,
        refresh_at=None,
    )
    fill_in(found, [*QUESTIONS, "must_staple_without_staple"], _NEVER)
    return ServerReport(
        schema=SCHEMA,
        version=mustaple.__version__,
        server=name,
        server_version=None,
        about="a server that was running already",
        agent=False,
        fetches=None,
        at=at,
        seconds=round(seconds, 1),
        clock=None,
        **{each: found.answers.get(each) for each in QUESTIONS},
        must_staple_without_staple=None,
        requests=nothing,
        evidence=found.evidence,
        sleevi=sleevi(found, nothing),
        imc_2018=imc_2018(found),
        timeline=events,
    )
