"""What checking costs: the measured times grow by the round trips that the protocols make, and all is shown."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from figures import figures
from slopes import shown_slope

from mustaple.core.errors import InputError, RefusedError
from mustaple.core.policy import preset
from mustaple.lab.cost import METHODS, Combination, Grid, measure_cost, steps
from mustaple.lab.cost.methods import hindrance, named
from mustaple.lab.cost.stand import Stand
from mustaple.report.cost import INITIAL_WINDOW, Cost, Series, Timing, extra_round_trips, slope
from mustaple.report.cost_data import cost_csv, cost_json
from mustaple.report.cost_svg import cost_svg
from mustaple.report.cost_text import cost_markdown, cost_sheets, cost_text

if TYPE_CHECKING:
    from collections.abc import Iterator

EC = Combination("ec-p256", 2)
ML_DSA = Combination("ml-dsa-44", 3)
GRID = Grid((EC, ML_DSA), round_trips=(0.02, 0.07, 0.12), compared_at=0.02, repeats=4, repeats_aside=1)
with_ml_dsa = pytest.mark.peer("ML-DSA")


@pytest.fixture(scope="module")
def progress() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cost(progress: list[str]) -> Cost:
    return measure_cost(GRID, step=progress.append)


def series(cost: Cost, name: str, key: str = "ec-p256") -> Series:
    return next(each for each in cost.series if (each.method.name, each.key) == (name, key))


ways = pytest.mark.parametrize("name", [way.method.name for way in METHODS])


# times


@ways
def test_a_time_grows_by_the_round_trips_of_its_protocols(cost: Cost, name: str) -> None:
    first = [series(cost, name)]

    def measure() -> Iterator[tuple[float, float]]:
        alone = replace(GRID, combinations=(EC,), ways=(named(name),))
        (found,) = first or measure_cost(alone).series
        first.clear()
        assert found.fitted is not None
        return ((timing.round_trip, timing.fastest) for timing in found.timings if timing.round_trip)

    expected = first[0].method.round_trips
    assert abs(shown_slope(measure, expected, 0.4) - expected) < 0.4


@ways
def test_nothing_is_faster_than_its_round_trips(cost: Cost, name: str) -> None:
    found = series(cost, name)
    assert [each.round_trip for each in found.timings] == [0.0, *GRID.round_trips]
    for timing in found.timings:
        assert timing.fastest >= found.method.round_trips * timing.round_trip
        assert len(timing.seconds) == GRID.repeats
        assert timing.fastest <= timing.median


def test_without_the_delay_nothing_grows() -> None:
    """The refused twin: the same ends and the same arithmetic, with a relay that puts nothing in."""
    with Stand(named("ocsp-leaf"), EC) as stand:
        stand.handshake()

        def measure() -> Iterator[tuple[float, float]]:
            return ((delay, min(stand.handshake() for _ in range(4))) for delay in GRID.round_trips)

        assert abs(shown_slope(measure, 0, 0.4)) < 0.4


def test_the_slope_is_that_of_the_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(0.0, 0.0), (1.0, 0.0), (2.0, 3.0)]) == pytest.approx(1.5)


def test_a_median_and_the_fastest() -> None:
    timing = Timing(0.1, (0.5, 0.2, 0.9))
    assert (timing.median, timing.fastest) == (0.5, 0.2)


# bytes


def test_who_asks_the_ca_is_seen(cost: Cost) -> None:
    asked = {each.method.name: each.traffic.ca_connections for each in cost.sweep}
    assert {name for name, count in asked.items() if count} == {"crl-small", "crl-large", "ocsp-leaf", "ocsp-all"}
    assert (asked["ocsp-leaf"], asked["ocsp-all"]) == (1, 2)
    for each in cost.sweep:
        silent = each.traffic.ca_connections == 0
        assert (each.traffic.to_ca == 0, each.traffic.from_ca == 0) == (silent, silent)


def test_a_staple_is_in_the_flight_and_nothing_else_is(cost: Cost) -> None:
    bare, leaf = series(cost, "none").traffic, series(cost, "staple-leaf").traffic
    assert bare.stapled == 0
    assert 0 < leaf.stapled <= leaf.server_flight - bare.server_flight < leaf.stapled + 40
    for name in ("staple-chain", "staple-chain-1.2"):
        # One for each certificate, each as long as the leaf's to a byte or three of an ECDSA signature.
        assert abs(series(cost, name).traffic.stapled - 2 * leaf.stapled) <= 12


def test_a_large_crl_is_a_megabyte_and_takes_more_round_trips(cost: Cost) -> None:
    large, small = series(cost, "crl-large").traffic, series(cost, "crl-small").traffic
    assert 0.99e6 < large.ca_answer < 1.01e6
    assert 500 < small.ca_answer < 2000
    assert (large.ca_extra, small.ca_extra) == (6, 0)


def test_extra_round_trips_double_the_window() -> None:
    sizes = [0, 1, 14_600, 14_601, 43_800, 43_801, 102_200, 102_201, 1_000_000]
    assert [extra_round_trips(size) for size in sizes] == [0, 0, 0, 1, 1, 2, 2, 3, 6]
    assert INITIAL_WINDOW == 14_600


# ML-DSA


@with_ml_dsa
def test_ml_dsa_outgrows_the_window(cost: Cost) -> None:
    found = series(cost, "none", "ml-dsa-44")
    assert found.certificates == 3
    assert found.traffic.server_extra == 1
    assert series(cost, "none").traffic.server_extra == 0


@with_ml_dsa
def test_what_cannot_be_done_with_ml_dsa_is_missing_with_the_librarys_own_words(cost: Cost) -> None:
    missing = {each.method.name: each.why for each in cost.missing}
    assert set(missing) == {"none-1.2", "staple-leaf-1.2", "staple-chain", "staple-chain-1.2"}
    assert "handshake failure" in missing["none-1.2"]
    assert "tlslite-ng does not serve this certificate" in missing["staple-chain"]
    assert not {each.method.name for each in cost.series if each.key == "ml-dsa-44"} & set(missing)


def test_a_kind_of_key_that_there_is_not_is_missing_and_a_way_that_fails_is_not() -> None:
    grid = Grid((Combination("rsa-1", 2),), (0.02, 0.03), 0.02, ways=(named("none"),))
    assert "no key kind" in measure_cost(grid).missing[0].why
    assert hindrance(named("staple-chain"), "ec-p256") is None


def test_where_one_has_failed_the_others_do_not_go_on_to_their_end() -> None:
    told: list[str] = []

    def fail(what: str) -> None:
        told.append(what)
        raise ConnectionError(what)

    # The second takes twice as long as the first, and is under way when that ends.
    grid = Grid((EC,), (0.02, 0.1), 0.02, repeats=6, ways=(named("none"), named("crl-large")))
    with pytest.raises(ConnectionError, match="no check"):
        measure_cost(grid, step=fail)
    assert told == ["no check"]


# the stand


def test_what_is_soft_and_looked_at_nothing_is_no_measurement() -> None:
    with Stand(named("ocsp-leaf"), EC) as stand:
        assert stand.handshake() > 0
        stand._answers.clear()
        with pytest.raises(AssertionError, match="with 0 certificates found good"):
            stand.handshake()


@with_ml_dsa
def test_an_error_that_nobody_knows_the_reason_of_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mustaple.lab.cost.measure.hindrance", lambda *_: None)
    with pytest.raises(InputError, match="tlslite-ng does not serve"):
        measure_cost(Grid((ML_DSA,), (0.02, 0.03), 0.02, ways=(named("staple-chain"),)))


def test_a_refusal_is_raised() -> None:
    demands_what_it_does_not_get = replace(named("none"), policy=preset("strict"))
    grid = Grid((EC,), (0.02, 0.03), 0.02, ways=(demands_what_it_does_not_get,))
    with pytest.raises(RefusedError, match="stapled nothing"):
        measure_cost(grid)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"round_trips": (0.0, 0.1)}, "more than nothing"),
        ({"round_trips": (0.1, 3.0)}, "no more than 2 s"),
        ({"round_trips": (0.1, 0.1)}, "two round-trip times"),
        ({"compared_at": -1.0}, "more than nothing"),
        ({"combinations": ()}, "certificates"),
        ({"combinations": (Combination("ec-p256", 1),)}, "from 2 to 8 certificates"),
        ({"repeats": 0}, "once at least"),
        ({"at_once": 0}, "once at least"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(wrong: dict[str, object], said: str) -> None:
    usual: dict[str, object] = {"combinations": (EC,), "round_trips": (0.02, 0.1), "compared_at": 0.02}
    Grid(**usual)
    with pytest.raises(InputError, match=said):
        Grid(**(usual | wrong))


def test_a_method_by_another_name_says_which_there_are() -> None:
    with pytest.raises(InputError, match=r"there are none, none-1\.2"):
        named("nothing")


# what is shown


def test_progress_is_told_of_each(cost: Cost, progress: list[str]) -> None:
    assert cost.series
    assert len(progress) == steps(GRID) == 2 * len(METHODS)


def test_the_text_has_every_way_and_says_what_is_computed(cost: Cost) -> None:
    text = cost_text(cost)
    for each in cost.sweep:
        assert f"\n{each.method.title}  " in text
    assert "Computed, and in no time above" in text
    assert "tlslite-ng" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "Not available here" in text


def test_the_document_has_the_bytes_of_today(cost: Cost) -> None:
    """Its times were measured on one machine on one day; its bytes and round trips are the same everywhere."""
    (figure,) = (each for each in figures() if each.command == "mustaple compare --cost" and each.file is None)
    for title, columns in (("Time in ms over", slice(-2, -1)), ("Bytes on the wire", slice(0, None))):
        written, today = (_table(text, title, columns) for text in (figure.text, cost_text(cost)))
        assert set(written) == set(today) == {way.method.title for way in METHODS}
        for way, numbers in today.items():
            assert written[way] == pytest.approx(numbers, abs=24), f"{title}: {way}"


def _table(text: str, title: str, columns: slice) -> dict[str, list[float]]:
    """These columns of the table under a title, by the row's name."""
    lines = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line.startswith(title), text.splitlines()))
    rows = [re.split(r" {2,}", line) for line in itertools.islice(lines, 2, None)]
    return {name: [float(cell.replace(",", "")) for cell in cells[columns]] for name, *cells in rows}


def test_markdown_has_the_same_tables(cost: Cost) -> None:
    text = cost_markdown(cost)
    assert text.count("\n| --- |") == len(list(cost_sheets(cost)))
    assert "| leaf staple |" in text


def test_json_and_csv_have_every_number(cost: Cost) -> None:
    told = json.loads(json.dumps(cost_json(cost)))
    assert len(told["series"]) == len(cost.series)
    assert {each["key"] for each in told["not_available"]} <= {"ml-dsa-44"}
    large = next(each for each in told["series"] if each["method"] == "crl-large")
    assert large["computed"] == {"server_round_trips": 0, "ca_round_trips": 6}
    assert large["round_trips"]["expected"] == 4
    rows = list(csv.DictReader(io.StringIO(cost_csv(cost))))
    assert len({tuple(row.values())[:8] for row in rows}) == len(rows), "each number has a place of its own"
    found = [float(row["value"]) for row in rows if row["measure"] == "slope" and row["method"] == "none"]
    assert found == [series(cost, "none").fitted]


def test_the_picture_is_one_and_the_same_for_the_same_numbers(cost: Cost) -> None:
    picture = cost_svg(cost)
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert picture == cost_svg(cost)
    assert "http://" not in picture.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
