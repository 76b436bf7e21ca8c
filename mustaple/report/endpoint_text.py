"""What a TLS server staples, in plain words, from the facts about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mustaple.report.inspect_text import moment_of, window_text
from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    Facts = Mapping[str, Any]


def endpoint_text(facts: Facts) -> str:
    """The path, and each handshake with a few lines for each certificate."""
    return "\n".join(map(printable, _lines(facts)))


def _lines(facts: Facts) -> Iterator[str]:
    at = moment_of(facts["at"])
    problem = facts["path_problem"]
    yield f"{facts['target']}: {'its path is trusted' if problem is None else f'its path is not trusted ({problem})'}"
    for handshake in facts["handshakes"]:
        yield from _handshake(handshake, at)


def _handshake(facts: Facts, at: datetime) -> Iterator[str]:
    numbers = facts["offered"]
    asked = f"extension{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
    yield f"{facts['protocol'].replace('v', ' ')}, asked by {asked} (engine {facts['engine']})"
    for certificate in facts["certificates"]:
        yield from _certificate(certificate, at)
    if facts["problem"] is not None:
        yield f"  {'then' if facts['certificates'] else 'nothing seen'}: {facts['problem'].rstrip('.')}"


def _certificate(facts: Facts, at: datetime) -> Iterator[str]:
    yield f"  {facts['subject'] or 'a certificate that cannot be read'}: {_status(facts)}{_promise(facts)}"
    judgement = facts["judgement"]
    if facts["carrier"] is None:
        return
    if judgement is None or judgement["this_update"] is None:
        yield f"    {facts['carrier']}: {facts['bytes']} bytes"
    else:
        yield f"    {facts['carrier']}: {window_text(judgement, 'this_update', 'next_update', at)}"
    for reason in judgement["reasons"] if judgement is not None else ():
        yield f"    {reason['code']}: {reason['detail']} ({reason['clause']})"


def _status(facts: Facts) -> str:
    if facts["carrier"] is None:
        return "nothing stapled; it signed itself, so none is due" if facts["self_signed"] else "nothing stapled"
    if facts["judgement"] is None:
        return "a staple that nobody can judge without the certificate that signed it; name its CA with --ca"
    return str(facts["judgement"]["status"])


def _promise(facts: Facts) -> str:
    if not facts["promised"]:
        return ""
    return ", as promised" if facts["kept"] else ", though a good staple is promised"
