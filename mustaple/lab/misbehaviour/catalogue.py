"""Every misbehaviour by name: what it does, what value it takes, and what it is for."""

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
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from mustaple.lab.misbehaviour.exchange import Exchange
    from mustaple.lab.misbehaviour.grammar import Clause

RESPONDER: Final = ("ocsp", "crl", "other")
SERVER: Final = ("connection", "staple")
CRL_PREFIX: Final = "crl-"
NO_STAPLE: Final = "no-staple"
_ANY: Final = (*RESPONDER, "connection")
MAX_HUGE: Final = 1 << 30  # bytes
_ERRORS: Final = (404, 429, 500, 503)
_SIZES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Behaviour:
    """One of them. `about` says what it does, `default` the value where none is given, None where it takes none.

    `kinds` are what it is for: the responder's "ocsp" and "crl" requests and "other" ones, a TLS server's "connection"
    and "staple". `act` is what a responder does.
    """

    name: str
    about: str
    act: Callable[..., Awaitable[None]]
    default: str | None = None
    read: Callable[[str], Any] = str
    kinds: tuple[str, ...] = RESPONDER

    def value(self, text: str | None) -> Any:
        """The value out of what was written, None where it takes none. Raises InputError for one it does not take."""
        if self.default is None:
            if text is not None:
                raise InputError(f"{self.name} takes no value")
            return None
        try:
            return self.read(text if text is not None else self.default)
        except InputError as error:
            raise InputError(f"{self.name}={text}: {error}") from error


@dataclass(frozen=True)
class Misbehaviour:
    """A clause and what it does, with the value read."""

    clause: Clause
    behaviour: Behaviour
    value: Any

    async def act(self, exchange: Exchange) -> None:
        """Do it, as a responder."""
        await (self.behaviour.act(exchange) if self.value is None else self.behaviour.act(exchange, self.value))


def misbehaviour(text: str, kinds: Iterable[str] = RESPONDER) -> Misbehaviour:
    """Read one that is for some of these kinds, as `slow=2s@every=3`.

    Raises InputError, which names the nearest, where there is none of the name, and for one that is for others.
    """
    clause = read_clause(text)
    found = BEHAVIOURS.get(clause.name)
    if found is None:
        near = difflib.get_close_matches(clause.name, BEHAVIOURS, n=3)
        raise InputError(
            f"there is no misbehaviour {clause.name!r}; "
            + (f"is it {', '.join(near)}?" if near else "`mustaple responder --list-misbehaviours` lists them")
        )
    if not set(kinds) & set(found.kinds):
        raise InputError(f"{clause.name} is for a {'server' if found.kinds == SERVER[1:] else 'responder'} to do")
    return Misbehaviour(clause, found, found.value(clause.value))


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
        _named("slow", acts.slow, "2s", read=span, kinds=_ANY),
        _named("hang", acts.hang, kinds=_ANY),
        _named("drip", acts.drip, "100ms", read=span, kinds=_ANY),
        _named("reset", acts.reset, kinds=_ANY),
        _named("cut-short", acts.cut_short, kinds=_ANY),
        *(
            Behaviour(str(status), f"Answers with HTTP status {status}.", partial(acts.http_error, status=status))
            for status in _ERRORS
        ),
        _named("html", acts.html),
        _named("wrong-content-type", acts.wrong_content_type),
        _named("huge", acts.huge, "64M", read=_size),
        _named("redirect-loop", acts.redirect_loop),
        _named("flapping", acts.flapping, "mustaple", kinds=_ANY),
        _named("clock-wrong", acts.clock_wrong, "+1h", read=_offset, kinds=("ocsp", "crl")),
        _named("expiring", acts.expiring, "5s", read=_life, kinds=("ocsp", "crl")),
        _named("delegate-dies", acts.delegate_dies, "1d", read=span, kinds=("ocsp",)),
    )
    forged = [
        Behaviour(
            name, inspect.getdoc(make) or "", partial(acts.ocsp_mutation, mutation=name), kinds=("ocsp", "staple")
        )
        for name, make in MUTATIONS.items()
    ]
    forged += [
        Behaviour(
            f"{CRL_PREFIX}{name}", inspect.getdoc(make) or "", partial(acts.crl_mutation, mutation=name), kinds=("crl",)
        )
        for name, make in CRL_MUTATIONS.items()
    ]
    none = Behaviour(NO_STAPLE, "Staples nothing.", acts.nothing, kinds=("staple",))
    # `html` by itself says text/html as a captive portal does; the mutation says that it is an OCSP response.
    return {each.name: each for each in (*forged, *over_time, none)}


BEHAVIOURS: Final[Mapping[str, Behaviour]] = MappingProxyType(_all())
