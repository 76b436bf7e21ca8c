"""What one agent tells the others of a certificate: an OCSP response with three times, and what it is worth to them."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mustaple.core.ocsp import judge
from mustaple.core.verdict import Code, Source, Status
from mustaple.net.exchange import MAX_OCSP_BYTES
from mustaple.net.store import Staple

if TYPE_CHECKING:
    from mustaple.agent.entry import Entry
    from mustaple.core.policy import Rules
    from mustaple.core.verdict import Judgement

STAMP_BYTES: Final = 25  # thisUpdate and the time of the fetch: of two records the one with the greater stamp is newer
MAX_BYTES: Final = 39 + MAX_OCSP_BYTES
_HEAD: Final = re.compile(rb"([0-9]{12}) ([0-9]{12}) ([0-9]{12})\n")


@dataclass(frozen=True, slots=True)
class Record:
    """A response, good or `revoked`, as one agent got it. Times are aware UTC, in whole seconds.

    Nothing of it is believed by who reads it: the response is judged, and the times may only be older than now.
    """

    this_update: datetime
    fetched_at: datetime
    kept_until: datetime | None
    response: bytes

    def encode(self) -> bytes:
        """The value in the store: three times in seconds since 1970 with 12 digits each, a line end, the response."""
        kept = _seconds(self.kept_until) if self.kept_until is not None else 0
        times = f"{_seconds(self.this_update):012d} {_seconds(self.fetched_at):012d} {kept:012d}\n"
        return times.encode() + self.response

    @property
    def stamp(self) -> bytes:
        """How new it is."""
        return self.encode()[:STAMP_BYTES]


class Worth(enum.StrEnum):
    """What a record is worth to who has read it."""

    NEWER = "newer"  # than what is held
    SAME = "same"
    OLDER = "older"
    EARLY = "early"  # its time has not come by this clock
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Weighed:
    """A record that was judged. Of `staple` and `revoked` at most one is there; `said` is what is wrong with it."""

    worth: Worth
    staple: Staple | None = None
    revoked: Judgement | None = None
    said: str = ""


def decode(value: bytes) -> Record | None:
    """The record in this value; None where it is none."""
    head = _HEAD.match(value)
    if head is None or len(value) > MAX_BYTES:
        return None
    try:
        this_update, fetched_at, kept = (datetime.fromtimestamp(int(each), UTC) for each in head.groups())
    except (ValueError, OverflowError, OSError):
        return None
    return Record(this_update, fetched_at, kept if kept.timestamp() else None, value[head.end() :])


def record_of(entry: Entry) -> Record | None:
    """What there is to tell of a certificate: the staple that is held, or the response that revokes it."""
    staple, revoked = entry.staple, entry.revoked
    if staple is not None:
        this_update = staple.judgement.this_update or staple.fetched_at
        return Record(_whole(this_update), _whole(staple.fetched_at), staple.kept_until, staple.response)
    if revoked is None or revoked.this_update is None or not entry.evidence:
        return None
    tried_at = entry.trouble.tried_at or revoked.this_update
    return Record(_whole(revoked.this_update), _whole(tried_at), None, entry.evidence)


def weigh(record: Record, entry: Entry, at: datetime, rules: Rules, origin: str) -> Weighed:
    """Judge a record, and compare it with what is held; `origin` says where it is from.

    What is held is kept against anything that is not newer by thisUpdate, which its signer wrote. So an old answer
    that somebody plays again never replaces a newer one, nor does one from before a revocation undo that.
    """
    held = entry.staple
    fetched_at = min(record.fetched_at, at)
    if held is not None and held.response == record.response:
        if fetched_at <= held.fetched_at:
            return Weighed(Worth.SAME)
        return Weighed(Worth.SAME, replace(held, fetched_at=fetched_at, kept_until=record.kept_until))
    if entry.revoked is not None and entry.evidence == record.response:
        return Weighed(Worth.SAME)
    found = judge(record.response, entry.link, at, rules, source=Source.OCSP, origin=origin)
    if {reason.code for reason in found.reasons} == {Code.NOT_YET_VALID}:
        return Weighed(Worth.EARLY)
    fault = _fault(record, found)
    if fault:
        return Weighed(Worth.WRONG, said=fault)
    if found.status is Status.REVOKED:
        older = held is not None and is_newer(held.judgement, found)
        if older or entry.revoked is not None:
            return Weighed(Worth.OLDER if older else Worth.SAME)
        return Weighed(Worth.NEWER, revoked=found)
    if at >= min(found.dies_at or at, entry.expires_at):
        return Weighed(Worth.WRONG, said="it is dead")
    known = held.judgement if held is not None else entry.revoked
    if known is not None and not is_newer(found, known):
        same = entry.revoked is None and not is_newer(known, found)
        return Weighed(Worth.SAME if same else Worth.OLDER)
    return Weighed(Worth.NEWER, Staple(record.response, found, origin, fetched_at, record.kept_until))


def _fault(record: Record, found: Judgement) -> str:
    """Why this answer is of no use to anybody; empty where it is good or revokes, and as old as its record says."""
    if found.status not in {Status.GOOD, Status.REVOKED} or found.this_update is None:
        said = "; ".join(f"{reason.code.value}: {reason.detail}" for reason in found.reasons)
        return said or f"it says {found.status.value}"
    return "" if _whole(found.this_update) == record.this_update else "it is not as old as the store says"


def is_newer(one: Judgement, other: Judgement) -> bool:
    """Whether one answer was made later than another, by their thisUpdate."""
    return one.this_update is not None and (other.this_update is None or one.this_update > other.this_update)


def _seconds(moment: datetime) -> int:
    return max(int(moment.timestamp()), 0)


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
