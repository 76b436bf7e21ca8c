"""What a responder or server was told to do wrong: which misbehaviour, if any, the next request meets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from mustaple.core.errors import InputError
from mustaple.lab.misbehaviour.catalogue import RESPONDER, misbehaviour

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mustaple.lab.misbehaviour.catalogue import Misbehaviour
    from mustaple.lab.misbehaviour.grammar import Request

MOST: Final = 32  # misbehaviours at a time


class Chosen(NamedTuple):
    """The misbehaviour that a request meets, None for honesty, and the seconds since it was set."""

    misbehaviour: Misbehaviour | None
    elapsed: float


class Plan:
    """The misbehaviours in force, in their order: the first whose conditions hold is what happens.

    `monotonic` counts the seconds, `kinds` are what it may be asked about. May be used from several threads. Raises
    InputError as `set` does.
    """

    word: Final = "misbehave"

    def __init__(
        self, texts: Iterable[str], monotonic: Callable[[], float], kinds: tuple[str, ...] = RESPONDER
    ) -> None:
        self._kinds = kinds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self.set(texts)

    def set(self, texts: Iterable[str]) -> None:
        """Put these in the place of those in force, and count anew; none means honesty.

        Raises InputError for one that there is not, or too many; then all stays as it was.
        """
        read = tuple(misbehaviour(text, self._kinds) for text in texts)
        if len(read) > MOST:
            raise InputError(f"{len(read)} misbehaviours are too many; {MOST} is the most")
        with self._lock:
            self._all = read
            self._counts = [0] * len(read)
            self._requests = 0
            self._begun = self._monotonic()

    def tell(self, value: object) -> None:
        """`set` with what JSON said. Raises InputError for what is no list of strings, too."""
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise InputError('"misbehave" is a list of strings, as ["slow=2s@every=3"]')
        self.set(value)

    def choose(self, request: Request) -> Chosen:
        """What this request meets. It is counted by every misbehaviour that may be for it."""
        with self._lock:
            self._requests += 1
            elapsed = self._monotonic() - self._begun
            chosen = None
            for place, each in enumerate(self._all):
                when = each.clause.when
                if request.kind not in each.behaviour.kinds or not when.counts(request):
                    continue
                self._counts[place] += 1
                if chosen is None and when.holds(self._counts[place], elapsed):
                    chosen = each
            return Chosen(chosen, elapsed)

    def shown(self) -> dict[str, object]:
        """What is in force, how many requests met it, and for how many seconds it has been, as JSON has it."""
        with self._lock:
            return {
                "misbehave": [str(each.clause) for each in self._all],
                "requests": self._requests,
                "seconds": round(self._monotonic() - self._begun, 3),
            }
