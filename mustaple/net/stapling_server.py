"""A TLS server that staples any bytes for any certificate of its chain, and records what its clients did about it."""

from __future__ import annotations

import queue
import selectors
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import listen, url_of
from mustaple.net.stapling_session import ChainConnectionRecord, Session
from mustaple.net.tls_session import Ended, checked_header, hand_over, next_record
from mustaple.net.tlslite_ng import Credentials, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from mustaple.core.offer import Staples

__all__ = ["ChainConnectionRecord", "ChainStaplingServer", "Ended"]

HANDSHAKE_TIMEOUT: Final = 10.0  # seconds for the handshake, and again for the request
MAX_CONNECTIONS: Final = 64  # each has a thread of its own
_KEPT_RECORDS: Final = 1000
_BREATH: Final = 0.05  # seconds
_JOIN: Final = 30.0  # seconds that closing waits for a thread


class ChainStaplingServer(Lifespan):
    """A server for this chain and key, each connection in a thread of its own; a context manager.

        with ChainStaplingServer(chain, key, [leaf_staple, intermediate_staple]) as server:
            connect_to(server.port)
        server.records[0].alert  # 113: the client refused a staple

    `chain` is sent as it is, leaf first, without the root by custom. `staples` are in its order, any bytes whatever,
    None for a certificate without; or a function that gives them when a client asks, in the connection's thread. They
    may be replaced while the server runs. An honest server has one for each certificate sent; a list of another length
    goes out as it is, empty bytes as an empty response, and all None means nothing to staple.

    It follows the offer: nothing unsolicited; in TLS 1.2 `ocsp_multi` or `ocsp` as extension 17 asks, else the leaf's
    staple for extension 5; in TLS 1.3 each certificate's own, for extension 5 alone. Sessions are never resumed.
    `minimum` and `maximum` are "1.2" or "1.3"; timeouts are in seconds, one for the whole handshake and one for the
    request. `on_event` gets each connection's record, in its thread, when it has ended. `host`, `port` and `url` say
    where it listens. `expect_staple` is the value of the Expect-Staple header that it sends with its page, None for
    none.

    Raises InputError for a key that is not the certificate's or that tlslite-ng does not know, for a header that
    clients would ignore, and for an address that cannot be listened on.
    """

    def __init__(
        self,
        chain: Sequence[x509.Certificate],
        key: PrivateKeyTypes,
        staples: Staples | Callable[[], Staples] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        expose: bool = False,
        minimum: str = "1.2",
        maximum: str = "1.3",
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        on_event: Callable[[ChainConnectionRecord], None] | None = None,
        page: Callable[[ChainConnectionRecord], bytes] | None = None,
        expect_staple: str | None = None,
    ) -> None:
        self.staples = staples
        self._expect_staple = checked_header(expect_staple)
        self.records: deque[ChainConnectionRecord] = deque(maxlen=_KEPT_RECORDS)
        self._credentials = Credentials(chain, key)
        self._settings = settings(minimum, maximum)
        self._timeout = handshake_timeout
        self._free = threading.Semaphore(max_connections)
        self._on_event = on_event
        self._page = page or _page
        self._ended: queue.SimpleQueue[ChainConnectionRecord] = queue.SimpleQueue()
        self._sessions: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="mustaple-stapling-server", daemon=True)
        try:
            self._listener = listen(host, port, expose=expose)
        except BaseException:
            self._wake.close()
            self._woken.close()
            raise
        self._listener.settimeout(0)
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = url_of(self._listener, "https") + "/"

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def close(self) -> None:
        """End every connection and free the port. Safe to call twice."""
        self._closing.set()
        with suppress(OSError):  # closed already
            self._wake.send(b"\0")
        if self._thread.is_alive():
            self._thread.join(_JOIN)
        with self._lock:
            open_still = tuple(self._sessions.items())
        for thread, sock in open_still:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN)
        for each in (self._listener, self._wake, self._woken):
            each.close()

    def next_record(self, timeout: float = 30.0) -> ChainConnectionRecord:
        """The next connection that ended, waiting for it. Raises NetworkError after `timeout` seconds."""
        return next_record(self._ended, self.url, timeout)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closing.is_set():
                selector.select()
                try:
                    accepted = self._listener.accept()
                except BlockingIOError:
                    continue  # the client is gone again
                except OSError:
                    self._closing.wait(_BREATH)  # the system is out of descriptors
                    continue
                self._admit(*accepted)

    def _admit(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        record = ChainConnectionRecord(f"{peer[0]}:{peer[1]}")
        if not self._free.acquire(blocking=False):
            sock.close()
            record.ended = Ended.TURNED_AWAY
            self._tell(record)
            return
        thread = threading.Thread(target=self._serve, args=(sock, record), name="mustaple-stapling", daemon=True)
        with self._lock:
            self._sessions[thread] = sock
        thread.start()

    def _serve(self, sock: socket.socket, record: ChainConnectionRecord) -> None:
        try:
            with sock:
                session = Session(sock, record, self._credentials, self._give, self._timeout)
                session.run(self._settings, self._page, self._expect_staple)
                self._tell(record)
                session.linger()
        finally:
            self._free.release()
            with self._lock:
                del self._sessions[threading.current_thread()]

    def _give(self) -> Staples:
        return self.staples() if callable(self.staples) else self.staples

    def _tell(self, record: ChainConnectionRecord) -> None:
        self.records.append(record)
        hand_over(record, self._ended, _KEPT_RECORDS)
        if self._on_event is not None:
            self._on_event(record)


def _page(record: ChainConnectionRecord) -> bytes:
    lines = ["This is the chain stapling server of mustaple."]
    if record.carrier is None:
        why = "nothing" if record.offered else "nothing, because your client did not ask for it"
        lines.append(f"You came over {record.protocol}, and it stapled {why}.")
    else:
        lines.append(f"You came over {record.protocol}, and it stapled as {record.carrier}:")
        for place, staple in enumerate(record.sent):
            said = f"an OCSP response of {len(staple)} bytes" if staple else "nothing"
            lines.append(f"  certificate {place}: {said}")
    return ("\n".join(lines) + "\n").encode()
