"""What the cells of a comparison say, counted, and in sentences that are made of the counts and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

from mustaple.report.comparison import Attacker, Finding, Kind, Outage, Revoked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mustaple.report.comparison import Cell

_BLOCKED: Final = "blocked-and-stripped"
_NOT_SO: Final = " This is not what was expected."
# Of attacks that block OCSP and staple nothing, what the article says: all succeed, or none. Others it is silent on.
_SAID: Final = {
    ("soft-fail", "promised"): True,
    ("soft-fail", "unpromised"): True,
    ("soft-fail", "intermediate"): True,
    ("must-staple", "promised"): False,
    ("must-staple", "intermediate"): True,
    ("strict", "promised"): False,
    ("strict", "unpromised"): False,
    ("strict", "intermediate"): False,
}
_TARGETS: Final[dict[str, tuple[str, Callable[[Cell], bool]]]] = {
    "promised": (
        "on a leaf that promises a staple",
        lambda cell: cell.revoked is Revoked.LEAF and cell.must_staple,
    ),
    "unpromised": (
        "on a leaf that promises none",
        lambda cell: cell.revoked is Revoked.LEAF and not cell.must_staple,
    ),
    "intermediate": ("with a revoked intermediate", lambda cell: cell.revoked is Revoked.INTERMEDIATE),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One client over all cells: how often it was wrong of so many, and what it cost.

    `attacks` are the cells with a revoked certificate, `good` those without that nobody tampered with, `tampered` the
    others. `seconds` is the median time to the verdict; bytes are means over all cells, both directions.
    `told_site` counts the visits in which a CA was told the site's own serial number.
    """

    client: str
    cells: int
    attacks: int
    attacks_succeeded: int
    good: int
    false_outages: int
    tampered: int
    connections_failed: int
    seconds: float
    server_bytes: float
    ca_bytes: float
    ca_connections: int
    ca_requests: int
    ca_signatures: int
    told_site: int


def summaries(cells: Sequence[Cell]) -> list[Summary]:
    """A summary for each client, in the order of the cells."""
    return [_summary(name, [cell for cell in cells if cell.preset == name]) for name in _clients(cells)]


def _summary(name: str, own: Sequence[Cell]) -> Summary:
    tampered = [cell for cell in own if _tampered(cell)]
    attacks = [cell for cell in own if cell.is_revoked]
    good = [cell for cell in own if not cell.is_revoked and not _tampered(cell)]
    return Summary(
        client=name,
        cells=len(own),
        attacks=len(attacks),
        attacks_succeeded=sum(cell.kind is Kind.ATTACK_SUCCEEDED for cell in own),
        good=len(good),
        false_outages=sum(cell.kind is Kind.FALSE_OUTAGE for cell in own),
        tampered=len(tampered),
        connections_failed=sum(cell.connection_failed for cell in own),
        seconds=median(cell.seconds for cell in own),
        server_bytes=fmean(cell.to_server.sent + cell.to_server.received for cell in own),
        ca_bytes=fmean(cell.to_ca.sent + cell.to_ca.received for cell in own),
        ca_connections=sum(cell.to_ca.connections for cell in own),
        ca_requests=sum(cell.ca_requests for cell in own),
        ca_signatures=sum(cell.ca_signatures for cell in own),
        told_site=sum(any(told.names_site for told in cell.told) for cell in own),
    )


def findings(cells: Sequence[Cell]) -> list[Finding]:
    """Every sentence that these cells allow; none about what they do not hold."""
    return [
        *_blocked_and_stripped(cells),
        *_replays(cells),
        *_outages(cells),
        *_on_path(cells),
        *_privacy(cells),
    ]


def headline(found: Iterable[Finding]) -> str:
    """The answer in a few sentences: soft-fail, must-staple and strict against those who block and staple nothing."""
    by_id = {each.id: each for each in found}
    said = []
    for preset in ("soft-fail", "must-staple", "strict"):
        own = [(target, by_id.get(f"{_BLOCKED}/{preset}/{target}")) for target in _TARGETS]
        parts = [f"{share(each.count, each.of)} {_TARGETS[target][0]}" for target, each in own if each is not None]
        if parts:
            listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
            surprising = any(each is not None and each.expected is False for _, each in own)
            said.append(f"Under {preset}, {listed}." + (_NOT_SO if surprising else ""))
    return " ".join(["Of attackers who block OCSP and staple nothing, so many succeed.", *said]) if said else ""


