"""What a policy file may say: its keys and their values as a pydantic model, the JSON schema of it, and its errors."""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from certtools.feature import Reading
from mustaple.core.axes import AXES
from mustaple.core.errors import InputError
from mustaple.core.policy import (
    MAX_SKEW,
    PRESETS,
    Action,
    Depth,
    ExpectStaple,
    MustStaple,
    NoNextUpdate,
    NoRevAvail,
    UncheckedDelegate,
    WeakSignature,
)
from mustaple.core.verdict import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SPAN: Final = timedelta(days=36_500)  # a hundred years either way is still a date
_SPAN: Final = re.compile(r"(0|[1-9][0-9]{0,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TEXT: Final = 4096
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _span(value: object) -> timedelta:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if span > MAX_SPAN:
        raise ValueError
    return span


_Span = Annotated[
    timedelta, BeforeValidator(_span), WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$"})
]
_Skew = Annotated[_Span, Field(le=MAX_SKEW)]
_Line = Annotated[str, Field(max_length=_TEXT)]


def _axis(name: str, most: int | None = None) -> Any:
    """A field for this axis; what a file does not say is its base's, so the default is never read."""
    about = AXES[name]
    meanings = "; ".join(f"{value}: {meaning}" for value, meaning in about.values.items())
    said = f"{about.question} {meanings + '; ' if meanings else ''}{about.order}."
    return Field(default_factory=lambda: None, description=said, max_length=most)


class PolicyFile(BaseModel):
    """A client's policy on revocation evidence: a preset, and the axes on which it is another than that."""

    model_config = ConfigDict(extra="forbid", title="mustaple policy")

    base: Literal["ignore", "soft-fail", "must-staple", "hard-fail", "strict"] = Field(
        "strict", description="The preset that says what this file does not."
    )
    name: Annotated[str, Field(pattern=_NAME)] = Field(
        "", description="What reports call it; default: the file's name."
    )
    about: _Line = Field("", description="Whom it models, in a few sentences.")
    rests_on: list[_Line] = Field([], max_length=32, description="Documentation it was written after.")
    measured_on: list[_Line] = Field([], max_length=32, description="Programs and versions that were seen to act so.")

    must_staple: MustStaple = _axis("must_staple")
    expect_staple: ExpectStaple = _axis("expect_staple")
    depth: Depth = _axis("depth")
    missing: Action = _axis("missing")
    unusable: Action = _axis("unusable")
    unknown: Action = _axis("unknown")
    revoked: Action = _axis("revoked")
    nothing_to_check: Action = _axis("nothing_to_check")
    no_rev_avail: NoRevAvail = _axis("no_rev_avail")
    short_lived: _Span = _axis("short_lived")
    sources: list[Source] = _axis("sources", most=16)
    reading: Reading = _axis("reading")
    skew: _Skew = _axis("skew")
    max_age: _Span = _axis("max_age")
    weak_signature: WeakSignature = _axis("weak_signature")
    unchecked_delegate: UncheckedDelegate = _axis("unchecked_delegate")
    no_next_update: NoNextUpdate = _axis("no_next_update")
    trusted_responders: list[_Line] = _axis("trusted_responders", most=64)


KEYS: Final = tuple(PolicyFile.model_fields)
_TEXTS: Final = {
    "base": f"one of {', '.join(PRESETS)}",
    "name": "a name of letters, digits, dots and dashes, 64 at most",
    "about": f"text of at most {_TEXT:,} characters",
    "rests_on": "a list of texts",
    "measured_on": "a list of texts",
    "trusted_responders": "a list of at most 64 PEM files",
}


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a policy file, read as the JSON value that its TOML stands for."""
    made = PolicyFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:mustaple-policy:1", **made}


def validated(table: Mapping[str, Any], where: str) -> PolicyFile:
    """The policy file that this table is. Raises InputError, in one line that names the key and what it may be."""
    try:
        return PolicyFile.model_validate(table)
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_context=False)
    more = f" (and {len(others)} more)" if others else ""
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        raise InputError(f"{where}: {_unknown(key)}{more}")
    raise InputError(f"{where}: {key}: {_shown(first['input'])} is not {_allowed(key, len(first['loc']))}{more}")


def _unknown(key: str) -> str:
    near = get_close_matches(key, KEYS, n=1)
    advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(KEYS)}"
    return f"no key is called {_shown(key)}; {advice}"


def _allowed(key: str, depth: int) -> str:
    """What this key may be, or where the depth is 2 what may stand in its list."""
    if key in _TEXTS:
        return _TEXTS[key]
    values = ", ".join(AXES[key].values)
    if key == "skew":
        return (
            f"a span of time of at most {MAX_SKEW // timedelta(hours=1)}h, a whole number and s, m, h or d, as in 90s"
        )
    if key == "sources" and depth == 1:
        return f"a list of {values}"
    return f"one of {values}" if values else "a span of time, a whole number and s, m, h or d, as in 10d"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
