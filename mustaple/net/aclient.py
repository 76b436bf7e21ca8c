"""The strict client for asyncio: the same approach, the same verdicts, no thread but for names and fetches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self, Unpack

from mustaple.core.errors import NetworkError, RefusedError
from mustaple.core.verdict import Outcome
from mustaple.net.approach import Plan
from mustaple.net.dial import adial
from mustaple.net.engines import Engine, only_rfc6961_can_tell
from mustaple.net.settings import Call
from mustaple.net.wire import Wire

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from datetime import datetime

    from mustaple.core.flight import Flight
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.settings import Options, Target

_CHUNK: Final = 1 << 16


class AsyncConnection:
    """A TLS connection whose verdict accepts it, for one task that reads and one that writes.

    Its errors are NetworkError, and TimeoutError where the caller sets one with `asyncio.timeout`.
    """

    def __init__(self, wire: Wire, verdict: ChainVerdict) -> None:
        self.verdict = verdict
        self._wire = wire

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def flight(self) -> Flight | None:
        """What the server sent in its handshake; None where the policy asked for no staple."""
        return self._wire.approach.tls.flight

    async def send(self, data: bytes) -> None:
        """Send all of it; it waits where the server does not read."""
        await self._wire.send(data)

    async def recv(self, limit: int = _CHUNK) -> bytes:
        """At most `limit` bytes; empty once the server has said that it is done. A stream cut off is a NetworkError."""
        return await self._wire.receive(limit)

    async def close(self) -> None:
        """Say close_notify and close the connection; again does nothing."""
        await self._wire.close()


async def aconnect(
    host: str, port: int, policy: Policy | str = "strict", **options: Unpack[Options]
) -> AsyncConnection:
    """`mustaple.connect` for asyncio: the same arguments, refusals and errors."""
    options.setdefault("engine", Engine.OPENSSL)
    call = Call.of(host, port, policy, options)
    wire, verdict = await areach(Plan(call.settings), call.target)
    if not verdict.accepted:
        await wire.close()
        raise RefusedError(verdict)
    wire.flush()
    return AsyncConnection(wire, verdict)


async def acheck(host: str, port: int, policy: Policy | str = "strict", **options: Unpack[Options]) -> ChainVerdict:
    """`mustaple.check` for asyncio: the verdict alone, also where it refuses; the connection is closed."""
    options.setdefault("engine", Engine.AUTO)
    call = Call.of(host, port, policy, options)
    wire, verdict = await areach(Plan(call.settings), call.target)
    wire.leave()
    return verdict


async def areach(plan: Plan, target: Target, executor: Executor | None = None) -> tuple[Wire, ChainVerdict]:
    """A connection to the target, still open, and its final verdict, whatever that is; `flush` completes the handshake.

    What the policy wants fetched is fetched in a thread of the executor. Raises NetworkError and InputError.
    """
    at = plan.moment()
    wire, verdict = await _shake(plan, target, plan.engine, at)
    if plan.engine is Engine.AUTO and only_rfc6961_can_tell(verdict, plan.policy):
        wire.leave()  # a server may serve one client at a time
        try:
            wire, verdict = await _shake(plan, target, Engine.RFC6961, at)
        except NetworkError:
            # What OpenSSL saw stands then; a connection that is wanted further has to be made again.
            if verdict.outcome is not Outcome.REFUSED:
                wire, verdict = await _shake(plan, target, Engine.OPENSSL, at)
    if plan.unsettled(verdict):
        wire.flush()  # the server does not wait for ever
        loop = asyncio.get_running_loop()
        try:
            verdict = await loop.run_in_executor(executor, plan.settle, wire.approach.tls, verdict)
        except BaseException:
            wire.leave()
            raise
    plan.report(target, wire.approach, verdict)
    return wire, verdict


async def _shake(plan: Plan, target: Target, engine: Engine, at: datetime) -> tuple[Wire, ChainVerdict]:
    approach = plan.start(target, engine, at)
    loop = asyncio.get_running_loop()
    wire = Wire(approach, loop)
    host, port, peer = plan.dialled(target)
    dialled = await adial(host, port, plan.settings.timeout, wait=plan.settings.wait, peer=peer)
    try:
        async with asyncio.timeout_at(dialled.until):
            await loop.create_connection(lambda: wire, sock=dialled.sock)
            return wire, await wire.reached
    except BaseException as error:
        wire.abort()
        if isinstance(error, TimeoutError):
            raise approach.timed_out(plan.settings.timeout) from error
        raise
