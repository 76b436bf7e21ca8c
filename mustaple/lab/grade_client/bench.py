"""The bench on which a client is tried: the live cases, a port each, and its program run against one of them."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from certtools.chain import to_pem
from mustaple.core.errors import InputError
from mustaple.lab.grade_client.attempt import Attempts, Ending
from mustaple.lab.grade_client.outcome import Tried, judged, unfair
from mustaple.lab.grade_client.probes import PROBES, spoke
from mustaple.lab.grade_client.recipe import filled
from mustaple.lab.live import CaseServer, Visit, respond
from mustaple.report.grade_client import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from mustaple.lab.cases import Case
    from mustaple.lab.grade_client.recipe import Recipe
    from mustaple.lab.live import HTTPRequest

# A client that has ended has closed its connections; this is for the server to see it too.
SETTLING: Final = 2.0  # seconds
_PREPARING: Final = 120.0  # seconds
_PAGE: Final = b"<!doctype html><title>mustaple</title><p>The client accepted this server.</p>\n"
_LOCAL: Final = "localhost,127.0.0.1,::1"


class Bench:
    """Tries one client against cases; a context manager. Everything is on loopback, under a root made for the occasion.

    `timeout` (seconds) replaces the recipe's. Raises InputError, on entering, where the recipe needs what is not here
    or its preparation fails.
    """

    def __init__(self, cases: Iterable[Case], recipe: Recipe, *, timeout: float | None = None) -> None:
        self.recipe = recipe
        self._timeout = timeout if timeout is not None else recipe.timeout
        self._attempts = Attempts()
        self._visits: dict[str, list[Visit]] = {}
        self._news = threading.Condition()
        self._cases = tuple({case.id: case for case in (*cases, *PROBES.values())}.values())
        self._spoken: frozenset[str] | None = None
        self._folder = Path()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        missing = self.recipe.missing
        if missing:
            raise InputError(f"{self.recipe.name} cannot be graded here: there is no {', no '.join(missing)}")
        with ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="mustaple-grade-", ignore_cleanup_errors=True)
            )
            self._folder = Path(folder)
            (self._folder / "shared").mkdir()
            self._server = stack.enter_context(
                CaseServer(self._cases, a_port_each=True, answer=self._answer, on_event=self._note)
            )
            stack.callback(self._attempts.close)
            self._prepare()
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def end_clients(self) -> None:
        """Kill the clients that still run, and start no more."""
        self._attempts.close()

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
        if not self.recipe.version:
            return None
        said = self._run(self.recipe.version, {}, self._folder, self._timeout).said
        return next((line.strip() for line in said.splitlines() if line.strip()), None)

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
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self._folder))
        trusted = folder.with_suffix(".pem")
        trusted.write_bytes(to_pem([self._server.trusted(case, "localhost")]))
        host, port = self._server.own_address(case)
        values = {
            "host": host,
            "port": str(port),
            "url": f"https://{host}:{port}/",
            "ca": str(trusted),
            "case": case.id,
            "folder": str(folder),
        }
        try:
            ending = self._run(self.recipe.command, values, folder, self._timeout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return ending, self._seen(case)

    def _run(self, command: tuple[str, ...], values: dict[str, str], folder: Path, timeout: float) -> Ending:
        words = filled(command, values | {"shared": str(self._folder / "shared")})
        environment = {**os.environ, "no_proxy": _LOCAL, "NO_PROXY": _LOCAL, "MUSTAPLE_CASE": values.get("case", "")}
        return self._attempts.run(words, timeout=timeout, environment=environment, folder=folder)

    def _prepare(self) -> None:
        if self.recipe.prepare:
            ending = self._run(self.recipe.prepare, {}, self._folder, _PREPARING)
            if ending.exit_code != 0:
                raise InputError(f"{self.recipe.name} could not be prepared: {ending}: {ending.said}")

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
