"""What the pages and the JSON of a playground say: the cases as they are served, and the root to trust."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.policy import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.report.cases_corpus import Expectation, Family, Listed

SCHEMA: Final = "mustaple-playground/1"
NEEDS_ANCHOR: Final = "anchor"
NEEDS_V2: Final = "status_request_v2"
NEEDS_WORDS: Final = {
    NEEDS_ANCHOR: "a root of its own",
    NEEDS_V2: "a client that offers status_request_v2",
}
_CLAUSE_ID: Final = re.compile(r"RFC(\d+)-([A-Z0-9.]+)-(\d+)")


@dataclass(frozen=True)
class ServedCase:
    """A case and where it is: `url` by server name on the common port, `own_url` on a port of its own, or None.

    `needs` are the things without which a client does not meet what the case is about, by their names in `NEEDS_WORDS`.
    """

    listed: Listed
    host: str
    url: str
    own_url: str | None
    protocols: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class PlaygroundFacts:
    """All that the pages say. `url` is the honest HTTPS page, `page_url` the same over plain HTTP.

    `fingerprint` is the root's SHA-256 in lower case hexadecimal.
    """

    version: str
    url: str
    page_url: str
    fingerprint: str
    families: Sequence[Family]
    cases: Sequence[ServedCase]


def playground_json(facts: PlaygroundFacts) -> dict[str, Any]:
    """What `/cases.json` holds: everything that a script needs to try the cases by itself."""
    return {
        "schema": SCHEMA,
        "version": facts.version,
        "url": facts.url,
        "page_url": facts.page_url,
        "root": {"url": f"{facts.page_url}root.pem", "sha256": facts.fingerprint},
        "presets": list(PRESETS),
        "families": [family.model_dump(mode="json") for family in facts.families],
        "cases": [
            {
                **case.listed.model_dump(mode="json"),
                "host": case.host,
                "url": case.url,
                "own_url": case.own_url,
                "protocols": list(case.protocols),
                "needs": list(case.needs),
            }
            for case in facts.cases
        ],
    }


def expectation_words(expected: Expectation) -> str:
    """As `refuse: expired`; what it notes where it accepts, as `accept, noting unreachable`."""
    if expected.outcome.value == "refused":
        return "refuse" if expected.code is None else f"refuse: {expected.code.value}"
    return "accept" if expected.code is None else f"accept, noting {expected.code.value}"


def clause_words(requirement: str) -> str:
    """A requirement of rfc_notes/ as a clause: RFC6960-3.2-6 is RFC 6960 §3.2."""
    found = _CLAUSE_ID.fullmatch(requirement)
    return requirement if found is None else f"RFC {found[1]} §{found[2]}"