def share(count: int, of: int) -> str:
    """So many of so many, in words where it is all or none of several."""
    if of > 1 and count in {0, of}:
        return f"all {of}" if count else f"none of the {of}"
    return f"{count} of {of}"


def _blocked_and_stripped(cells: Sequence[Cell]) -> Iterator[Finding]:
    chosen = [cell for cell in cells if cell.attacker is Attacker.STAPLES_NOTHING_BLOCKS]
    for preset in _clients(chosen):
        for target, (where, fits) in _TARGETS.items():
            own = [cell for cell in chosen if cell.preset == preset and fits(cell)]
            if own:
                text = f"Under {preset}, {{}} who block OCSP and staple nothing {where} succeed."
                every = _SAID.get((preset, target))
                yield _Claim(f"{_BLOCKED}/{preset}/{target}", text, _succeeded, "attackers", every).of(own)


def _replays(cells: Sequence[Cell]) -> Iterator[Finding]:
    for preset in _clients(cells):
        own = [cell for cell in cells if cell.preset == preset]
        wrong = [cell for cell in own if cell.attacker.blocks and cell.attacker.staples in {"old", "others", "forged"}]
        if wrong:
            text = f"Under {preset}, {{}} who block OCSP and staple what is expired, another's or forged succeed."
            every = False if preset == "strict" else None
            yield _Claim(f"wrong-staple/{preset}", text, _succeeded, "attackers", every).of(wrong)
        fresh = [cell for cell in own if cell.attacker.staples == "fresh"]
        if fresh:
            text = (
                f"Under {preset}, {{}} who staple a good answer from before the revocation succeed, until it expires."
            )
            yield _Claim(f"fresh-staple/{preset}", text, _succeeded, "attackers").of(fresh)


def _outages(cells: Sequence[Cell]) -> Iterator[Finding]:
    down = [cell for cell in cells if cell.outage is not Outage.NONE and not cell.is_revoked]
    for preset in _clients(down):
        for name, naive, server in (
            ("naive", True, "without the agent's cache"),
            ("agent", False, "with the agent's cache"),
        ):
            own = [cell for cell in down if cell.preset == preset and cell.outage.naive is naive]
            if own:
                text = f"While the responder is down, {preset} shuts out {{}} {server}."
                yield _Claim(f"outage/{name}/{preset}", text, _shut_out, "good servers").of(own)


def _on_path(cells: Sequence[Cell]) -> Iterator[Finding]:
    touched = [cell for cell in cells if _tampered(cell)]
    if touched:
        text = "Of connections that somebody without a key changed or broke on the path, {} failed, under any policy."
        yield _Claim("on-path", text, lambda cell: cell.connection_failed, every=True).of(touched)


def _privacy(cells: Sequence[Cell]) -> Iterator[Finding]:
    for preset in _clients(cells):
        own = [cell for cell in cells if cell.preset == preset]
        text = f"{preset} told a CA, where others could read it, which site was visited in {{}}."
        yield _Claim(f"privacy/{preset}", text, _gave_away, "visits").of(own)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A sentence with a blank for "n of m `what`", and of which cells it holds.

    `every` is what was expected of all of them, None where nothing was.
    """

    id: str
    text: str
    holds: Callable[[Cell], bool]
    what: str = ""
    every: bool | None = None

    def of(self, own: Sequence[Cell]) -> Finding:
        """The sentence about these cells."""
        count, of = sum(map(self.holds, own)), len(own)
        expected = None if self.every is None else count == (of if self.every else 0)
        text = self.text.format(f"{share(count, of)} {self.what}".rstrip()) + (_NOT_SO if expected is False else "")
        return Finding(id=self.id, text=text, count=count, of=of, expected=expected)


def _succeeded(cell: Cell) -> bool:
    return cell.kind is Kind.ATTACK_SUCCEEDED


def _shut_out(cell: Cell) -> bool:
    return cell.kind is Kind.FALSE_OUTAGE


def _gave_away(cell: Cell) -> bool:
    return any(told.names_site and told.in_clear for told in cell.told)


def _tampered(cell: Cell) -> bool:
    """Whether somebody on the path really changed or cut it: one that is accepted all the same is an attack."""
    return cell.connection_failed or (cell.kind is Kind.ATTACK_SUCCEEDED and cell.attacker.on_path)


def _clients(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.preset for cell in cells))
