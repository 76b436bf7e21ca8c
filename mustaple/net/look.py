"""One look at what a server sends in a handshake, by each TLS library, demanding nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from OpenSSL import SSL

from mustaple.core.errors import Alert, NetworkError, WireError
from mustaple.core.flight import MAX_FLIGHT_BYTES, Flight, read_flight, read_messages
from mustaple.core.wire import STATUS_REQUEST, STATUS_REQUEST_V2
from mustaple.net.dial import Deadline, dial, network_errors
from mustaple.net.tls_context import ClientContext
from mustaple.net.tls_errors import explain, path_error

if TYPE_CHECKING:
    import socket

    from OpenSSL import crypto

_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Look:
    """What a server showed to one ClientHello, which offered this protocol alone and these extensions for a status.

    Without a `flight`, `problem` says why there is none; with one, what ended the handshake after it, if anything did.
    """

    protocol: str
    engine: str
    offered: frozenset[int]
    flight: Flight | None
    problem: str | None


class Lenient:
    """Lets OpenSSL go on whatever it finds, and keeps what it said: the `Observer` of a connection nobody relies on."""

    def __init__(self) -> None:
        self.secret: bytes | None = None
        self.path_problem: str | None = None

    def on_secret(self, secret: bytes) -> None:
        """Keep the secret that opens the server's handshake records."""
        self.secret = secret

    def on_certificate(self, certificate: crypto.X509, error: int, depth: int, *, ok: bool) -> bool:
        """Keep the first thing that is wrong with the path."""
        if not ok and self.path_problem is None:
            self.path_problem = path_error(certificate, error, depth)
        return True

    def on_status(self, _connection: SSL.Connection) -> bool:
        """Nothing: the staples are read from the flight afterwards."""
        return True


def look_tls13(where: tuple[str, int], name: bytes | None, deadline: Deadline) -> Look:
    """TLS 1.3 by OpenSSL, which knows more of what servers may choose. NetworkError where nobody answers at all."""
    context = ClientContext(())
    context.openssl.set_min_proto_version(SSL.TLS1_3_VERSION)
    offered, observer, tls = frozenset({STATUS_REQUEST}), Lenient(), SSL.Connection(context.openssl)
    tls.set_app_data(observer)
    tls.set_connect_state()
    tls.request_ocsp()
    if name is not None:
        tls.set_tlsext_host_name(name)
    captured, problem, flight = bytearray(), None, None
    with dial(*where, deadline) as sock:
        try:
            _shake(sock, tls, captured, deadline)
        except SSL.Error as error:
            problem = explain(error)
        except NetworkError as error:
            problem = str(error)
    try:
        flight = read_flight(bytes(captured), secret=observer.secret, offered=offered)
    except WireError as error:
        problem = problem or str(error)
    return Look("TLSv1.3", "openssl", offered, flight, problem)


def _shake(sock: socket.socket, tls: SSL.Connection, captured: bytearray, deadline: Deadline) -> None:
    """The handshake, and a polite end; `captured` grows by what the server sends."""
    with network_errors("the server", deadline):
        while True:
            try:
                tls.do_handshake()
                tls.shutdown()
            except SSL.WantReadError:
                _send(sock, tls, deadline)
            except SSL.Error:
                _send(sock, tls, deadline)  # the alert that says what was wrong
                raise
            else:
                _send(sock, tls, deadline)
                return
            deadline.bound(sock)
            received = sock.recv(_CHUNK)
            captured += received  # OpenSSL itself bounds each message, and how many that say nothing
            if received:
                tls.bio_write(received)
            else:
                tls.bio_shutdown()


def _send(sock: socket.socket, tls: SSL.Connection, deadline: Deadline) -> None:
    while True:
        try:
            waiting = tls.bio_read(_CHUNK)
        except SSL.WantReadError:
            return
        deadline.bound(sock)
        sock.sendall(waiting)


class _Witness:
    """The judge of the stapling engine's client that keeps the server's messages, and ends nothing but a flood."""

    offered = frozenset({STATUS_REQUEST, STATUS_REQUEST_V2})

    def __init__(self) -> None:
        self.messages = bytearray()

    def on_message(self, message: bytes, version: tuple[int, int]) -> None:  # noqa: ARG002 - as the engine calls it
        """Keep it."""
        self.messages += message
        if len(self.messages) > MAX_FLIGHT_BYTES:
            raise WireError(f"the server's flight is longer than {MAX_FLIGHT_BYTES} bytes", Alert.HANDSHAKE_FAILURE)

    def on_flight(self) -> None:
        """Nothing: the flight is read afterwards."""


def look_tls12(where: tuple[str, int], name: bytes | None, deadline: Deadline) -> Look:
    """TLS 1.2 by the stapling engine, the one that can ask for every certificate's staple in it (RFC 6961).

    That nobody answers is a problem like any other here: it is asked after the other, which somebody answered.
    """
    # A slow import.
    from mustaple.net.stapling_session import TimedSocket
    from mustaple.net.tls_chain import explain as explain_chain
    from mustaple.net.tls_rfc6961 import ClientEnd
    from mustaple.net.tlslite_ng import settings

    witness, problem, flight = _Witness(), None, None
    try:
        with dial(*where, deadline) as sock:
            client: Any = ClientEnd(TimedSocket(sock, deadline), witness, name)
            client.handshakeClientCert(settings=settings("1.2", "1.2"), reqTack=False)
            client.close()
    except NetworkError as error:
        problem = str(error)
    except TimeoutError:
        problem = f"the server did not answer within {deadline.seconds:g} s"
    except Exception as error:  # noqa: BLE001 - tlslite-ng raises all kinds over hostile bytes, and all are told
        problem = explain_chain(error)
    try:
        flight = read_messages(bytes(witness.messages), offered=witness.offered)
    except WireError as error:
        problem = problem or str(error)
    return Look("TLSv1.2", "rfc6961", witness.offered, flight, problem)
