"""How a misbehaviour is written, `NAME[=VALUE][@WHEN]…`, and when it holds: read strictly, and shown as it was written.

    NAME          one of `mustaple.lab.misbehaviour.catalogue`
    =VALUE        for those that take one: a span as 200ms, 5s, 10m, 2h, 1d, or what its help says
    @after=N      once N requests have been served
    @first=N      for the first N requests
    @every=N      for every Nth request
    @10s..20s     from 10 to 20 seconds after it was set; `@10s..` has no end
    @serial=HEX   for the certificate of this serial number
    @ocsp, @crl   for OCSP requests, for CRLs

Several conditions must all hold. Requests are counted that the last two kinds let through, from when it was set.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from mustaple.core.errors import InputError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-fA-F]{1,64}")
_CLAUSE: Final = re.compile(r"(?P<name>[a-z0-9-]{1,64})(?:=(?P<value>[^@=\s]{1,64}))?(?P<when>(?:@[^@\s]{1,80})*)")
_KINDS: Final = ("ocsp", "crl")
MAX_TEXT: Final = 400  # characters of one clause


def span(text: str) -> float:
    """Seconds out of a span as `200ms`, `5s`, `10m`, `2h`, `1d`. Raises InputError for anything else."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is not a span of time; write it as 200ms, 5s, 10m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Request:
    """What a condition looks at: `kind` as in `Behaviour.kinds`; `serials` are those asked about."""

    kind: str = "ocsp"
    serials: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of one clause; None for one that is not set. Times are seconds since it was set."""

    after: int | None = None
    first: int | None = None
    every: int | None = None
    begin: float | None = None
    end: float | None = None
    serial: int | None = None
    kind: str | None = None

    def counts(self, request: Request) -> bool:
        """Whether this request is one of those that are counted."""
        return self.kind in {None, request.kind} and (self.serial is None or self.serial in request.serials)

    def holds(self, count: int, elapsed: float) -> bool:
        """Whether it holds for the request that is number `count`, the first being 1, after so many seconds."""
        return (
            (self.after is None or count > self.after)
            and (self.first is None or count <= self.first)
            and (self.every is None or count % self.every == 0)
            and (self.begin is None or elapsed >= self.begin)
            and (self.end is None or elapsed < self.end)
        )


@dataclass(frozen=True, slots=True)
class Clause:
    """One misbehaviour: its name, its value as written (None for none), when it holds, and the whole as written."""

    name: str
    value: str | None
    when: When
    text: str

    def __str__(self) -> str:
        return self.text


def read_clause(text: str) -> Clause:
    """Read one clause. Raises InputError, in one sentence, for whatever the grammar does not have."""
    found = _CLAUSE.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        raise InputError(f"{text[:MAX_TEXT]!r} is not a misbehaviour; write it as NAME, NAME=VALUE or NAME@WHEN")
    said: dict[str, Any] = {}
    for condition in found["when"].split("@")[1:]:
        read = _condition(condition)
        if said.keys() & read.keys():
            raise InputError(f"{text!r} has two conditions of a kind, the second is @{condition}")
        said |= read
    return Clause(found["name"], found["value"], When(**said), text)


def _condition(text: str) -> dict[str, object]:
    if text in _KINDS:
        return {"kind": text}
    name, equals, value = text.partition("=")
    if equals and name in {"after", "first", "every"} and _NUMBER.fullmatch(value):
        return {name: int(value)}
    if equals and name == "serial" and _HEX.fullmatch(value):
        return {"serial": int(value, 16)}
    begin, dots, end = text.partition("..")
    if dots and begin:
        times = {"begin": span(begin), "end": span(end) if end else None}
        if times["end"] is not None and times["end"] <= (times["begin"] or 0):
            raise InputError(f"@{text} ends before it begins")
        return dict(times)
    raise InputError(
        f"@{text} is no condition; there are @after=N, @first=N, @every=N, @10s..20s, @serial=HEX, @ocsp and @crl"
    )
