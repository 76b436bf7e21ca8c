"""Keeps one certificate's staple fresh: fetched, judged, renewed at half-life, dropped when its time is over."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from mustaple.core.errors import MustapleError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules, UncheckedDelegate
from mustaple.core.refresh import FIRST_BACKOFF, LONGEST_BACKOFF, Known, Pace, Trouble, next_fetch
from mustaple.core.verdict import Judgement, Source, Status
from mustaple.net.fetch import fetch_ocsp

if TYPE_CHECKING:
    from collections.abc import Callable

    from certtools.chain import Link
    from mustaple.net.fetch import Fetched

FIRST_PATIENCE: Final = 5.0  # seconds to wait for a responder that is only just starting
FETCH_TIMEOUT: Final = 5.0
# Faster than the agent's: a server at hand is being tried out, and somebody is waiting.
PACE: Final = Pace(FIRST_BACKOFF, LONGEST_BACKOFF)
LONGEST_SLEEP: Final = 30.0  # a clock that is set, or a machine that slept, is noticed this late at most
# A server hands on what a CA really said, a delegate without id-pkix-ocsp-nocheck included: clients have rules too.
RULES: Final = Rules(unchecked_delegate=UncheckedDelegate.ACCEPT)
AUTHENTIC: Final = frozenset({Status.GOOD, Status.REVOKED, Status.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Held:
    """A staple and what it was judged to say."""

    der: bytes
    judgement: Judgement
    dies_at: datetime
    got_at: datetime


class StapleKeeper:
    """Fetches the staple of `link.subject` in a thread of its own; `staple()` is what to send now.

    Whatever its CA really says is stapled, *revoked* as well as *good*; a response that no client could use is not,
    and the one before it serves on until its nextUpdate. `on_change` gets a sentence whenever what is stapled, or why
    nothing new came, has changed. `fetch` is `fetch_ocsp` unless told otherwise. A context manager.
    """

    def __init__(
        self,
        link: Link,
        *,
        url: str | None = None,
        fetch: Callable[..., Fetched] = fetch_ocsp,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self._link = link
        self._url = url
        self._fetch = fetch
        self._on_change = on_change
        self._held: Held | None = None
        self._failures = 0
        self._told = ""
        self._wake = threading.Event()
        self._tried = threading.Condition()
        self._stopping = False
        self._asked = False
        self._due = datetime.now(UTC)
        self._thread = threading.Thread(target=self._run, name="mustaple-keeper", daemon=True)

    def staple(self) -> bytes | None:
        """The staple to send now; None where there is none whose time has not passed."""
        held = self._held
        return held.der if held is not None and datetime.now(UTC) < held.dies_at else None

    def start(self, patience: float = FIRST_PATIENCE) -> bool:
        """Begin, and wait at most `patience` seconds for the first staple. Whether there is one."""
        self.begin()
        return self.wait(patience)

    def begin(self) -> None:
        """Begin, without waiting for anything."""
        self._thread.start()

    def wait(self, patience: float) -> bool:
        """Wait at most `patience` seconds for the first staple. Whether there is one."""
        with self._tried:
            return self._tried.wait_for(lambda: self._held is not None, patience)

    def refresh(self) -> None:
        """Fetch at once."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """Stop, without waiting for a fetch under way."""
        self._stopping = True
        self._wake.set()

    def close(self) -> None:
        """Stop; a fetch under way is left to its timeout."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(FETCH_TIMEOUT + 1)

    def _run(self) -> None:
        while not self._stopping:
            at = datetime.now(UTC)
            if self._held is not None and at >= self._held.dies_at:
                self._held = None
                self._tell("stapling nothing: the last answer's time is over")
            if self._asked or at >= self._due:
                self._asked = False  # before the fetch: what is asked for while it runs is another one
                self._try()
                continue
            sleep = (self._due - at).total_seconds()
            if self._held is not None:
                sleep = min(sleep, (self._held.dies_at - at).total_seconds())
            self._wake.wait(min(max(sleep, 0), LONGEST_SLEEP))
            self._wake.clear()

    def _try(self) -> None:
        try:
            self._take(self._fetch(self._link, url=self._url, timeout=FETCH_TIMEOUT))
        except MustapleError as error:
            self._failed(str(error))
        with self._tried:
            self._tried.notify_all()
        at = datetime.now(UTC)
        trouble = Trouble(self._failures, at if self._failures else None)
        expires_at, held = self._link.subject.not_valid_after_utc, self._held
        known = Known(expires_at, own=trouble)
        if held is not None:
            known = Known(expires_at, held.judgement.this_update, held.dies_at, None, held.got_at, trouble)
        # Never again for a certificate that has expired; what is asked for by `refresh` is fetched all the same.
        self._due = next_fetch(known, at, PACE) or datetime.max.replace(tzinfo=UTC)

    def _take(self, fetched: Fetched) -> None:
        at = datetime.now(UTC)
        found = judge(fetched.body, self._link, at, RULES, source=Source.OCSP, origin=fetched.url)
        dies_at = found.dies_at
        if found.status not in AUTHENTIC or found.this_update is None or dies_at is None or dies_at <= at:
            why = "; ".join(reason.detail for reason in found.reasons) or "its time is over"
            codes = " ".join(reason.code.value for reason in found.reasons)  # details change from second to second
            self._failed(f"{fetched.url} gave an answer that no client could use: {why}", codes)
            return
        self._failures = 0
        self._held = Held(fetched.body, found, dies_at, at)
        self._tell(f"stapling {found.status}, until {dies_at:%Y-%m-%d %H:%M:%S} UTC")

    def _failed(self, why: str, topic: str | None = None) -> None:
        self._failures += 1
        held = "the staple before serves on" if self.staple() is not None else "stapling nothing"
        self._tell(f"{held}: {why.rstrip('.')}; trying again", f"{held} {topic or why}")

    def _tell(self, sentence: str, topic: str | None = None) -> None:
        """Say it, unless the last sentence was on the same topic."""
        topic = topic or sentence
        if topic != self._told and self._on_change is not None:
            self._on_change(sentence)
        self._told = topic

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
