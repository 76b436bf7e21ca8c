"""What is said in clear before TLS, without I/O: a script that speaks, waits and reads, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Script = Callable[["Prelude"], Generator[None, None, None]]

MAX_BYTES: Final = 1 << 16  # of everything the other side says before TLS
MAX_LINE: Final = 1 << 13
MAX_LINES: Final = 128
_SHOWN: Final = 120  # characters of a peer's text in an error
_TLS_RECORDS: Final = tuple(bytes([kind, 3]) for kind in (20, 21, 22, 23))


class Prelude:
    """One conversation before TLS, of the same shape as the TLS client after it.

    Feed it with `receive`, send what `to_send` gives, until `done`; `unread` is what came after its end, and belongs to
    whoever is next. `protocol` is its name in errors, and `who` the other side; `waiting_for` is what it wants next.
    The script is a generator function: it says things, and yields wherever it needs more bytes.
    """

    def __init__(self, protocol: str, script: Script, *, who: str = "the server") -> None:
        self.protocol = protocol
        self._who = who
        self.waiting_for = f"an answer in {protocol}"
        self.done = False
        self._received = bytearray()
        self._outgoing = bytearray()
        self._total = 0
        self._lines = 0
        self._script = script(self)
        self._step()

    @property
    def unread(self) -> bytes:
        """The bytes that came, and that nothing has read."""
        return bytes(self._received)

    def receive(self, data: bytes) -> None:
        """Take bytes from the other side; empty bytes mean that it will send no more.

        Raises NetworkError for an answer that is a refusal, or too long, or in another protocol.
        """
        if not data:
            raise NetworkError(f"{self._who} closed the connection instead of {self.waiting_for}")
        self._total += len(data)
        if self._total > MAX_BYTES:
            raise NetworkError(f"{self._who} said more than {MAX_BYTES} bytes in {self.protocol} before TLS")
        first = len(self._received) == self._total - len(data)
        self._received += data
        if first and self._received.startswith(_TLS_RECORDS):
            raise NetworkError(f"{self._who} speaks TLS at once, and not {self.protocol} before it")
        self._step()

    def to_send(self) -> bytes:
        """The bytes that wait to be sent, at most once."""
        waiting = bytes(self._outgoing)
        self._outgoing.clear()
        return waiting

    # --- for scripts

    def say(self, data: bytes, *, waiting_for: str, unasked: bool = False) -> None:
        """Send this; what is awaited next is that, as a noun. Nothing may have come before it, unless `unasked`."""
        if self._received and not unasked:
            raise NetworkError(f"{self._who} answered in {self.protocol} before it was asked: {shown(self.unread)}")
        self._outgoing += data
        self.waiting_for = waiting_for

    def line(self) -> Generator[None, None, bytes]:
        """The next line, without its end (LF or CRLF)."""
        while (end := self._received.find(b"\n")) < 0 and len(self._received) <= MAX_LINE:
            yield
        self._lines += 1
        if not 0 <= end <= MAX_LINE or self._lines > MAX_LINES:
            what = f"a line of more than {MAX_LINE} bytes" if self._lines <= MAX_LINES else f"over {MAX_LINES} lines"
            raise NetworkError(f"{self._who} said {what} in {self.protocol} before TLS")
        found = bytes(self._received[:end]).removesuffix(b"\r")
        del self._received[: end + 1]
        return found

    def exactly(self, count: int) -> Generator[None, None, bytes]:
        """The next `count` bytes."""
        while len(self._received) < count:
            yield
        found = bytes(self._received[:count])
        del self._received[:count]
        return found

    def some(self) -> Generator[None, None, bytes]:
        """Whatever has come, a byte at least."""
        while not self._received:
            yield
        return (yield from self.exactly(len(self._received)))

    def give_back(self, data: bytes) -> None:
        """Put back what a script has taken and not used."""
        self._received[:0] = data

    def agreed(self) -> None:
        """End where the server has agreed to TLS: a byte after that is nobody's but an attacker's (RFC 3207 §6)."""
        if self._received:
            more = shown(self.unread)
            raise NetworkError(f"{self._who} agreed to TLS and went on in clear, as only an attacker would: {more}")

    def _step(self) -> None:
        try:
            next(self._script)
        except StopIteration:
            self.done = True


def shown(text: bytes) -> str:
    """What a peer said, for one line of an error: quoted, printable, short."""
    cut = text[: _SHOWN + 1].decode("utf-8", "replace")
    return repr(cut[:_SHOWN] + "…" if len(cut) > _SHOWN else cut)
