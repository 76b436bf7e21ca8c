"""What a simulation takes as given: the shipped parameters with their sources, a file of the user's, single values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.errors import InputError
from mustaple.net.toml import parse_toml
from mustaple.report.simulation import Given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_FILE_BYTES: Final = 262_144
GIVEN: Final = "given"
_STATUSES: Final = ("quoted", "assumed", GIVEN)
_TEXTS: Final = ("unit", "status", "source", "note")
_NUMBERS: Final = ("value", "low", "high")
_SHARE: Final = (0.0, 1.0)
_SHORTEST_DAYS: Final = 1 / 24
_SPANS: Final = MappingProxyType({"days": 86_400.0, "hours": 3600.0, "seconds": 1.0})

# Least and most of each parameter. What has no natural limit is kept where a run still ends and means something.
RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "sites.count": (1, 20_000),
        "sites.popularity": (0, 3),
        "sites.stapling": _SHARE,
        "sites.promising": _SHARE,
        "sites.chain_stapling": _SHARE,
        "time.days": (1, 1100),
        "outages.share": (0, 0.999999),
        "outages.watched_days": (1, 36_600),
        "outages.hours": (0.01, 8784),
        "ca.count": (1, 2_000),
        "staple.response_days": (_SHORTEST_DAYS, 10),
        "staple.resign_days": (0, 10),
        "staple.ca_response_days": (_SHORTEST_DAYS, 10),
        "staple.ca_resign_days": (0, 10),
        "agent.retry_seconds": (1, 864_000),
        "naive.restarts_per_month": (0, 120),
        "naive.retry_seconds": (1, 864_000),
        "naive.lag_seconds": (0, 3600),
        "client.fetch_failure": _SHARE,
        "client.latency_seconds": (0, 60),
        "client.timeout_seconds": (0, 600),
        "client.crl_cached": _SHARE,
        "leaf.life_days": (1, 3660),
        "leaf.renew_days": (0.1, 3660),
        "intermediate.life_days": (1, 36_600),
        "revocations.per_year": (0, 50),
        "crl.life_days": (_SHORTEST_DAYS, 366),
        "crl.publish_hours": (0, 8784),
        "filter.push_hours": (0.01, 8784),
        "short.life_days": (_SHORTEST_DAYS, 7),
        "short.renew_days": (0.01, 7),
        "short.retry_seconds": (1, 864_000),
        "attacker.blocks": _SHARE,
    }
)
_WHOLE: Final = frozenset({"sites.count", "ca.count"})
# The first is never longer than the second.
ORDERED: Final = (
    ("staple.resign_days", "staple.response_days"),
    ("staple.ca_resign_days", "staple.ca_response_days"),
    ("leaf.renew_days", "leaf.life_days"),
    ("short.renew_days", "short.life_days"),
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Every parameter by its key, `group.name`. Made by `shipped()` and the functions beside it, which check it."""

    given: Mapping[str, Given]

    def __getitem__(self, key: str) -> float:
        return self.given[key].value

    def seconds(self, key: str) -> float:
        """A span of time, whatever unit the key ends in."""
        return self[key] * _SPANS[re.split("[._]", key)[-1]]

    def whole(self, key: str) -> int:
        """A number of things."""
        return int(self[key])

    def changed(self, **values: float) -> Parameters:
        """The same with other values; in a key's place stands its name with `__` for the point."""
        return with_values(self, {key.replace("__", "."): value for key, value in values.items()})


@cache
def shipped() -> Parameters:
    """The parameters as they come with mustaple."""
    data = resources.files("mustaple.lab.simulate").joinpath("parameters.toml").read_bytes()
    return checked(Parameters(MappingProxyType(_read(data, "parameters.toml", {}))), "parameters.toml")


