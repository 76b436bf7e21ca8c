"""What a misbehaving responder does with a request: each act takes the exchange and whatever value it was given."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from certtools.forge.scene import HTML
from mustaple.lab.misbehaviour.exchange import LONGEST
from mustaple.net.responder.aborting import abort, hang_up
from mustaple.net.responder.reply import CRL, OCSP_RESPONSE

if TYPE_CHECKING:
    from datetime import datetime

    from mustaple.lab.misbehaviour.exchange import Exchange
    from mustaple.net.responder import Reply
    from mustaple.net.responder.register import RegisterAnswers

FLAP: Final = 5.0  # seconds that a flapping responder stays up or down at the least
_CHUNK: Final = bytes(1 << 16)


async def slow(exchange: Exchange, seconds: float) -> None:
    """Answers honestly, so much later."""
    await exchange.wait(seconds)
    await exchange.honest(exchange.send)


async def hang(exchange: Exchange) -> None:
    """Takes the request and never answers."""
    await exchange.wait(LONGEST)
    abort(exchange.scope)


async def drip(exchange: Exchange, seconds: float) -> None:
    """Sends the honest answer a byte at a time, with so long a pause before each."""
    status, headers, body = await exchange.held()
    await exchange.start(status, headers)
    for place in range(len(body)):
        await exchange.wait(seconds)
        await exchange.body(body[place : place + 1], more=place + 1 < len(body))
    if not body:
        await exchange.body(b"")


async def reset(exchange: Exchange) -> None:
    """Resets the connection instead of answering."""
    abort(exchange.scope)


async def cut_short(exchange: Exchange) -> None:
    """Announces the honest answer, sends half of it and hangs up."""
    status, headers, body = await exchange.held()
    await exchange.start(status, headers)
    await exchange.body(body[: len(body) // 2], more=True)
    hang_up(exchange.scope)


async def http_error(exchange: Exchange, status: int) -> None:
    """Answers with an HTTP error."""
    await exchange.reply(b"This responder misbehaves as it was told to.\n", "text/plain; charset=utf-8", status)


async def html(exchange: Exchange) -> None:
    """Answers with a captive portal's page, HTTP status 200 and the type text/html."""
    await exchange.reply(HTML, "text/html")


async def wrong_content_type(exchange: Exchange) -> None:
    """Sends the honest answer as text/plain."""
    _, _, body = await exchange.held()
    await exchange.reply(body, "text/plain; charset=utf-8")


async def huge(exchange: Exchange, size: int) -> None:
    """Sends so many bytes of nothing in the place of an answer, without announcing how many."""
    media_type = CRL if exchange.request.kind == "crl" else OCSP_RESPONSE
    await exchange.start(200, [(b"content-type", media_type.encode())])
    sent = 0
    while sent < size:
        await exchange.wait(0)
        await exchange.body(_CHUNK[: size - sent], more=True)
        sent += len(_CHUNK)
    await exchange.body(b"")


async def redirect_loop(exchange: Exchange) -> None:
    """Redirects to where the client is already."""
    extra = [(b"location", exchange.scope["raw_path"])]
    await exchange.reply(b"", "text/plain; charset=utf-8", 307, extra)


async def flapping(exchange: Exchange, seed: str) -> None:
    """Is up or down, five seconds at a time, by a schedule that follows from the seed; down means a reset."""
    if is_down(seed, exchange.elapsed):
        abort(exchange.scope)
    else:
        await exchange.honest(exchange.send)


def is_down(seed: str, elapsed: float) -> bool:
    """Whether a flapping responder is down so many seconds after it began."""
    return hashlib.sha256(f"{seed}\0{int(elapsed // FLAP)}".encode()).digest()[0] % 2 == 1


async def clock_wrong(exchange: Exchange, seconds: float) -> None:
    """Signs honestly by a clock that is off by so much, ahead or, with a minus, behind."""
    await _from_register(exchange, offset=timedelta(seconds=seconds))


async def expiring(exchange: Exchange, seconds: float) -> None:
    """Gives honest answers that live no longer than this, a second at least."""
    await _from_register(exchange, valid_for=timedelta(seconds=seconds))


async def delegate_dies(exchange: Exchange, seconds: float) -> None:
    """Signs by a delegate whose certificate ends so long after the start, and goes on signing with it."""
    body = None
    if exchange.question is not None:
        body = exchange.forger.by_dying_delegate(exchange.question, exchange.at, timedelta(seconds=seconds))
    await _forged(exchange, body, OCSP_RESPONSE)


async def ocsp_mutation(exchange: Exchange, mutation: str) -> None:
    """Gives an OCSP response with one thing wrong."""
    body = None
    if exchange.question is not None:
        body = exchange.forger.ocsp(mutation, exchange.question, exchange.at)
    await _forged(exchange, body, OCSP_RESPONSE)


async def crl_mutation(exchange: Exchange, mutation: str) -> None:
    """Gives a CRL with one thing wrong."""
    body = None if exchange.crl is None else exchange.forger.crl(mutation, exchange.crl, exchange.at)
    await _forged(exchange, body, CRL)


async def nothing(exchange: Exchange) -> None:
    """Answers honestly: what there is to do wrong is not a responder's to do."""
    await exchange.honest(exchange.send)


async def _forged(exchange: Exchange, body: bytes | None, media_type: str) -> None:
    """Send it; where there is none, for what is not ours to speak of, the honest responder says so."""
    if body is None:
        await exchange.honest(exchange.send)
    else:
        await exchange.reply(body, media_type)


async def _from_register(exchange: Exchange, **how: timedelta) -> None:
    def ask(register: RegisterAnswers, at: datetime) -> Reply | None:
        if exchange.question is not None:
            return register.answer(exchange.question, at)
        return None if exchange.crl is None else register.crl(exchange.crl, at)

    reply = exchange.forger.told_at(ask, exchange.at, **how)
    if reply is None or reply.why is not None:
        await exchange.honest(exchange.send)
    else:
        await exchange.reply(reply.body, reply.media_type)
