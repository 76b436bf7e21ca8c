"""The cost of each way of checking as tables, for a terminal, in Markdown and on a page, with what limits them."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Final

from mustaple.report.cost import INITIAL_WINDOW
from mustaple.report.plain import printable
from mustaple.report.sheet import Sheet, aligned, piped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mustaple.report.cost import Cost, Series

# By what kinds of key and lengths of chain are compared: the others grow as these do.
_COMPARED: Final = ("none", "ocsp-leaf", "ocsp-all", "staple-leaf", "staple-chain", "staple-chain-1.2")
_FLIGHTS: Final = ("none", "none-1.2", "staple-leaf", "staple-leaf-1.2", "staple-chain", "staple-chain-1.2")


def cost_text(cost: Cost) -> str:
    """Everything as text, for a terminal of 80 columns or a few more."""
    lines = [_question(cost), ""]
    for sheet in cost_sheets(cost):
        lines += [sheet.title, *aligned(sheet), ""]
    if cost.missing:
        why = [f"{each.method.title}, {key_name(each.key)}: {printable(each.why)}" for each in cost.missing]
        lines += ["Not available here", *map(_item, why), ""]
    lines += [*map(_item, cost_notes(cost)), ""]
    return "\n".join([*lines, _basis(cost)]) + "\n"


def cost_markdown(cost: Cost) -> str:
    """The same in Markdown."""
    lines = ["# What checking costs", "", _question(cost), ""]
    for sheet in cost_sheets(cost, wide=True):
        lines += [f"## {sheet.title}", "", *piped(sheet), ""]
    lines += ["## What limits this", "", *(f"- {note}" for note in cost_notes(cost)), ""]
    return "\n".join([*lines, _basis(cost)]) + "\n"


def cost_sheets(cost: Cost, *, wide: bool = False) -> Iterator[Sheet]:
    """Every table; where it may be wide, also what was not available, and why."""
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
        "server is tlslite-ng, and in TLS 1.2 the client too. It is Python, which is the most of its own work; and "
        "in TLS 1.3 it exchanges keys by X25519, 1.1 kB less in its flight than OpenSSL's X25519MLKEM768."
    )
    fitted = (
        f"A median is of {cost.repeats} handshakes, beside the first keys and length of {cost.repeats_aside}. The "
        "slope is fitted to the fastest by least squares: the round trips that the times show. Work is the fastest "
        "without any delay."
    )
    sizes = "Bytes are TCP's payload, connections closed again and nothing else asked."
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
    title = f"Bytes to and from server and CA, connections to the CA, round trips to add{_of(cost.sweep)}"
    return Sheet(title, headings, tuple(rows))


def _compared(cost: Cost) -> Sheet:
    title = f"Time in ms by kind of key and certificates sent, round trip {cost.compared_at * 1000:g} ms"
    return _by_combination(cost, title, _COMPARED, lambda each: milliseconds(each.at(cost.compared_at).median))


def _flights(cost: Cost) -> Sheet:
    title = "Bytes of the server's first flight, and the round trips that they add, computed"
    return _by_combination(cost, title, _FLIGHTS, _flight)


def _flight(series: Series) -> str:
    extra = series.traffic.server_extra
    return f"{series.traffic.server_flight:,}" + (f" +{extra}" if extra else "")


def _by_combination(cost: Cost, title: str, names: Sequence[str], cell: Callable[[Series], str]) -> Sheet:
    found = {(each.key, each.certificates, each.method.name): each for each in cost.series}
    shown = [name for name in names if any(name == each.method.name for each in cost.series)]
    rows = []
    for key, certificates in dict.fromkeys((each.key, each.certificates) for each in cost.series):
        cells = [cell(found[place]) if (place := (key, certificates, name)) in found else "–" for name in shown]
        rows.append((f"{key_name(key)}, {certificates}", *cells))
    return Sheet(title, ("keys, sent", *shown), tuple(rows))


def _of(series: Sequence[Series]) -> str:
    return f", {key_name(series[0].key)}, {series[0].certificates} certificates sent" if series else ""


def _question(cost: Cost) -> str:
    measured = f"{len(cost.series)} combinations measured"
    return f"How long a TLS connection takes under each way of checking: {measured}, {len(cost.missing)} not available"


def _basis(cost: Cost) -> str:
    return f"measured {cost.at} in {cost.elapsed:.0f} s with {', '.join(cost.made_with)}"