def read_parameters(path: Path) -> Parameters:
    """The shipped parameters with those of a file in their place. Raises InputError, in one line, for a bad file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"the parameters {path} cannot be read: {said or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"the parameters {path} are larger than {MAX_FILE_BYTES:,} bytes")
    base = shipped().given
    return checked(Parameters(MappingProxyType({**base, **_read(data, str(path), base)})), str(path))


def with_settings(parameters: Parameters, settings: Sequence[str]) -> Parameters:
    """The same with each `key=value` in its place. Raises InputError for what is none."""
    values = {}
    for text in settings:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--set {text!r}: write it as key=value, as in --set outages.hours=12")
        _known(key, "--set")
        try:
            values[key] = float(value)
        except ValueError:
            raise InputError(f"--set {key}: {value!r} is not a number") from None
    return with_values(parameters, values, "--set")


def with_values(parameters: Parameters, values: Mapping[str, float], where: str = "parameters") -> Parameters:
    """The same with other values, marked as given. Raises InputError where one cannot be."""
    given = dict(parameters.given)
    for key, value in values.items():
        _known(key, where)
        given[key] = replace(given[key], value=float(value), status=GIVEN, source="", note="")
    return checked(Parameters(MappingProxyType(given)), where)


def checked(parameters: Parameters, where: str) -> Parameters:
    """The same parameters. Raises InputError, in one line that names the key, where they make no world."""
    for key, given in parameters.given.items():
        least, most = RANGES[key]
        numbers = {"": given.value, " low": given.low, " high": given.high}
        for name, number in numbers.items():
            if number is None:
                continue
            if not math.isfinite(number):
                raise InputError(f"{where}: {key}{name}: {number} is not a finite number")
            if not least <= number <= most:
                raise InputError(f"{where}: {key}{name}: {number:g} is not between {least:g} and {most:g} {given.unit}")
            if key in _WHOLE and number != int(number):
                raise InputError(f"{where}: {key}{name}: {number:g} is not a whole number")
        if given.low is not None and given.high is not None and given.low > given.high:
            raise InputError(f"{where}: {key}: its low end {given.low:g} lies above its high end {given.high:g}")
    for shorter, longer in ORDERED:
        if parameters[shorter] > parameters[longer]:
            raise InputError(
                f"{where}: {shorter}: {parameters[shorter]:g} days are more than the {parameters[longer]:g} of {longer}"
            )
    return parameters


def _known(key: str, where: str) -> None:
    if key not in RANGES:
        close = get_close_matches(key, RANGES, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(RANGES)}"
        raise InputError(f"{where}: no parameter is called {key!r}; {meant}")


def _read(data: bytes, where: str, base: Mapping[str, Given]) -> dict[str, Given]:
    tables = parse_toml(data, where, "a parameter file")
    found = {}
    for group, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{where}: {group}: parameters stand in tables, as in [outages] hours = 12")
        for name, said in table.items():
            key = f"{group}.{name}"
            _known(key, where)
            found[key] = _one(key, said, where, base.get(key))
    return found


def _one(key: str, said: object, where: str, base: Given | None) -> Given:
    """One parameter: a bare number, or a table with its value, where that comes from, and the ends to try."""
    table: dict[str, Any] = said if isinstance(said, dict) else {"value": said}
    for name, value in table.items():
        if name not in (*_NUMBERS, *_TEXTS):
            raise InputError(f"{where}: {key}: no word is called {name!r}; there are {', '.join((*_NUMBERS, *_TEXTS))}")
        good = isinstance(value, str) if name in _TEXTS else isinstance(value, int | float)
        if not good or isinstance(value, bool):
            raise InputError(f"{where}: {key} {name}: {value!r} is not a {'text' if name in _TEXTS else 'number'}")
    if "value" not in table:
        raise InputError(f"{where}: {key}: it has no value")
    status = table.get("status", GIVEN)
    if status not in _STATUSES:
        raise InputError(f"{where}: {key} status: {status!r} is not one of {', '.join(_STATUSES)}")
    if status == "quoted" and not table.get("source"):
        raise InputError(f"{where}: {key}: what is quoted names its source")
    numbers = {name: _number(table[name]) if name in table else None for name in ("low", "high")}
    if base is not None:
        numbers = {name: getattr(base, name) if value is None else value for name, value in numbers.items()}
    return Given(
        key,
        _number(table["value"]),
        table.get("unit", base.unit if base is not None else ""),
        status,
        table.get("source", ""),
        table.get("note", ""),
        **numbers,
    )


def _number(value: float) -> float:
    """As a float; an integer too large for one is infinite, which no range holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
