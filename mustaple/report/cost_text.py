"""The cost of each way of checking as tables, for a terminal, in Markdown and on a page, with what limits them."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Final

from mustaple.report.cost import INITIAL_WINDOW
from mustaple.report.plain import printable
from mustaple.report.sheet import Sheet, aligned, piped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mustaple.report.cost import Cost, Series

# What is compared by keys and length of chain, under short names; what is not shown grows as these do.
_COMPARED: Final = {
    "none": "no check",
    "ocsp-leaf": "OCSP leaf",
    "ocsp-all": "OCSP all",
    "staple-leaf": "leaf",
    "staple-chain": "chain",
    "staple-chain-1.2": "chain 1.2",
}
_FLIGHTS: Final = {
    "none": "none",
    "none-1.2": "none 1.2",
    "staple-leaf": "leaf",
    "staple-leaf-1.2": "leaf 1.2",
    "staple-chain": "chain",
    "staple-chain-1.2": "chain 1.2",
}


def cost_text(cost: Cost) -> str:
    """Everything as text, for a terminal of 80 columns or a few more."""
    lines = [_question(cost), ""]
    for sheet in cost_sheets(cost, wide=False):
        lines += [sheet.title, *aligned(sheet), ""]
    if cost.missing:
        why = [f"{each.method.title}, {key_name(each.key)}: {printable(each.why)}" for each in cost.missing]
        lines += ["Not available here", *map(_item, why), ""]
    lines += [*map(_item, cost_notes(cost)), ""]
    return "\n".join([*lines, fill(_basis(cost), 80)]) + "\n"


def cost_markdown(cost: Cost) -> str:
    """The same in Markdown."""
    lines = ["# What checking costs", "", _question(cost), ""]
    for sheet in cost_sheets(cost):
        lines += [f"## {sheet.title}", "", *piped(sheet), ""]
    lines += ["## What limits this", "", *(f"- {note}" for note in cost_notes(cost)), ""]
    return "\n".join([*lines, _basis(cost)]) + "\n"


def cost_sheets(cost: Cost, *, wide: bool = True) -> Iterator[Sheet]:
    """Every table; where it may be wide, the last says what was not available, and why."""
    yield _times(cost)
    yield _bytes(cost)
    yield _compared(cost)
    yield _flights(cost)
    if wide and cost.missing:
        rows = tuple((each.method.title, key_name(each.key), each.why) for each in cost.missing)
        yield Sheet("Not available here", ("way", "keys", "why"), rows)


def cost_notes(cost: Cost) -> tuple[str, ...]:
    """What the numbers do not say, a sentence or two each."""
    way = (
        "Measured: the time from the first SYN to a connection that may be used, over loopback with a relay that "
        "delays each direction by half of the round trip, and the first bytes by TCP's own. The CA is as far away as "
        "the server. Nothing is lost, bandwidth has no end, names are not looked up."
    )
    computed = (
        f"Computed, and in no time above: the round trips that a flight takes beyond its first {INITIAL_WINDOW:,} "
        "bytes, TCP's initial window of ten segments of 1460 bytes (RFC 6928), which doubles with each (RFC 5681)."
    )
    libraries = (
        "Servers and clients are OpenSSL, but for chain staples: no OpenSSL that Python reaches sends them, so that "
        "server is tlslite-ng, and in TLS 1.2 the client too. It is Python, which is the most of its own work; and in "
        "TLS 1.3 it exchanges keys by X25519, 1.1 kB less in its flight than the X25519MLKEM768 of OpenSSL since 3.5."
    )
    fitted = (
        f"A median is of {cost.repeats} handshakes, beside the first keys and length of {cost.repeats_aside}. The "
        "slope is fitted to the fastest by least squares: the round trips that the times show. Work is the fastest "
        "without any delay."
    )
    sizes = (
        "Bytes are TCP's payload, connections closed again and nothing else asked: up from the client and down to it; "
        "stapled are the OCSP responses within, asked the connections to the CA. By keys and length, leaf and chain "
        "are staples, and TLS is 1.3 but where 1.2 is said."
    )
    return (way, computed, libraries, fitted, sizes)


def key_name(key: str) -> str:
    """A kind of key as people write it."""
    return {"ec-p256": "EC P-256", "rsa-2048": "RSA 2048"}.get(key, key.upper())


def milliseconds(seconds: float) -> str:
    """A time in whole ms; below ten, with one figure more."""
    value = seconds * 1000
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _item(text: str) -> str:
    return fill(text, 80, initial_indent="- ", subsequent_indent="  ", break_long_words=False)


def _times(cost: Cost) -> Sheet:
    swept = cost.sweep
    delays = sorted({timing.round_trip for each in swept for timing in each.timings if timing.round_trip})
    rows = []
    for each in swept:
        times = [milliseconds(each.at(delay).median) for delay in delays]
        rows.append(
            (each.method.title, *times, f"{each.fitted:.2f}", f"{each.method.round_trips}", milliseconds(each.work))
        )
    headings = ("way", *(f"{delay * 1000:g} ms" for delay in delays), "slope", "expected", "work")
    return Sheet(f"Time in ms over the round trip{_of(swept)}", headings, tuple(rows))


def _bytes(cost: Cost) -> Sheet:
    rows = []
    for each in cost.sweep:
        went = each.traffic
        sizes = (went.to_server, went.from_server, went.stapled, went.to_ca, went.from_ca, went.ca_connections)
        more = f"+{went.server_extra + went.ca_extra}"
        rows.append((each.method.title, *(f"{size:,}" for size in sizes), more))
    headings = ("way", "up", "down", "stapled", "CA up", "CA down", "asked", "to add")
    return Sheet(f"Bytes on the wire, and round trips to add{_of(cost.sweep)}", headings, tuple(rows))


def _compared(cost: Cost) -> Sheet:
    title = f"Time in ms by keys and certificates sent, at a round trip of {cost.compared_at * 1000:g} ms"
    return _by_combination(cost, title, _COMPARED, lambda each: milliseconds(each.at(cost.compared_at).median))


def _flights(cost: Cost) -> Sheet:
    title = "Bytes of the server's first flight by what is stapled, and round trips to add"
    return _by_combination(cost, title, _FLIGHTS, _flight)


def _flight(series: Series) -> str:
    extra = series.traffic.server_extra
    return f"{series.traffic.server_flight:,}" + (f" +{extra}" if extra else "")


def _by_combination(cost: Cost, title: str, names: Mapping[str, str], cell: Callable[[Series], str]) -> Sheet:
    found = {(each.key, each.certificates, each.method.name): each for each in cost.series}
    shown = [name for name in names if any(name == each.method.name for each in cost.series)]
    rows = []
    for key, certificates in dict.fromkeys((each.key, each.certificates) for each in cost.series):
        cells = [cell(found[place]) if (place := (key, certificates, name)) in found else "–" for name in shown]
        rows.append((f"{key_name(key)}, {certificates}", *cells))
    return Sheet(title, ("keys, sent", *(names[name] for name in shown)), tuple(rows))


def _of(series: Sequence[Series]) -> str:
    return f", {key_name(series[0].key)}, {series[0].certificates} certificates sent" if series else ""


def _question(cost: Cost) -> str:
    return f"What a TLS connection costs: {len(cost.series)} combinations measured, {len(cost.missing)} not available"


def _basis(cost: Cost) -> str:
    return f"measured {cost.at} in {cost.elapsed:.0f} s with {', '.join(cost.made_with)}"
