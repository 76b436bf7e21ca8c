"""The list of all cases: which families there are, in which order, and what each holds."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError
from mustaple.lab.cases.model import Case

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

FAMILIES: Final = (
    "control",
    "presence",
    "freshness",
    "clock",
    "binding",
    "signature",
    "delegation",
    "weak",
    "algorithms",
    "status",
    "singles",
    "extensions",
    "nonce",
    "feature",
    "depth",
    "wire12",
    "wire13",
    "crl",
)


@cache
def family_module(family: str) -> ModuleType:
    """The module of this family; its docstring says what the family is about. Raises InputError where there is none."""
    if family not in FAMILIES:
        raise InputError(f"no family of cases is called {family!r}; there are {', '.join(FAMILIES)}")
    return import_module(f"mustaple.lab.cases.families.{family.replace('-', '_')}")


@cache
def _of(family: str) -> tuple[Case, ...]:
    return tuple(value for value in vars(family_module(family)).values() if isinstance(value, Case))


def cases(families: Iterable[str] = FAMILIES) -> tuple[Case, ...]:
    """The cases of these families, in their order. Raises InputError for a family that there is none of."""
    return tuple(case for family in families for case in _of(family))


def find(name: str) -> Case:
    """The case of this id. Raises InputError, with the ids that come close, where there is none."""
    family = name.partition("/")[0]
    known = {case.id: case for case in cases([family] if family in FAMILIES else FAMILIES)}
    if name not in known:
        import difflib

        close = difflib.get_close_matches(name, known, 3, 0.5)
        raise InputError(f"no case is called {name!r}; " + (f"is it {', '.join(close)}?" if close else "see the list"))
    return known[name]
