"""A TLS server of corpus cases on loopback, with the CA's responder behind it, and a record of what clients did."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core.errors import InputError
from mustaple.lab.cases import cases as all_cases
from mustaple.lab.cases import find
from mustaple.lab.live.authority import CaseAuthority
from mustaple.lab.live.connection import Connection
from mustaple.lab.live.ground import Ground
from mustaple.lab.live.stock import Stock, host_of
from mustaple.lab.live.visit import Visit, page
from mustaple.net.lifespan import LoopServer
from mustaple.net.listen import listen, url_of
from mustaple.net.responder import RequestLog
from mustaple.net.responder.serving import AppRunner
from mustaple.net.tls_session import Ended, hand_over, next_record

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from cryptography import x509

    from mustaple.lab.cases import Case, Setup
    from mustaple.lab.live.stock import Served
    from mustaple.lab.live.visit import HTTPRequest

HANDSHAKE_TIMEOUT: Final = 10.0  # seconds for the handshake, and again for the request
MAX_CONNECTIONS: Final = 512
HONEST: Final = "control/all-well"
LOCALHOST: Final = "localhost"
_KEPT_RECORDS: Final = 5000


class CaseServer(LoopServer):
    """Serves cases of the corpus, all of them unless told which; a context manager.

        with CaseServer() as server:
            connect_to(*server.address(find("freshness/expired")), trusting=server.ca_pem)

    On `port` the name that a client asks for (SNI) chooses the case: `host_of(case)`; `localhost`, or no name, meets
    the case `nameless`, an honest server unless given, and any other name the alert unrecognized_name. With
    `a_port_each` every case also has a port of its own, on which its certificate is for `localhost`; with `first_port`
    these are that port and those that follow, in the order of `cases`. Where `max_connections` are open, the client
    that has been silent longest makes room for the next; who has spoken stays. Situations are made when the first
    client asks, and anew as time passes, so a case stays what it is however long the server runs. TLS 1.2 and 1.3 are
    tlslite-ng's, for tests and probes.

    `answer` makes the whole HTTP response for a request (None: what came was none) and the visit so far; it runs in
    the server's thread. `on_event` gets each visit when it has ended. `ground` is what everything is issued under.
    `ca_url`, with a slash at its end, is where certificates say that the responder is, if that is not where it listens.
    `clock` says what time it is, in aware UTC. Timeouts are in seconds. `responder_log` tells who asked the CA.

    Raises InputError for an address that cannot be listened on, or two cases of one host name.
    """

    def __init__(
        self,
        cases: Iterable[Case] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        expose: bool = False,
        a_port_each: bool = False,
        first_port: int | None = None,
        nameless: Case | None = None,
        answer: Callable[[HTTPRequest | None, Visit], bytes] = page,
        on_event: Callable[[Visit], None] | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        ground: Ground | None = None,
        ca_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.cases = tuple(all_cases() if cases is None else cases)
        self.records: deque[Visit] = deque(maxlen=_KEPT_RECORDS)
        self.responder_log = RequestLog()
        self._by_host = {host_of(case): case for case in self.cases}
        if len(self._by_host) < len(self.cases):
            raise InputError("two of these cases have the same host name")
        self._honest = find(HONEST)
        self._nameless = nameless
        self._answer = answer
        self._on_event = on_event
        self._timeout = handshake_timeout
        self._most = max_connections
        self._ground = ground if ground is not None else Ground(clock())
        self._ended: queue.SimpleQueue[Visit] = queue.SimpleQueue()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._silent: dict[asyncio.Task[None], Visit] = {}  # those that have not said whom they want, oldest first
        super().__init__("mustaple-case-server")
        with contextlib.ExitStack() as stack:
            self._listener = stack.enter_context(listen(host, port, expose=expose))
            self._own: dict[int, tuple[Case, socket.socket]] = {}
            for place, case in enumerate(self.cases if a_port_each or first_port is not None else ()):
                number = first_port + place if first_port else 0
                own = stack.enter_context(listen(host, number, expose=expose, option="--ports"))
                self._own[own.getsockname()[1]] = (case, own)
            # Clients fetch from where they are served, so the responder is as reachable as the server.
            authority = stack.enter_context(listen(host, 0, expose=expose))
            self._responder = AppRunner(CaseAuthority(lambda: self._stock, self.responder_log), authority)
            self._closing = stack.pop_all()
        self.host, self.port = self._listener.getsockname()[:2]
        self.url = url_of(self._listener, "https") + "/"
        self.responder_url = url_of(authority, "http") + "/"
        self._ports = {case.id: number for number, (case, _) in self._own.items()}
        self._stock = Stock(self._ground, ca_url or self.responder_url, clock)

    @property
    def root(self) -> x509.Certificate:
        """What clients have to trust, for all cases but those that `trusted` says more of."""
        return self._ground.root.certificate

    @property
    def ca_pem(self) -> bytes:
        """The same as PEM."""
        return self.root.public_bytes(Encoding.PEM)

    def address(self, case: Case) -> tuple[str, int]:
        """The host name by which the case is found on the common port. The name need not be in any DNS."""
        return host_of(case), self.port

    def own_address(self, case: Case) -> tuple[str, int]:
        """`localhost` and the case's own port. Raises InputError where there are no such ports."""
        if case.id not in self._ports:
            raise InputError(f"{case.id} has no port of its own here")
        return LOCALHOST, self._ports[case.id]

    @property
    def has_own_ports(self) -> bool:
        """Whether every case has a port of its own."""
        return bool(self._ports)

    def url_of(self, case: Case) -> str:
        """The case's page on the common port."""
        return f"https://{host_of(case)}:{self.port}/"

    def setup(self, case: Case, name: str | None = None) -> Setup:
        """The situation that a client meets now that asks for `name`, the case's host unless given."""
        return self._stock.order(case, name or host_of(case)).result().setup

    def trusted(self, case: Case, name: str | None = None) -> x509.Certificate:
        """What a client of this case is to trust: the root, but for the few cases with an anchor of their own."""
        return self.setup(case, name).trusted

    def meet_nameless(self, case: Case) -> None:
        """From now on, serve this case to clients that ask for `localhost` or no name."""
        self._nameless = case

    def next_record(self, timeout: float = 30.0) -> Visit:
        """The next visit that ended, waiting for it. Raises NetworkError after `timeout` seconds."""
        return next_record(self._ended, self.url, timeout)

    def start(self) -> None:
        """Accept connections from now on. Raises NetworkError where the server does not come up."""
        self._responder.start()
        super().start()

    def close(self) -> None:
        """End every connection and free the ports. Safe to call twice."""
        super().close()
        self._responder.close()
        self._stock.close()
        self._closing.close()

    async def _listen(self) -> list[asyncio.Server]:
        listeners = (self._listener, *(own for _, own in self._own.values()))
        return [await asyncio.start_server(self._accept, sock=listener.dup()) for listener in listeners]

    async def _hang_up(self) -> None:
        for task, writer in tuple(self._open.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, own = writer.get_extra_info("peername") or ("?", 0), writer.get_extra_info("sockname")
        visit = Visit(f"{peer[0]}:{peer[1]}", port=own[1] if own else self.port)
        if len(self._open) >= self._most and not self._make_room():
            visit.ended = Ended.TURNED_AWAY
            writer.transport.abort()
            self._tell(visit)
            return
        task = asyncio.ensure_future(self._attend(reader, writer, visit))
        self._open[task] = writer
        self._silent[task] = visit
        task.add_done_callback(self._leave)

    def _make_room(self) -> bool:
        """Send the client away that has been silent longest; False where everybody has spoken."""
        for task, visit in self._silent.items():
            visit.ended = Ended.TURNED_AWAY
            del self._silent[task]
            task.cancel()
            return True
        return False

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._silent.pop(task, None)
        self._open.pop(task).transport.abort()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: Visit) -> None:
        task = asyncio.current_task()

        async def choose(name: str | None) -> Served | None:
            if task is not None:
                self._silent.pop(task, None)
            return await self._choose(name, visit)

        connection = Connection(reader, writer, visit, choose=choose, answer=self._answer, timeout=self._timeout)
        try:
            await connection.run()
        finally:
            self._tell(visit)
        await connection.linger()

    async def _choose(self, name: str | None, visit: Visit) -> Served | None:
        """The situation for a client that asks for `name` where it came to; None where nobody is called so."""
        own = self._own.get(visit.port)
        case = self._by_host.get(name or "")
        if own is not None:
            visit.case = own[0]
            asked = name if name is not None and case is own[0] else LOCALHOST
        elif case is not None:
            visit.case, asked = case, name or LOCALHOST
        elif name in {None, LOCALHOST}:
            visit.case, asked = self._nameless, LOCALHOST
        else:
            return None
        return await asyncio.wrap_future(self._stock.order(visit.case or self._honest, asked))

    def _tell(self, visit: Visit) -> None:
        self.records.append(visit)
        hand_over(visit, self._ended, _KEPT_RECORDS)
        if self._on_event is not None:
            self._on_event(visit)
