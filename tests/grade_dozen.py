"""A dozen telling cases for each client that we know how to drive, and what they did when docs/clients.md was made.

`make clients` grades them by the whole corpus. What changes here is worth a look at what changed in the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from mustaple.lab.cases import find
from mustaple.lab.grade_client import load
from mustaple.lab.grade_client.grading import Order, grade
from mustaple.report.grade_client import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCEPTED_BY_ALL: Final = ("control/all-well", "presence/every-staple-unpromised")
TELLING: Final = (
    *ACCEPTED_BY_ALL,
    "control/untrusted-root",
    "presence/no-staple",
    "presence/no-staple-responder-down",
    "presence/leaf-staple-alone",
    "presence/unpromised",
    "presence/unpromised-responder-down",
    "presence/unpromised-revoked-and-stripped",
    "freshness/expired",
    "binding/other-certificate",
    "signature/forged",
    "status/revoked",
    "status/unpromised-revoked",
    "depth/lower-revoked",
)
PATH: Final = frozenset({"control/untrusted-root"})
REVOKED: Final = PATH | {"status/revoked", "status/unpromised-revoked"}
STAPLES: Final = REVOKED | {"freshness/expired", "binding/other-certificate", "signature/forged"}
UNKEPT: Final = frozenset({"presence/no-staple", "presence/no-staple-responder-down"})
PROMISE: Final = STAPLES | UNKEPT
FETCHED: Final = "presence/unpromised-revoked-and-stripped"
CHAIN: Final = "depth/lower-revoked"
DOWN: Final = "presence/unpromised-responder-down"
# What each refuses of these, and what it is called for it.
REFUSES: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "curl": ("ignore", PATH),
    "curl-cert-status": ("hard-fail", PROMISE | {"presence/unpromised", DOWN, FETCHED}),
    "openssl": ("ignore", PATH),
    "gnutls-cli": ("must-staple", PROMISE | {CHAIN}),
    "wget": ("must-staple", PROMISE | {CHAIN}),
    "python-ssl": ("ignore", PATH),
    "httpx": ("ignore", PATH),
    "node": ("ignore", PATH),
    "java-default": ("ignore", PATH),
    "java-soft-fail": ("must-staple", STAPLES | {CHAIN, FETCHED}),
    "java-hard-fail": ("hard-fail", STAPLES | {CHAIN, FETCHED, DOWN, "presence/no-staple-responder-down"}),
    "mustaple-ignore": ("ignore", PATH),
    "mustaple-soft-fail": ("soft-fail", REVOKED | {FETCHED}),
    "mustaple-must-staple": ("must-staple", PROMISE | {FETCHED}),
    "mustaple-hard-fail": ("hard-fail", PROMISE | {FETCHED, DOWN}),
    "mustaple-strict": ("strict", frozenset(TELLING) - set(ACCEPTED_BY_ALL)),
    "firefox": ("must-staple", REVOKED | UNKEPT | {"signature/forged", FETCHED}),
    "chromium": ("soft-fail", REVOKED),
}


def each_of(names: Iterable[str]) -> pytest.MarkDecorator:
    """A test of each of these clients, where their programs are here."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.peer(*load(name).needs)) for name in names]
    )


def show_it_is_what_it_was(name: str) -> None:
    """Grade it by the dozen."""
    report = grade(Order(recipe=load(name), cases=tuple(map(find, TELLING)), jobs=2))
    assert {case.id: case.detail for case in report.cases if case.outcome in {Outcome.CRASH, Outcome.HANG}} == {}
    refused = {case.id for case in report.cases if case.outcome is Outcome.REFUSE}
    assert (report.profile, refused) == REFUSES[name]
    assert report.client_version is not None


BROWSERS: Final = ("chromium", "firefox")
OURS: Final = tuple(name for name in REFUSES if name.startswith("mustaple-"))
PROGRAMS: Final = tuple(name for name in REFUSES if name not in BROWSERS + OURS)
