"""Every misbehaviour of the responder by name: what it does, what value it takes, and which requests it is for."""

from __future__ import annotations

import difflib
import inspect
import re
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from certtools.forge import CRL_MUTATIONS, MUTATIONS
from mustaple.core.errors import InputError
from mustaple.lab.misbehaviour import acts
from mustaple.lab.misbehaviour.grammar import read_clause, span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mustaple.lab.misbehaviour.exchange import Exchange
    from mustaple.lab.misbehaviour.grammar import Clause

    Act = Callable[[Exchange], Awaitable[None]]

CRL_PREFIX: Final = "crl-"
MAX_HUGE: Final = 1 << 30  # bytes
_ERRORS: Final = (404, 429, 500, 503)
_SIZES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Behaviour:
    """One of them. `about` says what it does, `default` the value where none is given, None where it takes none.

    `kinds` are the requests that it is for: "ocsp", "crl", "other".
    """

    name: str
    about: str
    act: Callable[..., Awaitable[None]]
    default: str | None = None
    read: Callable[[str], Any] = str
    kinds: tuple[str, ...] = ("ocsp", "crl", "other")

    def bound(self, value: str | None) -> Act:
        """The act with this value. Raises InputError for a value that it does not take."""
        if self.default is None:
            if value is not None:
                raise InputError(f"{self.name} takes no value")
            return self.act
        try:
            read = self.read(value if value is not None else self.default)
        except InputError as error:
            raise InputError(f"{self.name}={value}: {error}") from error
        return lambda exchange: self.act(exchange, read)


@dataclass(frozen=True)
class Misbehaviour:
    """A clause and what it does."""

    clause: Clause
    behaviour: Behaviour
    act: Act


def misbehaviour(text: str) -> Misbehaviour:
    """Read one, as `slow=2s@every=3`. Raises InputError, which names the nearest, where there is none of the name."""
    clause = read_clause(text)
    found = BEHAVIOURS.get(clause.name)
    if found is None:
        near = difflib.get_close_matches(clause.name, BEHAVIOURS, n=3)
        raise InputError(
            f"there is no misbehaviour {clause.name!r}; "
            + (f"is it {', '.join(near)}?" if near else "`mustaple responder --list-misbehaviours` lists them")
        )
    return Misbehaviour(clause, found, found.bound(clause.value))


def _size(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,9})([KMG]?)", text, re.ASCII)
    size = int(found[1]) * _SIZES.get(found[2], 1) if found else 0
    if not 0 < size <= MAX_HUGE:
        raise InputError(f"{text!r} is not a size; write it as 500K or 64M, 1G at most")
    return size


def _offset(text: str) -> float:
    return -span(text[1:]) if text.startswith("-") else span(text.removeprefix("+"))


def _life(text: str) -> float:
    seconds = span(text)
    if seconds < 1:
        raise InputError("an answer lives for a second at least: its times are whole seconds")
    return seconds


def _named(name: str, act: Callable[..., Awaitable[None]], default: str | None = None, **said: Any) -> Behaviour:
    return Behaviour(name, inspect.getdoc(act) or "", act, default, **said)


def _all() -> dict[str, Behaviour]:
    over_time = (
        _named("slow", acts.slow, "2s", read=span),
        _named("hang", acts.hang),
        _named("drip", acts.drip, "100ms", read=span),
        _named("reset", acts.reset),
        _named("cut-short", acts.cut_short),
        *(
            Behaviour(str(status), f"Answers with HTTP status {status}.", partial(acts.http_error, status=status))
            for status in _ERRORS
        ),
        _named("html", acts.html),
        _named("wrong-content-type", acts.wrong_content_type),
        _named("huge", acts.huge, "64M", read=_size),
        _named("redirect-loop", acts.redirect_loop),
        _named("flapping", acts.flapping, "mustaple"),
        _named("clock-wrong", acts.clock_wrong, "+1h", read=_offset, kinds=("ocsp", "crl")),
        _named("expiring", acts.expiring, "5s", read=_life, kinds=("ocsp", "crl")),
        _named("delegate-dies", acts.delegate_dies, "1d", read=span, kinds=("ocsp",)),
    )
    forged = [
        Behaviour(name, inspect.getdoc(make) or "", partial(acts.ocsp_mutation, mutation=name), kinds=("ocsp",))
        for name, make in MUTATIONS.items()
    ]
    forged += [
        Behaviour(
            f"{CRL_PREFIX}{name}", inspect.getdoc(make) or "", partial(acts.crl_mutation, mutation=name), kinds=("crl",)
        )
        for name, make in CRL_MUTATIONS.items()
    ]
    # `html` by itself says text/html as a captive portal does; the mutation says that it is an OCSP response.
    return {each.name: each for each in (*forged, *over_time)}


BEHAVIOURS: Final[Mapping[str, Behaviour]] = MappingProxyType(_all())
