"""Shakes hands with a server after a deployment, and says whether it serves what it was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from mustaple.agent.deploy.contract import DeployError
from mustaple.core.errors import NetworkError
from mustaple.net.dial import Deadline
from mustaple.net.look import look_tls12, look_tls13
from mustaple.net.service_name import service_name
from mustaple.net.targets import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mustaple.agent.deploy.contract import Deployment, Site
    from mustaple.core.flight import Flight

_PAUSE: Final = 0.2  # seconds between two handshakes with a server that still serves what it served before


def verify(settings: Deployment, site: Site, staples: Sequence[bytes | None]) -> None:
    """See that the server at `settings.verify` serves this chain's leaf, with these staples and no others.

    A server that reloads may serve the old ones for a while: it is asked again for `settings.patience` seconds. Raises
    DeployError, which says what is served instead. Does nothing where there is no address.
    """
    if settings.verify is None:
        return
    deadline = Deadline(settings.patience)
    while True:
        fault = _fault(settings, site, staples, deadline)
        if fault is None:
            return
        if deadline.left() <= _PAUSE:
            raise DeployError(f"{settings.verify} {fault}")
        time.sleep(_PAUSE)


def _fault(settings: Deployment, site: Site, staples: Sequence[bytes | None], deadline: Deadline) -> str | None:
    try:
        flight = _look(settings, deadline)
    except (NetworkError, TimeoutError) as error:
        return f"does not answer in TLS: {str(error).rstrip('.')}"
    if isinstance(flight, str):
        return f"shows no certificate: {flight.rstrip('.')}"
    return serves_otherwise(flight, site, staples, whole=settings.serves == "chain")


def _look(settings: Deployment, deadline: Deadline) -> Flight | str:
    """The server's flight, in TLS 1.3 or else 1.2, or why there is none."""
    target = parse_target(settings.verify or "")
    where = (target.host, target.port)
    name = service_name(settings.server_name if settings.server_name is not None else target.host).server_name
    look = look_tls13(where, name, Deadline(max(deadline.left(), _PAUSE)))
    if look.flight is None:
        look = look_tls12(where, name, Deadline(max(deadline.left(), _PAUSE)))
    return look.flight if look.flight is not None else look.problem or "no reason is known"


def serves_otherwise(flight: Flight, site: Site, staples: Sequence[bytes | None], *, whole: bool) -> str | None:
    """What is wrong with what was served, in words; None where it is as given."""
    if not flight.entries or flight.entries[0].fingerprint != site.fingerprint:
        return "serves another certificate"
    served = flight.sent.staples
    for link, staple in list(zip(site.chain.links, staples, strict=True))[: None if whole else 1]:
        found = [each.response for each in served.get(link.fingerprint, ())]
        if staple is None and found:
            return f"still staples for {link.subject.subject.rfc4514_string()}, which has no good staple"
        if staple is not None and staple not in found:
            how = "another staple" if found else "no staple"
            return f"serves {how} for {link.subject.subject.rfc4514_string()}"
    return None
