"""A responder of a CA directory that misbehaves as it is told, and the endpoint that tells it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mustaple.core.errors import InputError
from mustaple.lab.misbehaviour.control import ControlServer
from mustaple.lab.misbehaviour.forger import Forger
from mustaple.lab.misbehaviour.middleware import Misbehaving
from mustaple.lab.misbehaviour.plan import Plan
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import is_loopback
from mustaple.net.responder import RequestLog, ResponderServer

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

MAX_CONNECTIONS = 512  # those beyond are told 503: some may be kept waiting for minutes


class MisbehavingResponder(Lifespan):
    """The responder of `ResponderServer.of_directory` with these misbehaviours around it; a context manager.

        with MisbehavingResponder(folder, ["slow=2s@every=3"], port=0) as responder:
            fetch_ocsp(link, url=responder.url)

    `plan` changes what it does while it runs; with `control`, a port (0: a free one), so does HTTP at `control_url`,
    always on loopback. `i_know` allows addresses that other machines can reach. `now` is the time in aware UTC,
    `monotonic` counts seconds, `pause` waits for some. The other arguments are those of `of_directory`.

    Raises InputError for a misbehaviour that there is not and an address that cannot be listened on, CaDirError for a
    folder that is no CA directory.
    """

    def __init__(
        self,
        folder: Path,
        misbehave: Iterable[str] = (),
        *,
        host: str = "127.0.0.1",
        i_know: bool = False,
        control: int | None = None,
        log: RequestLog | None = None,
        on_end: Callable[[], None] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **honest: Any,
    ) -> None:
        self.plan = Plan(misbehave, monotonic)
        check_reach(host, i_know=i_know)
        self.log = log if log is not None else RequestLog()
        self._control: ControlServer | None = None
        with contextlib.ExitStack() as stack:
            forger = Forger(folder, now())
            stack.callback(forger.close)

            outer: list[Misbehaving] = []

            def around(app: Any, base_path: str) -> Misbehaving:
                made = Misbehaving(app, self.plan, forger, base_path=base_path, log=self.log, now=now, pause=pause)
                outer.append(made)
                return made

            self._server = ResponderServer.of_directory(
                folder,
                host=host,
                expose=i_know,
                log=self.log,
                on_end=on_end,
                around=around,
                most_connections=MAX_CONNECTIONS,
                **honest,
            )
            stack.callback(self._server.close)
            stack.callback(outer[0].release)
            if control is not None:
                self._control = ControlServer(self.plan, control)
                stack.callback(self._control.close)
            self._closing = stack.pop_all()
        self.url, self.root = self._server.url, self._server.root
        self.control_url = None if self._control is None else self._control.url

    @property
    def ended(self) -> threading.Event:
        """Set when the responder has stopped, for whatever reason."""
        return self._server.ended

    def start(self) -> None:
        """Answer from now on. Raises NetworkError where a server does not come up."""
        self._server.start()
        if self._control is not None:
            self._control.start()

    def close(self) -> None:
        """Let go of who is kept waiting, stop and free the ports. Safe to call twice."""
        self._closing.close()


def check_reach(host: str, *, i_know: bool) -> None:
    """Raise InputError where others could come to harm: beyond loopback, and nobody said that they know."""
    if not i_know and not is_loopback(host):
        raise InputError(f"{host} is reachable from other machines, and what listens there misbehaves; add --i-know")
