"""A TLS server of a CA directory's certificate whose staples and connections misbehave as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mustaple.lab.misbehaviour.catalogue import NO_STAPLE, SERVER
from mustaple.lab.misbehaviour.control import ControlServer
from mustaple.lab.misbehaviour.exchange import LONGEST
from mustaple.lab.misbehaviour.forger import Forger
from mustaple.lab.misbehaviour.front import MAX_CONNECTIONS, Front
from mustaple.lab.misbehaviour.grammar import Request
from mustaple.lab.misbehaviour.plan import Plan
from mustaple.lab.misbehaviour.serving import check_reach
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import listen, url_of
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from certtools.chain import Link


class MisbehavingStapler(Lifespan):
    """A server for the certificates of `links`, leaf first, with staples by the keys of a CA directory.

        with MisbehavingStapler(folder, chain.links, key, ["revoked@every=2"], port=0) as server:
            connect_to(server.port)

    What is told of staples is about the leaf's, of which a handshake that asks for one is a request. The other
    certificates' are honest, or there are none where `leaf_only`. What is told of connections happens to them once the
    client has begun to speak. `plan` changes it while it runs; with `control`, a port (0: a free one), so does HTTP at
    `control_url`, always on loopback. `i_know` allows addresses that other machines can reach. `now` is the time in
    aware UTC, `monotonic` counts seconds, `pause` waits for some. The other arguments are `ChainStaplingServer`'s.

    Raises InputError for a misbehaviour that there is not or that is a responder's, and for an address that cannot be
    listened on, CaDirError for a folder that is no CA directory.
    """

    def __init__(
        self,
        folder: Path,
        links: Sequence[Link],
        key: PrivateKeyTypes,
        misbehave: Iterable[str],
        *,
        leaf_only: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        i_know: bool = False,
        control: int | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **how: Any,
    ) -> None:
        self.plan = Plan(misbehave, monotonic, SERVER)
        self._links = tuple(links)
        self._leaf_only = leaf_only
        self._now = now
        self._lock = threading.Lock()  # each connection has a thread, and all of them one forger
        check_reach(host, i_know=i_know)
        with contextlib.ExitStack() as stack:
            self._forger = Forger(folder, now())
            stack.callback(self._forger.close)
            listener = stack.enter_context(listen(host, port, expose=i_know))
            self._server = ChainStaplingServer(
                [link.subject for link in self._links],
                key,
                self._staples,
                handshake_timeout=LONGEST,
                max_connections=MAX_CONNECTIONS,
                **how,
            )
            stack.callback(self._server.close)
            self._front = Front(listener, (self._server.host, self._server.port), self.plan, pause)
            stack.callback(self._front.close)
            self._control: ControlServer | None = None
            if control is not None:
                self._control = ControlServer(self.plan, control)
                stack.callback(self._control.close)
            self._closing = stack.pop_all()
        self.host, self.port = listener.getsockname()[:2]
        self.url = url_of(listener, "https") + "/"
        self.control_url = None if self._control is None else self._control.url

    def start(self) -> None:
        """Serve from now on. Raises NetworkError where it does not come up."""
        self._server.start()
        self._front.start()
        if self._control is not None:
            self._control.start()

    def close(self) -> None:
        """End every connection and free the ports. Safe to call twice."""
        self._closing.close()

    def _staples(self) -> list[bytes | None]:
        """What this handshake gets, in the connection's thread."""
        at, leaf = self._now(), self._links[0]
        chosen = self.plan.choose(Request("staple", frozenset({leaf.serial_number}))).misbehaviour
        name = None if chosen is None else chosen.behaviour.name
        rest = () if self._leaf_only else self._links[1:]
        with self._lock:
            first = None if name == NO_STAPLE else self._forger.staple(name, leaf, at)
            return [first, *(self._forger.staple(None, link, at) for link in rest)]
