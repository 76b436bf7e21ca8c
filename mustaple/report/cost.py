"""What each way of checking costs, ready to be shown: times over round trips, bytes, and what congestion would add."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

SEGMENT: Final = 1460  # bytes of payload in a TCP segment over Ethernet and IPv4
INITIAL_WINDOW: Final = 10 * SEGMENT  # RFC 6928 §2


def extra_round_trips(flight: int) -> int:
    """The round trips beyond the first that so many bytes take out of TCP's initial window. Computed, not measured.

    The window is ten segments (RFC 6928 §2) and doubles with each round trip (RFC 5681 §3.1); nothing is lost, and
    no acknowledgement is held back.
    """
    sent = window = INITIAL_WINDOW
    extra = 0
    while sent < flight:
        window *= 2
        sent += window
        extra += 1
    return extra


@dataclass(frozen=True, slots=True)
class Method:
    """One way of checking, or of not checking.

    `round_trips` is what the protocols make of it, with TCP's own: one for each TCP connection, one for a handshake of
    TLS 1.3 and two for one of TLS 1.2, one for a request over HTTP; what is asked at once counts once.
    """

    name: str
    title: str
    protocol: str
    round_trips: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Handshakes at one round-trip time; all times are in seconds, from the first SYN to a connection one may use."""

    round_trip: float
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return median(self.seconds)

    @property
    def fastest(self) -> float:
        """The one that the machine's other work held up least."""
        return min(self.seconds)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire, in bytes of TCP's payload, both connections closed again and nothing else asked.

    `server_flight` is what the server sent in one go after the ClientHello, `stapled` the OCSP responses in it.
    `ca_answer` is the largest answer of the CA's.
    """

    to_server: int
    from_server: int
    to_ca: int
    from_ca: int
    ca_connections: int
    server_flight: int
    stapled: int
    ca_answer: int

    @property
    def server_extra(self) -> int:
        """The round trips that the server's flight would take beyond those measured; computed."""
        return extra_round_trips(self.server_flight)

    @property
    def ca_extra(self) -> int:
        """The same of the CA's largest answer; computed."""
        return extra_round_trips(self.ca_answer)


@dataclass(frozen=True, slots=True)
class Series:
    """One way of checking with one kind of key and so many certificates sent, over round-trip times.

    `server` is the TLS library of the server, whose work is in every time.
    """

    method: Method
    key: str
    certificates: int
    server: str
    traffic: Traffic
    timings: tuple[Timing, ...]

    @property
    def work(self) -> float:
        """Seconds that the ends themselves take: the fastest without any delay."""
        return self.at(0.0).fastest

    def at(self, round_trip: float) -> Timing:
        """The handshakes at this round-trip time. Raises KeyError where none were made."""
        for timing in self.timings:
            if timing.round_trip == round_trip:
                return timing
        raise KeyError(f"{self.method.name} was not measured at {round_trip:g} s")

    @property
    def fitted(self) -> float | None:
        """The round trips that the times show: the slope of the fastest over two delays or more, by least squares."""
        delayed = [timing for timing in self.timings if timing.round_trip]
        return slope([(each.round_trip, each.fastest) for each in delayed]) if len(delayed) > 1 else None


def slope(points: list[tuple[float, float]]) -> float:
    """The slope of the line through these points that least squares give; two of them at different places at least."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be measured here, and why."""

    method: Method
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Cost:
    """One run. `compared_at` is the round-trip time (seconds) at which kinds of key and lengths are compared.

    Each point of the first keys and length is `repeats` handshakes, of the others `repeats_aside`. `at` is the day.
    """

    series: tuple[Series, ...]
    missing: tuple[Missing, ...]
    compared_at: float
    repeats: int
    repeats_aside: int
    at: str
    made_with: tuple[str, ...]
    elapsed: float

    @property
    def sweep(self) -> tuple[Series, ...]:
        """Those that were measured over several delays."""
        return tuple(each for each in self.series if each.fitted is not None)
