"""The strict client over sockets: connect, reach the verdict, fetch where the policy asks, and only then talk."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self, Unpack

from mustaple.core.errors import NetworkError, RefusedError
from mustaple.core.verdict import Outcome
from mustaple.net.approach import Plan
from mustaple.net.dial import Deadline, dial, network_errors, unreachable
from mustaple.net.engines import Engine, only_rfc6961_can_tell
from mustaple.net.settings import Call

if TYPE_CHECKING:
    from datetime import datetime

    from mustaple.core.flight import Flight
    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.approach import Approach
    from mustaple.net.engines import AnyClientTLS
    from mustaple.net.settings import Options, Target

_CHUNK: Final = 1 << 16


class Connection:
    """A TLS connection whose verdict is reached; `send` and `recv` work only where it accepts.

    Its errors are NetworkError, a timeout included, and RefusedError. Not to be used by two threads at once.
    """

    def __init__(self, sock: socket.socket, tls: AnyClientTLS, verdict: ChainVerdict, peer: str) -> None:
        self.verdict = verdict
        self._socket = sock
        self._tls = tls
        self._peer = peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def flight(self) -> Flight | None:
        """What the server sent in its handshake; None where the policy asked for no staple."""
        return self._tls.flight

    def fileno(self) -> int:
        """The socket's file descriptor, -1 once closed."""
        return self._socket.fileno()

    def settimeout(self, timeout: float | None) -> None:
        """Bound each later wait for the network, in seconds; None waits for ever."""
        self._socket.settimeout(timeout)

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._tls.write(data)
        self._flush()

    def send(self, data: bytes) -> int:
        """Send all of it, and say how many bytes that was."""
        self.sendall(data)
        return len(data)

    def recv(self, limit: int = _CHUNK) -> bytes:
        """At most `limit` bytes; empty once the server has said that it is done. A stream cut off is a NetworkError."""
        while (data := self._tls.read(limit)) is None:
            with network_errors(self._peer):
                received = self._socket.recv(_CHUNK)
            self._tls.receive(received)
            self._flush()
        return data

    def close(self) -> None:
        """Say close_notify if the connection was good, and close the socket; again does nothing."""
        if self._socket.fileno() < 0:
            return
        try:
            self._tls.close()
            self._socket.sendall(self._tls.to_send())
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server is gone already, and nobody waits for these bytes
        finally:
            self._socket.close()

    def _flush(self) -> None:
        waiting = self._tls.to_send()
        if waiting:
            with network_errors(self._peer):
                self._socket.sendall(waiting)


def connect(host: str, port: int, policy: Policy | str = "strict", **options: Unpack[Options]) -> Connection:
    """A connection that this policy accepts; otherwise RefusedError, whose `verdict` says which certificate and why.

    The options are the fields of `Target` and `Settings`: `ca`, `timeout`, `starttls`, `proxy` and the rest. `engine`
    is OpenSSL unless given, since the other is not for an application's traffic.

    Raises NetworkError where nobody answers, not in time, or not in TLS, and InputError for arguments of no use.
    """
    options.setdefault("engine", Engine.OPENSSL)
    call = Call.of(host, port, policy, options)
    plan, target = Plan(call.settings), call.target
    at = plan.moment()
    reached = _reach(plan, target, plan.engine, at)
    if plan.engine is Engine.AUTO and only_rfc6961_can_tell(reached.verdict, plan.policy):
        reached.sock.close()  # a server may serve one client at a time
        try:
            reached = _reach(plan, target, Engine.RFC6961, at)
        except NetworkError:
            # What OpenSSL saw stands then; a connection that is wanted further has to be made again.
            if reached.verdict.outcome is not Outcome.REFUSED:
                reached = _reach(plan, target, Engine.OPENSSL, at)
    return _admit(reached, plan, target)


def check(host: str, port: int, policy: Policy | str = "strict", **options: Unpack[Options]) -> ChainVerdict:
    """The verdict alone, also where it refuses; the connection is closed. All else is as in `connect`.

    `engine` is "auto" unless given. Where that needs a second handshake, the verdict is that of the second alone.
    """
    options.setdefault("engine", Engine.AUTO)
    try:
        with connect(host, port, policy, **options) as connection:
            return connection.verdict
    except RefusedError as refused:
        return refused.verdict


class _Reached(NamedTuple):
    """A handshake that came to a verdict, whatever it is; the socket is still open."""

    sock: socket.socket
    approach: Approach
    verdict: ChainVerdict


def _reach(plan: Plan, target: Target, engine: Engine, at: datetime) -> _Reached:
    approach = plan.start(target, engine, at)
    deadline = Deadline(plan.settings.timeout)
    host, port, peer = plan.dialled(target)
    sock = dial(host, port, deadline, wait=plan.settings.wait, peer=peer)
    try:
        return _Reached(sock, approach, _shake(sock, approach, deadline))
    except BaseException:
        sock.close()
        raise


def _shake(sock: socket.socket, approach: Approach, deadline: Deadline) -> ChainVerdict:
    try:
        while True:
            _send(sock, approach, deadline)
            if approach.verdict is not None:
                return approach.verdict
            deadline.bound(sock)
            received = sock.recv(_CHUNK)
            try:
                approach.receive(received)
            except NetworkError:
                with suppress(OSError):  # tell the server what was wrong; that it may be gone changes nothing
                    _send(sock, approach, deadline)
                raise
    except TimeoutError as error:
        raise approach.timed_out(deadline.seconds) from error
    except OSError as error:
        raise unreachable(approach.peer, error) from error


def _send(sock: socket.socket, approach: Approach, deadline: Deadline) -> None:
    waiting = approach.to_send()
    if waiting:
        deadline.bound(sock)
        sock.sendall(waiting)


def _admit(reached: _Reached, plan: Plan, target: Target) -> Connection:
    """Fetch what the verdict still wants, and let only an accepted connection pass."""
    sock, approach, verdict = reached
    try:
        if plan.unsettled(verdict):
            verdict = plan.settle(approach.tls, verdict)
        plan.report(target, approach, verdict)
        if verdict.accepted:
            sock.settimeout(plan.settings.timeout)
    except BaseException:
        sock.close()
        raise
    connection = Connection(sock, approach.tls, verdict, approach.peer)
    if not verdict.accepted:
        connection.close()
        raise RefusedError(verdict)
    return connection
