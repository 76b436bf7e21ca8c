"""What `mustaple fetch` got for each certificate, in words for a terminal and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from certtools.chain import name_of
from mustaple.net.multistaple import How, Outcome
from mustaple.report.plain import printable
from mustaple.report.verdict_json import judgement_json, reason_json, time_json
from mustaple.report.verdict_text import span_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from mustaple.net.multistaple import Gathered, StapleSet
    from mustaple.net.store import Staple, Wrong

STYLES: Final = {Outcome.GOOD: "green", Outcome.UNREACHABLE: "yellow", Outcome.BAD: "bold red"}
_HOW: Final = {
    How.FETCHED: "fetched",
    How.UNCHANGED: "unchanged at the responder",
    How.FRESH: "still fresh, not asked for again",
    How.NEWER: "newer here than at the responder",
}


def progress_line(gathered: Gathered) -> str:
    """One line, as soon as a certificate is done with; it begins with the outcome."""
    subject = name_of(gathered.link.subject)
    if gathered.outcome is Outcome.GOOD:
        told = _HOW[gathered.how]
    else:
        told = "; ".join(reason.detail for reason in gathered.reasons)
    took = f" ({gathered.elapsed * 1000:.0f} ms)" if gathered.answers else ""
    return printable(f"{gathered.outcome}: {subject}: {told}{took}")


def fetch_text(found: StapleSet, wrong: Iterable[Wrong], folder: Path, at: datetime) -> str:
    """The whole: how many staples there are, each certificate's, and why there is none and what to do."""
    lines = [f"{len(found.staples)} of {len(found.gathered)} certificates have a good staple, in {folder}"]
    for each in found.gathered:
        lines.extend(_certificate_lines(each, at))
    lines.extend(f"  not used: the staple here of {name_of(each.link.subject)}: {each.said}" for each in wrong)
    return "\n".join(map(printable, lines))


def _certificate_lines(gathered: Gathered, at: datetime) -> Iterator[str]:
    staple = gathered.staple
    has = "no staple" if staple is None else f"good, {_span(staple, at)}"
    old = "; kept, because no newer one came" if gathered.how is How.KEPT else ""
    yield f"  {name_of(gathered.link.subject)}: {has}{old}"
    for reason in gathered.reasons:
        yield f"    {reason.code.value}: {reason.detail} ({reason.clause})"
        yield f"      to do: {reason.advice}"
    for note in staple.judgement.notes if staple is not None else ():
        yield f"    note: {note.code.value}: {note.detail} ({note.clause})"


def _span(staple: Staple, at: datetime) -> str:
    dies_at = staple.judgement.dies_at
    if dies_at is None:
        return "without an end"
    return f"until {dies_at:%Y-%m-%d %H:%M} UTC, {span_text(dies_at - at)} left"


def fetch_json(
    found: StapleSet, wrong: Iterable[Wrong], folder: Path, files: Iterable[Path], at: datetime
) -> dict[str, Any]:
    """The same as JSON, `version` 1: the certificates in the order of the chain, each with all that was answered."""
    return {
        "version": 1,
        "outcome": found.outcome.value,
        "at": time_json(at),
        "folder": str(folder),
        "files": [path.name for path in files],
        "certificates": [_certificate_json(each) for each in found.gathered],
        "not_used": [
            {"subject": name_of(each.link.subject), "fingerprint": each.link.fingerprint.hex(), "said": each.said}
            for each in wrong
        ],
        "retry_after": {url: time_json(moment) for url, moment in found.waits.items()},
    }


def _certificate_json(gathered: Gathered) -> dict[str, Any]:
    return {
        "subject": name_of(gathered.link.subject),
        "issuer": name_of(gathered.link.issuer),
        "serial_number": f"{gathered.link.serial_number:x}",
        "fingerprint": gathered.link.fingerprint.hex(),
        "outcome": gathered.outcome.value,
        "how": gathered.how.value,
        "reasons": [reason_json(reason) for reason in gathered.reasons],
        "staple": None if gathered.staple is None else _staple_json(gathered.staple),
        "answers": [judgement_json(judgement) for judgement in gathered.answers],
        "seconds": round(gathered.elapsed, 6),
    }


def _staple_json(staple: Staple) -> dict[str, Any]:
    return {
        "file": staple.file_name,
        "url": staple.url,
        "etag": staple.etag,
        "fetched_at": time_json(staple.fetched_at),
        "due": time_json(staple.due),
        **judgement_json(staple.judgement),
    }
