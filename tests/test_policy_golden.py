"""The golden table of presets and situations is what the code does now, and what the table of presets promises."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import TYPE_CHECKING

from policy_world import EXPIRED, GOOD, NOBODY, REVOKED
from preset_table import GOLDEN, NAMES, golden

from mustaple.core import decide
from mustaple.core.policy import PRESETS

if TYPE_CHECKING:
    import pytest

SILENT = "The leaf promises nothing"
PROMISING = "The leaf promises a staple: TLS Feature [5]"


def differences(now: str) -> list[str]:
    """Where the golden table differs from this one, line by line."""
    return list(difflib.unified_diff(GOLDEN.read_text(encoding="utf-8").splitlines(), now.splitlines(), n=0))


def test_the_golden_table_is_what_the_code_does() -> None:
    changed = differences(golden())
    assert not changed, "\n".join(["`python tests/preset_table.py` writes it anew; look at what changed:", *changed])


def test_other_decisions_are_seen_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "_refuses", lambda *_: False)
    assert any(line.startswith("-") and "refuse: no-staple" in line for line in differences(golden()))
    monkeypatch.undo()
    monkeypatch.setattr(decide, "combine", lambda judgements: judgements[-1] if judgements else None)
    assert any(line.startswith("+") for line in differences(golden()))
    monkeypatch.undo()
    assert not differences(golden())


@cache
def cells(title: str, leaf: str, ca: str = GOOD, ocsp: str = NOBODY, crl: str = NOBODY) -> dict[str, str]:
    """The golden row of this situation, by policy."""
    text = GOLDEN.read_text(encoding="utf-8")
    section = next(part for part in text.split("\n## ")[1:] if part.splitlines()[0] == title)
    wanted = ["–" if one == NOBODY else one for one in (leaf, ca, ocsp, crl)]
    for line in section.splitlines():
        found = re.findall(r"[^|]+", line)
        said, rest = [cell.strip() for cell in found[:4]], found[4:]
        if len(said) == 4 and all(one in {want, "any"} for one, want in zip(said, wanted, strict=True)):
            return dict(zip(NAMES, [cell.strip() for cell in rest], strict=True))
    raise AssertionError(f"no row of {title} says {wanted}")


def verdicts(title: str, leaf: str, **said: str) -> str:
    """For each preset, in its order: a for accept, n for accept with a note, r for refuse; upper case after a fetch."""
    letters = []
    for name in PRESETS:
        asked, _, rest = cells(title, leaf, **said)[name].rpartition(", ")
        letter = "r" if rest.startswith("refuse") else "n" if ":" in rest else "a"
        letters.append(letter.upper() if asked else letter)
    return "".join(letters)


def test_each_line_of_the_table_of_presets_in_the_design() -> None:
    # ignore, soft-fail, must-staple, hard-fail, strict
    assert verdicts(PROMISING, NOBODY) == "aNrrr"  # missing, obligation asserted
    assert verdicts(SILENT, NOBODY) == "aNNRr"  # missing otherwise
    for bad in (EXPIRED, "unknown", "other's"):  # unusable, or unknown
        assert verdicts(PROMISING, bad) == "aNrrr"
        assert verdicts(SILENT, bad) == "aNNRr"
    assert verdicts(SILENT, REVOKED) == "arrrr"  # authentic revoked
    assert verdicts(SILENT, NOBODY, ocsp=REVOKED) == "aRRRr"
    assert verdicts(SILENT, GOOD, ocsp=REVOKED) == "aaaaa"  # a good staple ends the asking
    assert verdicts("The CA's staple, where the leaf promises nothing", GOOD, ca=REVOKED) == "aaaar"  # depth
    assert verdicts(SILENT, NOBODY, ocsp=GOOD) == "aAAAr"  # sources
    assert verdicts(SILENT, NOBODY, crl=GOOD) == "aNNAr"


def test_the_shipped_policies_differ_from_the_presets_where_the_browsers_do() -> None:
    assert cells(PROMISING, NOBODY)["chromium"] == "accept: no-staple"
    assert cells(SILENT, REVOKED)["chromium"] == "refuse: revoked"
    assert cells(PROMISING, NOBODY)["firefox"] == "refuse: promise-broken"
    assert cells(SILENT, NOBODY)["firefox"] == "ocsp, accept: unreachable"
    assert cells("A short-lived leaf, of a week, that promises nothing", NOBODY)["firefox"].startswith("accept")
    seventeen = cells("The leaf promises a staple for every certificate: TLS Feature [17]", GOOD)
    assert seventeen["firefox"] == "refuse: feature-unacceptable"
    assert seventeen["must-staple"] == "accept"
