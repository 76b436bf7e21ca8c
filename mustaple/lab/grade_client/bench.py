"""The bench on which a client is tried: the live cases, a port each, and its program run against one of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from mustaple.lab.grade_client.outcome import Tried, judged, unfair
from mustaple.lab.grade_client.probes import PROBES, spoke
from mustaple.lab.grade_client.program import Program
from mustaple.lab.live import CaseServer, Visit, respond
from mustaple.net.lifespan import Assembly
from mustaple.report.grade_client import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.attempt import Ending
    from mustaple.lab.grade_client.recipe import Recipe
    from mustaple.lab.live import HTTPRequest

# A client that has ended has closed its connections; this is for the server to see it too.
SETTLING: Final = 2.0  # seconds
_PAGE: Final = b"<!doctype html><title>mustaple</title><p>The client accepted this server.</p>\n"


class Bench(Assembly):
    """Tries one client against cases; a context manager. Everything is on loopback, under a root made for the occasion.

    `timeout` (seconds) replaces the recipe's. Raises InputError, on entering, where the recipe needs what is not here
    or its preparation fails.
    """

    def __init__(self, cases: Iterable[Case], recipe: Recipe, *, timeout: float | None = None) -> None:
        self.recipe = recipe
        self._timeout = timeout
        self._visits: dict[str, list[Visit]] = {}
        self._news = threading.Condition()
        self._cases = tuple({case.id: case for case in (*cases, *PROBES.values())}.values())
        self._spoken: frozenset[str] | None = None

    def _assemble(self, stack: ExitStack) -> None:
        self._program = Program(self.recipe, timeout=self._timeout)
        server = CaseServer(self._cases, a_port_each=True, answer=self._answer, on_event=self._note)
        self._server = stack.enter_context(server)
        stack.enter_context(self._program)

    def end_clients(self) -> None:
        """Kill the clients that still run, and start no more."""
        self._program.end()

    @property
    def requests(self) -> int:
        """How often the client has asked the CA's responder so far."""
        return self._server.responder_log.total

    @property
    def sends_nonces(self) -> bool:
        """Whether one of the requests to the CA's responder that are remembered had a nonce."""
        return any(each.nonce for each in self._server.responder_log.recent)

    @property
    def spoken(self) -> frozenset[str]:
        """The protocols that the client speaks, tried when they are asked for first."""
        if self._spoken is None:
            self._spoken = frozenset(name for name, probe in PROBES.items() if spoke(self._meet(probe)[1]))
        return self._spoken

    def version(self) -> str | None:
        """What the client says of its version, its first line; None where the recipe has no command for it."""
        return self._program.version()

    def try_case(self, case: Case) -> Tried:
        """Let the client meet this case, unless it could not be judged by it. Safe to call from several threads."""
        setup = self._server.setup(case, "localhost")
        reason = unfair(case, setup.protocols, self.spoken)
        if reason is not None:
            return Tried(case, Outcome.SKIPPED, reason)
        ending, visits = self._meet(case)
        return judged(case, setup.offered, ending, visits, self.recipe.accepted_when)

    def _meet(self, case: Case) -> tuple[Ending, list[Visit]]:
        """Run the client against this case once: how it ended, and its visits."""
        with self._news:
            self._visits[case.id] = []
        host, port = self._server.own_address(case)
        ending = self._program.meet(case.id, host, port, self._server.trusted(case, "localhost"))
        return ending, self._seen(case)

    def _seen(self, case: Case) -> list[Visit]:
        """The visits of a client that has ended: the server hears of the end a moment later."""
        with self._news:
            self._news.wait_for(lambda: self._visits[case.id], SETTLING)
            return list(self._visits[case.id])

    def _note(self, visit: Visit) -> None:
        """In the server's thread: a connection ended, or its request came."""
        if visit.case is None:
            return
        with self._news:
            known = self._visits.setdefault(visit.case.id, [])
            if not any(each is visit for each in known):
                known.append(visit)
            self._news.notify_all()

    def _answer(self, request: HTTPRequest | None, visit: Visit) -> bytes:
        self._note(visit)
        return respond(request, _PAGE, "text/html; charset=utf-8", status=200 if request is not None else 400)
