"""The simulated world: one CA, certificates on many responders, and answers signed each day for a week."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certtools.authority import Authority
from certtools.chain import Link
from certtools.extensions import ocsp_urls
from mustaple.core.errors import NetworkError
from mustaple.lab.agent_soak.behaviour import DAY, Behaviour, Manner, misbehaving
from mustaple.net.exchange import Fetched, RetryLaterError

if TYPE_CHECKING:
    from collections.abc import Mapping

LIFE: Final = timedelta(days=7)  # of an answer
SIGNED_EVERY: Final = DAY
ANSWERS_IN: Final = timedelta(milliseconds=80)
GIVES_UP_AFTER: Final = timedelta(seconds=10)
_GOOD, _UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.UNKNOWN


@dataclass(slots=True)
class SimulatedClock:
    """The time in the simulation."""

    at: datetime

    def __call__(self) -> datetime:
        """What time it is."""
        return self.at


@dataclass(slots=True)
class Month:
    """How large a simulation is. Answers and misbehaviour follow from `seed` alone."""

    certificates: int = 10_000
    responders: int = 100
    misbehaving: int = 20
    days: int = 30
    seed: int = 1


@dataclass(eq=False)
class World:
    """Everything but the agent. `fetch` takes the place of `afetch_ocsp`; its requests are counted."""

    month: Month
    start: datetime
    clock: SimulatedClock
    links: list[Link] = field(default_factory=list)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: int = 0
    _latency: timedelta = ANSWERS_IN

    def __post_init__(self) -> None:
        draw = Random(self.month.seed)  # noqa: S311 - a simulation is to be had again
        length = timedelta(days=self.month.days)
        for number in range(self.month.responders):
            bad = number < self.month.misbehaving
            behaviour = misbehaving(number, self.start, length, draw) if bad else Behaviour()
            self.behaviours[f"r{number}.test"] = behaviour
        lives = (self.start - DAY, self.start + length + 30 * DAY)
        self._ca = Authority.root("soak", not_before=lives[0], not_after=lives[1])
        self._rogue = Authority.root("soak", not_before=lives[0], not_after=lives[1])
        # One key for all of them: nothing here depends on it, and ten thousand take their time.
        key = self._ca.leaf(["key.test"]).key
        hosts = list(self.behaviours)
        for number in range(self.month.certificates):
            url = f"http://{hosts[number % len(hosts)]}/"
            issued = self._ca.leaf([f"s{number}.test"], key=key, ocsp_urls=[url])
            self.links.append(Link(issued.certificate, self._ca.certificate))

    def behaviour(self, link: Link) -> Behaviour:
        """That of this certificate's responder."""
        return self.behaviours[urlsplit(ocsp_urls(link.subject)[0]).hostname or ""]

    def latency(self) -> timedelta:
        """How long the last request took; asked once."""
        latency, self._latency = self._latency, ANSWERS_IN
        return latency

    def signed_at(self, moment: datetime) -> datetime:
        """When the answer that is handed out at this moment was signed."""
        return self.start + (moment - self.start) // SIGNED_EVERY * SIGNED_EVERY

    async def fetch(self, link: Link, *, url: str, **_: Any) -> Fetched:
        """One request, answered or not as the responder does now."""
        self.requests += 1
        manner = self.behaviours[urlsplit(url).hostname or ""].at(self.clock.at)
        if manner is Manner.REFUSES:
            raise NetworkError(f"{url} cannot be reached: Connection refused.")
        if manner is Manner.HANGS:
            self._latency += GIVES_UP_AFTER
            raise NetworkError(f"{url} did not answer within 10 s.")
        if manner is Manner.HUGE:
            raise NetworkError(f"{url} answered with more than 65,536 bytes, too many for an OCSP response.")
        if manner in {Manner.LATER, Manner.NEVER}:
            wait = "3600" if manner is Manner.LATER else "31536000"
            raise RetryLaterError(f"{url} answered HTTP 503 (Service Unavailable), not an OCSP response.", wait)
        return Fetched(self._body(link, manner), url, "GET", 200, _headers(manner), 0.08)

    def _body(self, link: Link, manner: Manner | None) -> bytes:
        signed = self.signed_at(self.clock.at)
        if manner is Manner.GARBAGE:
            return b"\x30\x82garbage"
        if manner is Manner.OTHERS:
            link = self.links[(self.links.index(link) + 1) % len(self.links)]
        elif manner is Manner.EXPIRED:
            signed -= 2 * LIFE
        elif manner is Manner.FUTURE:
            signed += 3 * DAY
        status = _UNKNOWN if manner is Manner.UNKNOWN else _GOOD
        signer = self._rogue if manner is Manner.FORGED else self._ca
        return (
            ocsp.OCSPResponseBuilder()
            .add_response(link.subject, link.issuer, hashes.SHA1(), status, signed, signed + LIFE, None, None)
            .responder_id(ocsp.OCSPResponderEncoding.NAME, signer.certificate)
            .sign(signer.key, hashes.SHA256())
            .public_bytes(Encoding.DER)
        )


def _headers(manner: Manner | None) -> Mapping[str, str]:
    return {"cache-control": "max-age=3600"} if manner is None else {}
