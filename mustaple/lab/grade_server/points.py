"""What the answers say to older questions: eight points for a server that staples, and a table of 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.report.grade_server import Point, Prefetch

if TYPE_CHECKING:
    from mustaple.lab.grade_server.findings import Findings
    from mustaple.report.grade_server import Requests

# In what part of a response's life one may call it the half.
_HALF: Final = (0.35, 0.65)
_FEW: Final = 3  # requests for ten handshakes in an outage


def sleevi(found: Findings, requests: Requests) -> list[Point]:
    """Ryan Sleevi's eight points for server developers, each as far as it could be seen."""
    answers = found.answers
    served = [answers.get("serves_errors"), answers.get("serves_unusable")]
    validates = None if None in served else not any(served)
    return [
        Point(name="persistent cache", holds=answers.get("keeps_over_restart"), said="the staple survives a restart"),
        Point(name="validates before serving", holds=validates, said="no error and nothing unusable reached a client"),
        _background(found, requests),
        _http(requests),
        _hammering(requests),
        Point(
            name="proxy, or once for many",
            holds=None,
            said="not to be seen from outside: it depends on how many servers share what is fetched",
        ),
        Point(
            name="serves the old while fetching",
            holds=answers.get("serves_old_while_fetching"),
            said="a handshake during the fetch gets the staple there was",
        ),
        Point(
            name="decides what happens at the end",
            holds=answers.get("respects_next_update"),
            said="nothing past its nextUpdate reached a client",
        ),
    ]


def _background(found: Findings, requests: Requests) -> Point:
    outside, at = found.answers.get("fetches_outside_handshake"), requests.refresh_at
    holds: bool | None = None
    if outside is False:
        holds, said = False, "it asks within the handshake"
    elif at is None:
        said = "it was not seen to ask again"
    else:
        holds = bool(outside) and _HALF[0] <= at <= _HALF[1]
        said = f"it asked again after {at:.0%} of the life"
    return Point(name="refreshes in the background at half-life", holds=holds, said=said)


def _http(requests: Requests) -> Point:
    """RFC 9919 §6 (before it RFC 5019 §5): GET where the request is small enough, as these are, so that caches help."""
    if not requests.methods:
        return Point(name="RFC 9919 and HTTP caching", holds=None, said="it asked nobody")
    said = f"it asked by {' and '.join(requests.methods)}, {requests.nonces} times with a nonce"
    if requests.conditional:
        said += f", {requests.conditional} times only for what had changed"
    holds = requests.methods == ["GET"] and not requests.nonces
    return Point(name="RFC 9919 and HTTP caching", holds=holds, said=said)


def _hammering(requests: Requests) -> Point:
    name = "does not hammer"
    if requests.failing_handshakes:
        said = f"{requests.failing} requests for {requests.failing_handshakes} handshakes during an outage"
        return Point(name=name, holds=requests.failing <= _FEW, said=said)
    if requests.well_handshakes and requests.methods:
        said = (
            f"{requests.well} requests for {requests.well_handshakes} handshakes; an outage while it asks was not seen"
        )
        return Point(name=name, holds=None if requests.well <= _FEW else False, said=said)
    return Point(name=name, holds=None, said="it was not seen to ask again")


def imc_2018(found: Findings) -> Prefetch:
    """The columns of Table 3 of Chung and others, "Is the Web Ready for OCSP Must-Staple?", IMC 2018."""
    answers = found.answers
    return Prefetch(
        prefetch=answers.get("prefetches"),
        cache=answers.get("caches"),
        respect_next_update=answers.get("respects_next_update"),
        retain_on_error=answers.get("retains_on_error"),
    )
