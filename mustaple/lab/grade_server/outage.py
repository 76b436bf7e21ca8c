"""The scene of an outage: a good staple grows old while every answer is an error, from its first hour past its last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mustaple.lab.grade_server.findings import NO, UNSEEN, YES
from mustaple.lab.grade_server.scenes import MANY, NEVER_ASKS
from mustaple.report.grade_server import EventKind

if TYPE_CHECKING:
    from mustaple.core.verdict import Judgement
    from mustaple.lab.grade_server.bench import Bench
    from mustaple.lab.grade_server.findings import Findings
    from mustaple.lab.grade_server.handshake import Shaken

# At which hundredths of a response's life there is a handshake: closer together where it is about to die.
STEPS: Final = (*range(5, 95, 5), 92, 94, 96, 98, 99, 105, 110, 115)
# A server may stop a little before nextUpdate, as it may want to: that is not losing it.
_LATE: Final = 90
_ANSWERS: Final = (
    "refreshes_before_death",
    "serves_old_while_fetching",
    "retains_on_error",
    "respects_next_update",
)
_FAILURE: Final = "try-later"
_TRIES: Final = 3  # servers: some miss the very first response, where it comes before they listen for it
_MOMENT: Final = 0.3  # real seconds that a server has to ask after each step


@dataclass
class _Course:
    """What happened at each step (hundredths of the life): the handshakes, and what came of asking for the next one."""

    shaken: dict[int, Shaken] = field(default_factory=dict)
    events: dict[int, int] = field(default_factory=dict)
    asked_at: int | None = None
    old_served: bool | None = None
    while_asking: str = ""


def outage(bench: Bench, found: Findings) -> None:
    """Walk through the life of a staple and past its end; see `Findings` for what it leaves there."""
    if bench.recipe.leaps and not bench.clock.leaps:
        for name in _ANSWERS:
            found.say(name, UNSEEN, "its clock could not be set forward: libfaketime is not installed here")
        return
    for _ in range(_TRIES):
        with bench.scene("outage", life=bench.recipe.life):
            ripe = _start(bench)
            if ripe.leaf is not None and ripe.good:
                _watch(bench, found, ripe.leaf)
                return
    for name in _ANSWERS:
        said = f"with a response good for {bench.recipe.life:g} s there was never a good staple to grow old: {ripe}"
        found.say(name, UNSEEN, said)


def _start(bench: Bench) -> Shaken:
    if bench.recipe.hurried is not None:
        bench.clock.hurry(bench.recipe.hurried)
    mark = bench.timeline.mark()
    bench.start()
    bench.asked_first(mark)
    bench.breathe()
    return bench.ripen()


def _watch(bench: Bench, found: Findings, staple: Judgement) -> None:
    bench.breathe()
    bench.behave(_FAILURE)
    course = _walk(bench, found, staple)
    wrong = bench.clock_error()
    if wrong is None:
        _conclude(bench, found, course)
        return
    for name in _ANSWERS:
        found.say(name, UNSEEN, f"its clock could not be set forward: {wrong}")


def _walk(bench: Bench, found: Findings, staple: Judgement) -> _Course:
    course = _Course()
    born, dies = staple.this_update, staple.next_update
    if born is None or dies is None:
        raise AssertionError("the bench's responder says until when its answers are good")
    bench.responder.hold()
    moment = _MOMENT if bench.clock.leaps else 0.01
    for step in STEPS:
        mark = bench.timeline.mark()
        bench.forward_to(born + (dies - born) * step / 100)
        if course.asked_at is not None or not bench.recipe.fetches:
            course.shaken[step] = bench.shake()
        else:
            course.shaken[step], asked = _until_asked(bench, course, mark, moment)
            if asked:
                course.asked_at = step
                _hammer(bench, found)
        course.events[step] = bench.timeline.mark() - 1
    bench.responder.release()
    return course


def _until_asked(bench: Bench, course: _Course, mark: int, moment: float) -> tuple[Shaken, bool]:
    """One handshake, and whether the server asks for the next response; then another one before it gets its answer."""
    shaken, waited = bench.shake_while_held()
    if not waited and not bench.responder.pending and bench.asked(mark, moment) is None:
        return shaken, False
    if not waited:
        shaken, waited = bench.shake_while_held()
    course.old_served = shaken.good and not waited
    course.while_asking = f"{'it waited for the answer' if waited else 'while it asked'}: {shaken}"
    bench.responder.release()
    bench.timeline.wait_for(mark, EventKind.ANSWER, bench.recipe.patience)
    bench.breathe()
    return shaken, True


def _hammer(bench: Bench, found: Findings) -> None:
    """Count the requests that handshakes in a row bring about while every answer is an error."""
    mark = bench.timeline.mark()
    for _ in range(MANY):
        bench.shake()
    found.failing, found.failing_handshakes = bench.requests(mark), MANY


def _conclude(bench: Bench, found: Findings, course: _Course) -> None:
    life = f"a response good for {bench.recipe.life:g} s" + ("" if bench.clock.leaps else " of real time")
    asked, last = course.asked_at, STEPS[-1]
    if not bench.recipe.fetches:
        for name in ("refreshes_before_death", "serves_old_while_fetching", "retains_on_error"):
            found.say(name, UNSEEN, NEVER_ASKS)
    elif asked is None:
        found.say("refreshes_before_death", NO, f"{life}: it never asked for the next", [course.events[last]])
        for name in ("serves_old_while_fetching", "retains_on_error"):
            found.say(name, UNSEEN, f"{life}: it never asked for the next, so no answer could fail")
    else:
        found.refresh_at = asked / 100
        when = f"{life}: it asked for the next after {asked} % of that"
        found.say("refreshes_before_death", asked < 100, when, [course.events[asked]])
        found.say(
            "serves_old_while_fetching", course.old_served, f"{when}; {course.while_asking}", [course.events[asked]]
        )
        _retained(found, course, asked)
    dead = [step for step, shaken in course.shaken.items() if shaken.dead]
    if dead:
        said = f"{life}: past its nextUpdate, at {dead[-1]} % of its life still: {course.shaken[dead[-1]]}"
        found.say("respects_next_update", NO, said, [course.events[each] for each in dead])
    else:
        kept = max((step for step, shaken in course.shaken.items() if shaken.good), default=0)
        said = f"{life}: the last good staple at {kept} % of its life, then: {course.shaken[last]}"
        found.say("respects_next_update", YES, said, [course.events[last]])


def _retained(found: Findings, course: _Course, asked: int) -> None:
    """Whether every handshake between the failed request and shortly before nextUpdate had the old, good staple."""
    after = {step: shaken for step, shaken in course.shaken.items() if asked < step <= _LATE}
    lost = [step for step, shaken in after.items() if not shaken.good]
    if not after:
        found.say("retains_on_error", UNSEEN, "it asked too late for an error to cost it a living staple")
    elif lost:
        said = f"after the error there was, at {lost[0]} % of the old one's life: {after[lost[0]]}"
        found.say("retains_on_error", NO, said, [course.events[each] for each in lost])
    else:
        said = f"the old staple was there in all {len(after)} handshakes after the error"
        found.say("retains_on_error", YES, said, [course.events[each] for each in after])
