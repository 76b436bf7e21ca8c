"""The golden table of policies: what each preset makes of each situation; run as a program it writes the table anew."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from conftest import AT
from policy_world import EXPIRED, GOOD, NOBODY, OTHERS, REVOKED, UNKNOWN, World, codes, notes, settle

from mustaple.core.decide import Situation
from mustaple.core.policy import PRESETS, ExpectStaple
from mustaple.core.verdict import Source
from mustaple.net.policy_file import SHIPPED, policy_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from certtools.chain import Chain
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import Judgement

GOLDEN: Final = Path(__file__).parent / "golden" / "presets.md"
NAMES: Final = (*PRESETS, *SHIPPED)
ANY: Final = "any"
LEAF: Final = (
    (GOOD, NOBODY, EXPIRED, UNKNOWN, REVOKED, OTHERS),
    (GOOD,),
    (GOOD, NOBODY, UNKNOWN, REVOKED),
    (GOOD, NOBODY, REVOKED),
)
ABOVE: Final = ((GOOD, NOBODY), (GOOD, NOBODY, EXPIRED, UNKNOWN, REVOKED, OTHERS), (NOBODY,), (NOBODY,))
HEAD: Final = """\
# What each preset makes of each situation

Written by `python tests/preset_table.py`, and compared by `tests/test_policy_golden.py`. A chain of leaf, CA and root
in TLS 1.3; the client offers status_request wherever the policy takes staples. The first four columns say what the two
staples and the two fetched sources say of the certificate (the fetched ones of the leaf; nothing is fetched for the
CA): `–` is nothing stapled, or nobody there; `other's` is an honest answer about another certificate; `any` is every
value there is in this table. A cell says what the client asked for after the handshake, whether it accepts, and the
codes of why not, or of what it notes.
"""


class Said(NamedTuple):
    """One situation: what the staples of leaf and CA say, and what OCSP and CRL say of the leaf."""

    leaf: str
    ca: str
    ocsp: str
    crl: str


Row: TypeAlias = tuple[Said, tuple[str, ...]]


@dataclass(frozen=True)
class Table:
    """One kind of leaf, and all that may be said of it."""

    title: str
    chain: Chain
    policies: Mapping[str, Policy]
    values: tuple[tuple[str, ...], ...] = LEAF
    expect_staple: bool = False

    def rows(self, world: World) -> Iterator[Row]:
        """Each situation with a cell for each policy; where the last columns change nothing, they say `any`."""
        stapled, above, answered, listed = self.values
        for leaf in stapled:
            of_ca: list[Row] = []
            for ca in above:
                of_ocsp: list[Row] = []
                for ocsp in answered:
                    of_crl = [self._row(world, Said(leaf, ca, ocsp, crl)) for crl in listed]
                    of_ocsp += _folded(of_crl, "crl")
                of_ca += _folded(of_ocsp, "ocsp")
            yield from _folded(of_ca, "ca")

    def _row(self, world: World, said: Said) -> Row:
        leaf, ca, ocsp, crl = said
        own, above = self.chain.links
        cells = []
        for policy in self.policies.values():
            stapled = {
                link.fingerprint: () if what == NOBODY else (world.evidence(link, what, rules=policy.rules),)
                for link, what in ((own, leaf), (above, ca))
            }
            fetched: dict[Source, dict[bytes, Judgement]] = {
                source: {
                    own.fingerprint: world.evidence(own, what, source, policy.rules),
                    above.fingerprint: world.evidence(above, NOBODY, source),
                }
                for source, what in ((Source.OCSP, ocsp), (Source.CRL, crl))
            }
            offered = frozenset({5}) if policy.asks_for_staples else frozenset()
            answered = frozenset({5}) if NOBODY not in {leaf, ca} else frozenset()
            situation = Situation(
                self.chain, world.at, offered, answered, "TLSv1.3", None, stapled, expect_staple=self.expect_staple
            )
            cells.append(_cell(situation, policy, fetched))
        return said, tuple(cells)


def _cell(situation: Situation, policy: Policy, fetched: Mapping[Source, Mapping[bytes, Judgement]]) -> str:
    settled = settle(situation, policy, fetched)
    asked = "".join(f"{source.value}, " for source in settled.asked)
    if not settled.verdict.accepted:
        return f"{asked}refuse: {' '.join(codes(settled.verdict))}"
    noted = notes(settled.verdict)
    return f"{asked}accept: {' '.join(noted)}" if noted else f"{asked}accept"


def _folded(rows: list[Row], column: str) -> list[Row]:
    """One row where all say the same but in this column, which then says `any`."""
    if len(rows) == 1:
        return rows
    alike = {(said._replace(**{column: ANY}), cells) for said, cells in rows}
    return list(alike) if len(alike) == 1 else rows


def tables(world: World) -> list[Table]:
    """Every table: by what the leaf promises, and for an Expect-Staple host where that is enforced."""
    policies = {name: policy_named(name) for name in NAMES}
    enforcing = {name: replace(policy, expect_staple=ExpectStaple.ENFORCE) for name, policy in policies.items()}
    silent = world.chain()
    promising, whole = world.chain([5]), world.chain([17])
    return [
        Table("The leaf promises nothing", silent, policies),
        Table("The leaf promises a staple: TLS Feature [5]", promising, policies),
        Table("The leaf promises a staple for every certificate: TLS Feature [17]", whole, policies),
        Table("A short-lived leaf, of a week, that promises nothing", world.chain(days=7), policies),
        Table(
            'An Expect-Staple host, each policy with `expect_staple = "enforce"`', silent, enforcing, expect_staple=True
        ),
        Table("The CA's staple, where the leaf promises nothing", silent, policies, ABOVE),
        Table("The CA's staple, where the leaf promises a staple: TLS Feature [5]", promising, policies, ABOVE),
        Table(
            "The CA's staple, where the leaf promises one for every certificate: TLS Feature [17]",
            whole,
            policies,
            ABOVE,
        ),
    ]


def written(tables: Iterable[Table], world: World) -> str:
    """All of it as Markdown."""
    parts = [HEAD]
    for table in tables:
        heads = ("leaf's staple", "CA's staple", "OCSP", "CRL", *table.policies)
        lines = [f"## {table.title}", "", _line(heads), _line("---" for _ in heads)]
        for said, cells in table.rows(world):
            shown = ("–" if one == NOBODY else one for one in said)
            lines.append(_line((*shown, *cells)))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def golden() -> str:
    """The table as it is now."""
    world = World.at_moment(AT)
    return written(tables(world), world)


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
    sys.stdout.write(f"{GOLDEN}\n")
