"""The responder on the bench: it answers honestly, wrongly, not at all or only when it is let, as the grading asks."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from certtools.forge import MUTATIONS, Scene
from mustaple.net.listen import listen, url_of
from mustaple.net.responder import FunctionAnswers, ResponderApp
from mustaple.net.responder.aborting import abort
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.responder.serving import AppRunner
from mustaple.report.grade_server import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from certtools.chain import Link
    from mustaple.lab.grade_server.clock import Clock
    from mustaple.lab.grade_server.ground import Ground
    from mustaple.lab.grade_server.timeline import Timeline
    from mustaple.net.responder import Question
    from mustaple.net.responder.app import Receive, Scope, Send

GOOD: Final = "good"
CUT: Final = "cut"  # the connection, in the middle of the request
_DISTANCE: Final = 0.1  # seconds: no responder answers before its client has listened for it
_AGE: Final = timedelta(seconds=1)  # of an honest answer: the clocks of a bench agree, but for their rounding


class BenchResponder:
    """The responder; a context manager.

    `conduct` is what it does from now on: GOOD, CUT, or the name of a mutation of `certtools.forge`. `life` is how
    long its honest answers are good for. Every request and every answer is an event of the timeline.
    """

    def __init__(self, clock: Clock, timeline: Timeline) -> None:
        self.conduct = GOOD
        self.life = timedelta(hours=4)
        self.methods: set[str] = set()
        self.nonces = self.conditional = 0
        self.ground: Callable[[], Ground] | None = None
        self._clock = clock
        self._timeline = timeline
        self._open = threading.Event()
        self._open.set()
        self._waiting = 0
        self._listener = listen()
        self.url = url_of(self._listener, "http") + "/"
        self._runner = AppRunner(self, self._listener)

    def __enter__(self) -> Self:
        self._runner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._runner.close()

    @property
    def pending(self) -> int:
        """How many requests wait for their answer."""
        return self._waiting

    @property
    def held(self) -> bool:
        """Whether answers are kept back."""
        return not self._open.is_set()

    def hold(self) -> None:
        """Keep every answer back from now on."""
        self._open.clear()

    def release(self) -> None:
        """Answer what waits and what comes."""
        self._open.set()

    def answer(self, link: Link) -> bytes | None:
        """What is said of this certificate now; None where nothing is."""
        if self.conduct == CUT or self.ground is None:
            return None
        ground, at = self.ground(), self._clock.now().replace(microsecond=0)
        place = ground.links.index(link)
        issuer = (ground.ca, ground.root)[place]
        scene = Scene(link=link, issuer=issuer, other=ground.others[place], rogue=ground.rogue, at=at)
        if self.conduct == GOOD:
            return scene.response(scene.single(this_update=at - _AGE, next_update=at + self.life))
        return MUTATIONS[self.conduct](scene)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: read by the honest application, whose own answer is thrown away."""
        asked: list[Question] = []
        held: list[dict[str, Any]] = []

        def hear(question: Question) -> bytes:
            asked.append(question)
            return UNAUTHORIZED

        async def hold(message: dict[str, Any]) -> None:
            held.append(message)

        honest = ResponderApp(FunctionAnswers(hear))
        if scope["type"] != "http":
            await honest(scope, receive, send)
            return
        await honest(scope, receive, hold)
        if not asked:
            self._timeline.note(EventKind.REQUEST, f"{scope['method']} of something else than a status")
            for message in held:
                await send(message)
            return
        await self._tell(asked[0], scope, send)

    async def _tell(self, question: Question, scope: Scope, send: Send) -> None:
        link = self._link(question)
        number = self._note_request(question, link, scope)
        self._waiting += 1
        try:
            # A thread of the grading opens it; looking a hundred times a second costs less than a bridge to it.
            while not self._open.is_set():  # noqa: ASYNC110  another thread sets it
                await asyncio.sleep(0.01)
            await asyncio.sleep(_DISTANCE)
            body = self.answer(link) if link is not None else UNAUTHORIZED
        finally:
            self._waiting -= 1
        if body is None:
            self._timeline.note(EventKind.ANSWER, f"to request {number}: none, the connection is cut")
            abort(scope)
            return
        headers = [(b"content-type", b"application/ocsp-response"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._timeline.note(EventKind.ANSWER, f"to request {number}: {self.conduct}, {len(body)} bytes")

    def _link(self, question: Question) -> Link | None:
        links = self.ground().links if self.ground is not None else ()
        serial = question.cert_ids[0].serial_number
        return next((each for each in links if each.serial_number == serial), None)

    def _note_request(self, question: Question, link: Link | None, scope: Scope) -> int:
        self.methods.add(scope["method"])
        self.nonces += question.nonce is not None
        self.conditional += any(name == b"if-none-match" for name, _ in scope["headers"])
        whose = "nobody we know"
        if link is not None and self.ground is not None:
            whose = ("the leaf", "its CA")[self.ground().links.index(link)]
        extra = " with a nonce" if question.nonce is not None else ""
        return self._timeline.note(EventKind.REQUEST, f"{scope['method']} about {whose}{extra}")
