"""What a simulation says, ready to be shown: a row for each client and server, a curve, what each parameter does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What is measured for each row: the field's name, its heading, and its unit.
MEASURES: Final = {
    "exposure": ("exposed after a leaf's revocation", "s"),
    "ca_exposure": ("exposed after an intermediate's", "s"),
    "refused": ("refused wrongly", "share of connections"),
    "client_requests": ("clients' requests to CAs", "per million connections"),
    "server_requests": ("servers' requests to CAs", "per site and day"),
    "waited": ("clients waited for CAs", "s per connection"),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """What one kind of client brings about, with servers that refresh their staples in one way.

    `refresh` is "agent" or "naive", and "" where the client does not look at staples. Times are seconds.
    """

    client: str
    refresh: str
    exposure: Estimate
    ca_exposure: Estimate
    refused: Estimate
    client_requests: Estimate
    server_requests: Estimate
    waited: Estimate

    @property
    def name(self) -> str:
        """Client and refresh as one name."""
        return f"{self.client}, {self.refresh}" if self.refresh else self.client


@dataclass(frozen=True, slots=True)
class Given:
    """One parameter: its value, and where that comes from.

    `status` is "quoted" (a published number, found in the source), "assumed", or "given" (on the command line or in a
    file of the user's without a word on it). `low` and `high` are what the sensitivity tries.
    """

    key: str
    value: float
    unit: str
    status: str
    source: str
    note: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Every row where all evidence lives `scale` times as long as the parameters say."""

    scale: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """Every row with one parameter at its low and at its high end, all others as they are."""

    given: Given
    low: tuple[Row, ...]
    high: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """One run: what went in, and what came out. The same numbers go in, the same come out."""

    connections: int
    replications: int
    seed: int
    parameters: tuple[Given, ...]
    rows: tuple[Row, ...]
    curve: tuple[CurvePoint, ...] = ()
    effects: tuple[Effect, ...] = ()
