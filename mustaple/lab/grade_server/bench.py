"""The bench on which a server is graded: responder, clock, timeline, and the server, started afresh for each scene."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import NetworkError
from mustaple.lab.grade_server.clock import Clock, faketime_library
from mustaple.lab.grade_server.ground import Ground
from mustaple.lab.grade_server.handshake import Shaken, shake
from mustaple.lab.grade_server.responder import GOOD, BenchResponder
from mustaple.lab.grade_server.server import GradedServer, server_date
from mustaple.lab.grade_server.timeline import Timeline
from mustaple.net.lifespan import Assembly
from mustaple.report.grade_server import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from datetime import datetime

    from mustaple.lab.grade_server.recipe import Recipe
    from mustaple.report.grade_server import Event

LIFE: Final = 4 * 3600.0  # seconds for which an answer is good in a scene in which none grows old
HOLD: Final = 1.0  # real seconds for which a held responder must keep a handshake waiting to have kept it
_CLOCK_ERROR: Final = timedelta(seconds=30)
_AGAIN: Final = 0.2  # seconds between two looks at whether the server has a staple by now


class Bench(Assembly):
    """A context manager; scenes run one after another. `waiting` is told of time that is waited for, in seconds.

    `library` finds libfaketime, or None.
    """

    def __init__(
        self,
        recipe: Recipe,
        waiting: Callable[[float], None] = lambda _: None,
        library: Callable[[], Path | None] = faketime_library,
    ) -> None:
        self.recipe = recipe
        self._waiting = waiting
        self._library = library
        self._scenes = 0
        self.ground: Ground
        self._server: GradedServer | None = None
        self.asks_first: bool | None = None  # whether it asks before a client comes, once that is known

    def _assemble(self, stack: ExitStack) -> None:
        folder = tempfile.TemporaryDirectory(prefix="graded-server-", ignore_cleanup_errors=True)
        self._folder = Path(stack.enter_context(folder))
        self._folder.chmod(0o711)  # a server that gives up root still has to find its files
        library = self._library() if self.recipe.leaps else None
        self.clock = Clock(self._folder, library, self._waiting)
        self.timeline = Timeline(self.clock)
        self.responder = stack.enter_context(BenchResponder(self.clock, self.timeline))
        self.responder.ground = lambda: self.ground
        self.ground = self._new_ground()
        stack.callback(self._stop)

    def _new_ground(self) -> Ground:
        name = self.recipe.responder_name
        return Ground.make(self.responder.url if name is None else f"http://{name}/")

    @property
    def server(self) -> GradedServer:
        """The one of this scene."""
        if self._server is None:
            raise AssertionError("no scene has begun")
        return self._server

    @contextmanager
    def scene(self, name: str, conduct: str = GOOD, life: float = LIFE) -> Iterator[None]:
        """A server that has never run, with certificates of its own and a responder that behaves so.

        `life` is that of the responder's honest answers, in seconds.
        """
        self._scenes += 1
        folder = self._folder / f"scene-{self._scenes}"
        folder.mkdir(mode=0o755)
        self.clock.reset()
        self.timeline.scene = name
        self.ground = self._new_ground()
        self.ground.write(folder)
        self.responder.release()
        self.responder.life = timedelta(seconds=life)
        self._server = GradedServer(self.recipe, folder, self.responder.url, self.clock.environment)
        self.behave(conduct)
        self._server.prepare()
        if self._scenes == 1:
            self._server.build()
        self.give()
        try:
            yield
        finally:
            self.responder.release()
            self._stop()

    def behave(self, conduct: str) -> None:
        """Let the responder behave so from now on."""
        self.responder.conduct = conduct
        self.timeline.note(EventKind.RESPONDER, f"it answers: {conduct}")

    def give(self) -> None:
        """Fill the files of a server that does not fetch with what the responder says now, as a cron job would."""
        for path, link in zip(self.server.given(), self.ground.links, strict=False):
            body = self.responder.answer(link)
            if body is not None:
                path.write_bytes(body)
                self.timeline.note(EventKind.SERVER, f"{path.name} holds: {self.responder.conduct}")

    def start(self) -> bool:
        """Start the server, and wait until it listens; whether it did so without an answer that is held back.

        Raises NetworkError where it has ended instead, or does not listen in its time.
        """
        self.timeline.note(EventKind.SERVER, "started")
        self.server.start()
        until, alone = time.monotonic() + self.recipe.starting, True
        while not self.server.wait(HOLD):
            if self.responder.held and self.responder.pending:
                self.responder.release()
                alone = False
            elif time.monotonic() > until:
                raise NetworkError(f"{self.recipe.name} did not listen within {self.recipe.starting:g} s")
        self.timeline.note(EventKind.SERVER, "listens")
        return alone

    def restart(self) -> None:
        """End the server and start it with what it has on disk."""
        self.server.stop()
        self.timeline.note(EventKind.SERVER, "ended")
        self.start()

    def shake(self, *, tls12: bool = False) -> Shaken:
        """One handshake."""
        begun = self.timeline.seconds()
        shaken = shake(("127.0.0.1", self.server.port), self.ground.links, self.clock.now(), tls12=tls12)
        self.timeline.note(EventKind.HANDSHAKE, str(shaken), at=begun + shaken.lasted, lasted=shaken.lasted)
        return shaken

    def shake_while_held(self) -> tuple[Shaken, bool]:
        """One handshake while the responder keeps its answers back, and whether it waited for one of them."""
        # A handshake that waits for the responder ends when it is released, and no sooner.
        done = threading.Event()
        kept: list[Shaken] = []

        def run() -> None:
            try:
                kept.append(self.shake())
            finally:
                done.set()

        thread = threading.Thread(target=run, name="mustaple-held", daemon=True)
        thread.start()
        waited = not done.wait(HOLD) and self.responder.pending > 0
        if waited:
            self.responder.release()
        thread.join()
        return kept[0], waited

    def asked(self, mark: int, seconds: float | None = None) -> Event | None:
        """The first request since this mark, waited for as long as the server may take."""
        if not self.recipe.fetches:
            return None
        return self.timeline.wait_for(mark, EventKind.REQUEST, self.recipe.patience if seconds is None else seconds)

    def asked_first(self, mark: int) -> bool:
        """Whether the server that has just started asks before a client comes; waited for unless it is known not to."""
        if self.asks_first is False:
            return False
        return self.asked(mark) is not None

    def requests(self, mark: int) -> int:
        """How many there have been since this mark."""
        return len(self.timeline.since(mark, EventKind.REQUEST))

    def ripen(self) -> Shaken:
        """Handshakes until the leaf has a staple or the server's time for it is over; the last of them."""
        waited = threading.Event()
        tries = max(int(2 * self.recipe.patience / _AGAIN), 3)
        shaken = self.shake()
        for _ in range(tries):
            if shaken.stapled:
                break
            waited.wait(_AGAIN)
            shaken = self.shake()
        return shaken

    def breathe(self) -> None:
        """Give the server a moment with an answer that it has got: what it does with it cannot be seen."""
        threading.Event().wait(self.recipe.breath)

    def forward_to(self, moment: datetime) -> None:
        """Let the server's time pass until then; nothing where it is later already."""
        seconds = max((moment - self.clock.now()).total_seconds(), 0)
        self.clock.forward(seconds)
        self.timeline.note(EventKind.CLOCK, f"{seconds:.1f} s later")

    def clock_error(self) -> str | None:
        """How far the server's clock is off the bench's, in words; None where it is right, or says no time."""
        told = server_date(self.server.port)
        if told is None or abs(told - self.clock.now()) < _CLOCK_ERROR:
            return None
        return f"it says that it is {told:%Y-%m-%d %H:%M:%S}, and here it is {self.clock.now():%Y-%m-%d %H:%M:%S}"

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
