"""The scenes of a server's everyday life: its first clients, a restart, a responder that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.lab.grade_server.findings import NO, UNSEEN, YES
from mustaple.lab.grade_server.responder import CUT, GOOD
from mustaple.report.grade_server import EventKind

if TYPE_CHECKING:
    from mustaple.lab.grade_server.bench import Bench
    from mustaple.lab.grade_server.findings import Findings
    from mustaple.lab.grade_server.handshake import Shaken

MANY: Final = 10  # handshakes in a row, to see how often they make it ask
NEVER_ASKS: Final = "it asks no responder: it is given its staple as a file"


def first_clients(bench: Bench, found: Findings) -> None:
    """An honest responder: the first handshakes, what they make the server ask, and a restart while nobody answers."""
    with bench.scene("first clients"):
        mark = bench.timeline.mark()
        bench.start()
        asked = bench.asked(mark)
        bench.asks_first = asked is not None
        if asked is not None:
            bench.breathe()
        begun = bench.timeline.mark()
        first = bench.shake()
        ripe = first if first.stapled else bench.ripen()
        _first(bench, found, asked_before=asked is not None, begun=begun, shaken=(first, ripe))
        if ripe.stapled:
            _steady(bench, found)
            _chain(bench, found)
            _restart(bench, found)


def _first(bench: Bench, found: Findings, *, asked_before: bool, begun: int, shaken: tuple[Shaken, Shaken]) -> None:
    first, ripe = shaken
    events = [each.number for each in bench.timeline.events[max(begun - 4, 0) : begun + 8]]
    found.say("staples", ripe.stapled, f"with an honest responder: {ripe}", events)
    found.say("staples_first_handshake", first.good, f"the first handshake after the start: {first}", events)
    if not bench.recipe.fetches:
        found.say("prefetches", UNSEEN, NEVER_ASKS)
    elif asked_before:
        found.say("prefetches", YES, "it had asked before the first client came", events)
    else:
        patience = f"{bench.recipe.patience:g} s"
        found.say("prefetches", NO, f"it asked nobody in the {patience} before the first client", events)


def _steady(bench: Bench, found: Findings) -> None:
    mark = bench.timeline.mark()
    shaken = [bench.shake() for _ in range(MANY)]
    found.well, found.well_handshakes = bench.requests(mark), MANY
    if bench.recipe.fetches:
        events = [each.number for each in bench.timeline.since(mark, EventKind.REQUEST)]
        said = (
            f"{MANY} handshakes made it ask {found.well} times; {sum(each.good for each in shaken)} had a good staple"
        )
        found.say("caches", found.well < MANY // 2, said, events)
    else:
        found.say("caches", UNSEEN, NEVER_ASKS)


def _chain(bench: Bench, found: Findings) -> None:
    """The leaf alone, or its CA too: in TLS 1.3 each entry has its own, in TLS 1.2 RFC 6961 is needed for more."""
    mark = bench.timeline.mark()
    looks = [bench.shake(), bench.shake(tls12=True)]
    if any(each.stapled for each in looks) and bench.recipe.fetches and not any(_above(each) for each in looks):
        looks.append(bench.shake())
    events = [each.number for each in bench.timeline.since(mark, EventKind.HANDSHAKE)]
    said = "; ".join(str(each) for each in looks)
    if any(_above(each) for each in looks):
        found.say("staples_chain", YES, said, events)
    elif all(len(each.judged) < 2 for each in looks):
        found.say("staples_chain", UNSEEN, f"it sent no certificate but the leaf: {said}", events)
    else:
        found.say("staples_chain", NO, said, events)


def _above(shaken: Shaken) -> bool:
    return any(each is not None for each in shaken.judged[1:])


def _restart(bench: Bench, found: Findings) -> None:
    bench.behave(CUT)
    mark = bench.timeline.mark()
    bench.restart()
    bench.asked_first(mark)
    shaken = bench.shake()
    events = range(mark, bench.timeline.mark())
    said = f"restarted while no responder answered; the first handshake: {shaken}"
    if not bench.recipe.fetches:
        said += " (the file that it was given is still there)"
    found.say("keeps_over_restart", shaken.good, said, events)


def slow_responder(bench: Bench, found: Findings) -> None:
    """A responder that keeps its answer back, to see who waits for it."""
    names = ("fetches_outside_handshake", "slow_responder_slows_handshakes")
    if not bench.recipe.fetches:
        for name in names:
            found.say(name, UNSEEN, NEVER_ASKS)
        return
    with bench.scene("slow responder", GOOD):
        mark = bench.timeline.mark()
        bench.responder.hold()
        if not bench.start():
            said, events = "it did not listen before the responder had answered", range(mark, bench.timeline.mark())
            found.say(names[0], YES, f"{said}: no handshake waits", events)
            found.say(names[1], NO, f"{said}: its start waits, and no handshake", events)
            return
        bench.asked_first(mark)
        shaken, waited = bench.shake_while_held()
        asked = bench.asked(mark)
        bench.responder.release()
        events = range(mark, bench.timeline.mark())
        if asked is None:
            for name in names:
                found.say(name, UNSEEN, f"it asked nobody: {shaken}", events)
            return
        how = "waited until the responder answered" if waited else f"took {shaken.lasted:.3f} s while it kept silent"
        said = f"the handshake {how}: {shaken}"
        found.say(names[0], not waited, said, events)
        found.say(names[1], waited, said, events)
