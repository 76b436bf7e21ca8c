"""The scenes in which a responder says what it should not, or nothing at all, and what of it reaches a client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import NetworkError
from mustaple.core.verdict import Status
from mustaple.lab.grade_server.responder import CUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.lab.grade_server.bench import Bench
    from mustaple.lab.grade_server.findings import Findings
    from mustaple.lab.grade_server.handshake import Shaken

ERRORS: Final = ("try-later", "unauthorized")
UNUSABLE: Final = ("unknown", "expired", "other-certificate", "bad-signature", "html")
REVOKED: Final = "revoked"
WRONGS: Final = (*ERRORS, REVOKED, *UNUSABLE)
_ABOUT_STAPLES: Final = re.compile(r"ocsp|stapl", re.IGNORECASE)
_TROUBLE: Final = re.compile(r"error|fail|warn|cannot|could not|unable|no such|none|refused|reset", re.IGNORECASE)
_REFUSED: Final = "it did not start"


class Wrongs:
    """Tries one wrong answer after another, and says what came of them all."""

    def __init__(self, bench: Bench, found: Findings) -> None:
        self._bench = bench
        self._found = found
        self._served: dict[str, list[Shaken]] = {}
        self._told: dict[str, str] = {}
        self._events: dict[str, range] = {}

    def offer(self, wrong: str) -> None:
        """A server that has never run meets a responder that says only this."""
        bench = self._bench
        with bench.scene(f"the responder says {wrong.replace('-', ' ')}", wrong):
            mark = bench.timeline.mark()
            try:
                bench.start()
            except NetworkError:
                if bench.recipe.fetches:
                    raise
                self._served[wrong], self._told[wrong] = [], _REFUSED
            else:
                bench.asked_first(mark)
                shaken = [bench.shake()]
                bench.asked(mark)
                bench.breathe()
                shaken += [bench.shake(), bench.shake()]
                self._served[wrong] = shaken
                told = str(next((each for each in shaken if each.stapled), shaken[-1]))
                self._told[wrong] = told if bench.server.running else _REFUSED
            self._events[wrong] = range(mark, bench.timeline.mark())

    def conclude(self) -> None:
        """Answer the questions of these scenes."""
        self._say("serves_errors", ERRORS, lambda each: each.is_error)
        self._say("serves_revoked", (REVOKED,), lambda each: _says(each, Status.REVOKED))
        self._say("serves_unusable", UNUSABLE, lambda each: each.stapled and not each.good)

    def _say(self, name: str, wrongs: tuple[str, ...], bad: Callable[[Shaken], bool]) -> None:
        tried = [each for each in wrongs if each in self._served]
        served = [each for each in tried if any(map(bad, self._served[each]))]
        said = "; ".join(f"{each.replace('-', ' ')}: {self._told[each]}" for each in tried)
        events = [number for each in served or tried for number in self._events[each]]
        self._found.say(name, bool(served) if tried else None, said or "it was not tried", events)


def _warns(line: str) -> bool:
    return bool(_ABOUT_STAPLES.search(line) and _TROUBLE.search(line))


def _says(shaken: Shaken, status: Status) -> bool:
    return any(each is not None and each.status is status for each in shaken.judged)


def must_staple(bench: Bench, found: Findings) -> None:
    """A certificate that promises a staple, and no responder: whether the server says anything, or refuses."""
    name = "must_staple_without_staple"
    with bench.scene("a promise that cannot be kept", CUT):
        mark = bench.timeline.mark()
        try:
            bench.start()
        except NetworkError as error:
            found.reaction = "refuses"
            found.tell(name, f"it did not start: {error}", range(mark, bench.timeline.mark()))
            return
        bench.asked_first(mark)
        shaken = bench.shake()
        bench.asked(mark)
        bench.breathe()
        shaken = bench.shake() if shaken.judged else shaken
        events = range(mark, bench.timeline.mark())
        told = [line.strip() for line in bench.server.said().splitlines() if _warns(line)]
        if not shaken.judged:
            found.reaction = "refuses"
            found.tell(name, f"it ended the handshake: {shaken.problem}", events)
        elif told:
            found.reaction = "warns"
            found.tell(name, f"it served on ({shaken}), and wrote: {told[0][:300]}", events)
        else:
            found.reaction = "shrugs"
            found.tell(name, f"it served on ({shaken}), and wrote nothing of it", events)
