"""The strict client over sockets: connect, reach the verdict, fetch where the policy asks, and only then talk."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from cryptography import x509

from mustaple.core.errors import InputError, NetworkError, RefusedError
from mustaple.core.policy import Policy, preset
from mustaple.core.verdict import ChainVerdict, Outcome
from mustaple.net.dial import Deadline, dial, network_errors
from mustaple.net.engines import Engine, engine_named, only_rfc6961_can_tell, start
from mustaple.net.evidence import settle
from mustaple.net.service_name import service_name
from mustaple.net.tls_context import Identity, client_context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.net.engines import AnyClientTLS
    from mustaple.net.tls_context import Authorities, PathLike

TIMEOUT: Final = 10.0
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


def connect(
    host: str,
    port: int,
    policy: Policy | str = "strict",
    *,
    ca: Authorities | Iterable[Authorities] | None = None,
    server_name: str | None = None,
    address: tuple[str, int] | None = None,
    timeout: float = TIMEOUT,
    wait: float = 0.0,
    at: datetime | None = None,
    certificate: PathLike | None = None,
    key: PathLike | None = None,
    maximum: str | None = None,
    engine: Engine | str = Engine.OPENSSL,
) -> Connection:
    """A connection that this policy accepts; otherwise RefusedError, whose `verdict` says which certificate and why.

    `policy` is a `Policy` or the name of a preset. `ca` is what to trust: a file, a directory, a certificate, or
    several; None is the system's store. `server_name` is the name to ask for and to find in the certificate, `address`
    where to connect; both are `host` and `port` unless given. `timeout` bounds, in seconds, everything up to the end
    of the handshake, and once more all the fetches that the policy asks for after it; `wait` is how long a port that
    refuses is tried again. `at` (aware UTC) judges path and evidence at another time than now. `certificate` and `key`
    are PEM files with the client's own; `maximum` is "TLSv1.2" or "TLSv1.3". `engine` is OpenSSL, since the other is
    not for an application's traffic.

    Raises NetworkError where nobody answers, not in time, or not in TLS, and InputError for arguments of no use.
    """
    chosen, which = preset_or_policy(policy), engine_named(engine)
    identity = _identity(certificate, key)
    context = client_context(_authorities(ca), identity=identity, at=at, maximum=maximum)
    name = service_name(server_name if server_name is not None else host)
    moment = at if at is not None else datetime.now(UTC)

    def reach(engine: Engine) -> _Reached:
        tls = start(engine, context, name, chosen, moment, maximum=maximum, identity=identity)
        return _reach(tls, address if address is not None else (host, port), timeout, wait)

    reached = reach(which)
    if which is Engine.AUTO and only_rfc6961_can_tell(reached.verdict, chosen):
        reached.sock.close()  # a server may serve one client at a time
        try:
            reached = reach(Engine.RFC6961)
        except NetworkError:
            # What OpenSSL saw stands then; a connection that is wanted further has to be made again.
            reached = reached if reached.verdict.outcome is Outcome.REFUSED else reach(Engine.OPENSSL)
    return _admit(reached, chosen, timeout)


def check(
    host: str, port: int, policy: Policy | str = "strict", *, engine: Engine | str = Engine.AUTO, **options: Any
) -> ChainVerdict:
    """The verdict alone, also where it refuses; the connection is closed. All else is as in `connect`.

    Where `engine` is "auto" and a second handshake was needed, the verdict is that of the second alone.
    """
    try:
        with connect(host, port, policy, engine=engine, **options) as connection:
            return connection.verdict
    except RefusedError as refused:
        return refused.verdict


class _Reached(NamedTuple):
    """A handshake that came to a verdict, whatever it is; the socket is still open."""

    sock: socket.socket
    tls: AnyClientTLS
    verdict: ChainVerdict
    peer: str


def _reach(tls: AnyClientTLS, where: tuple[str, int], timeout: float, wait: float) -> _Reached:
    peer = f"{where[0]}:{where[1]}"
    deadline = Deadline(timeout)
    sock = dial(*where, deadline, wait=wait)
    try:
        return _Reached(sock, tls, _handshake(sock, tls, peer, deadline), peer)
    except BaseException:
        sock.close()
        raise


def _admit(reached: _Reached, policy: Policy, timeout: float) -> Connection:
    """Fetch what the verdict still wants, and let only an accepted connection pass."""
    sock, tls, verdict, peer = reached
    try:
        if verdict.outcome is Outcome.PENDING:
            verdict = settle(tls, verdict, policy, timeout)
        if verdict.accepted:
            sock.settimeout(timeout)
    except BaseException:
        sock.close()
        raise
    connection = Connection(sock, tls, verdict, peer)
    if not verdict.accepted:
        connection.close()
        raise RefusedError(verdict)
    return connection


def _handshake(sock: socket.socket, tls: AnyClientTLS, peer: str, deadline: Deadline) -> ChainVerdict:
    with network_errors(peer, deadline):
        while True:
            waiting = tls.to_send()
            if waiting:
                deadline.bound(sock)
                sock.sendall(waiting)
            if tls.verdict is not None:
                return tls.verdict
            deadline.bound(sock)
            received = sock.recv(_CHUNK)
            try:
                tls.receive(received)
            except NetworkError as error:
                _send_alert(sock, tls, deadline)
                raise NetworkError(f"{peer}: {error}") from error


def _send_alert(sock: socket.socket, tls: AnyClientTLS, deadline: Deadline) -> None:
    """Tell the server what was wrong with its handshake; that it may be gone changes nothing."""
    with suppress(OSError):
        deadline.bound(sock)
        sock.sendall(tls.to_send())


def preset_or_policy(policy: Policy | str) -> Policy:
    """The policy itself, or the preset of that name; InputError where there is none."""
    if isinstance(policy, Policy):
        return policy
    try:
        return preset(policy)
    except KeyError as error:
        raise InputError(str(error.args[0])) from None


def _authorities(ca: Authorities | Iterable[Authorities] | None) -> tuple[Authorities, ...] | None:
    if ca is None:
        return None
    if isinstance(ca, str | os.PathLike | x509.Certificate):
        return (ca,)
    return tuple(ca)


def _identity(certificate: PathLike | None, key: PathLike | None) -> Identity | None:
    """The client's own certificate; a key that is not named is looked for in the certificate's file."""
    if certificate is None:
        if key is not None:
            raise InputError("A client's key is of no use without its certificate.")
        return None
    return Identity(os.fspath(certificate), os.fspath(key if key is not None else certificate))
