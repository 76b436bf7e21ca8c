"""Turns honest bytes, handshake messages and TLS records into hostile ones, as a seeded random source says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core import wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_LENGTHS = (0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0x4001, 0xFFFF, 0x10000, 0xFFFFFF)
_MESSAGES = (0, 1, 2, 4, 8, 11, 12, 13, 14, 15, 16, 20, 22, 24, 25, 254, 255)
_CONTENTS = (0, 20, 21, 22, 23, 24, 255)
_HEADER = 5


class Mutator:
    """Makes hostile variants; `pieces` are bytes that it may splice in, above all other staples and messages."""

    def __init__(self, random: Random, pieces: Sequence[bytes]) -> None:
        self.random = random
        self._pieces = pieces

    # --- bytes

    def bytes(self, data: bytes) -> bytes:
        """The data with one to four things changed; sometimes they undo each other."""
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 4))):
            self.random.choice(
                (self._flip, self._flip, self._lie, self._lie, self._cut, self._grow, self._splice, self._repeat)
            )(changed)
        return bytes(changed)

    def _place(self, data: bytearray) -> int:
        """Anywhere, and half of the time near the start, where the headers are."""
        end = len(data) + 1
        return self.random.randrange(min(end, 64) if self.random.random() < 0.5 else end)

    def _flip(self, data: bytearray) -> None:
        for _ in range(self.random.choice((1, 1, 1, 2, 8))):
            place = self._place(data)
            if place < len(data):
                data[place] ^= self.random.choice((1 << self.random.randrange(8), self.random.randrange(1, 256)))

    def _lie(self, data: bytearray) -> None:
        """Another number where a length may stand: one off, or a limit."""
        width = self.random.choice((1, 2, 2, 3, 3))
        starts = [place for place in range(len(data) - width) if self._may_be_length(data, place, width)]
        if not starts:
            return
        place = self.random.choice(starts)
        truth = int.from_bytes(data[place : place + width], "big")
        lie = self.random.choice((truth - 1, truth + 1, truth * 2, *_LENGTHS))
        data[place : place + width] = (max(lie, 0) % (1 << 8 * width)).to_bytes(width, "big")

    def _may_be_length(self, data: bytearray, place: int, width: int) -> bool:
        if place > 256 and self.random.random() < 0.9:
            return False
        said = int.from_bytes(data[place : place + width], "big")
        return place + width + said <= len(data) and (width == 1 or said > 0)

    def _cut(self, data: bytearray) -> None:
        place = self._place(data)
        if self.random.random() < 0.5:
            del data[place:]
        else:
            del data[place : place + self.random.choice((1, 2, 3, 4, 64))]

    def _grow(self, data: bytearray) -> None:
        place = self.random.choice((len(data), self._place(data)))
        data[place:place] = self.random.randbytes(self.random.choice((1, 1, 2, 3, 4, 200)))

    def _splice(self, data: bytearray) -> None:
        piece = self.random.choice(self._pieces)
        start = self.random.randrange(len(piece) + 1)
        part = piece[start : start + self.random.choice((4, 64, len(piece)))]
        place = self._place(data)
        data[place : place + self.random.choice((0, len(part)))] = part

    def _repeat(self, data: bytearray) -> None:
        place = self._place(data)
        part = data[place : place + self.random.choice((1, 4, 64, 1024))]
        data[place:place] = part * self.random.choice((1, 1, 2, 16))

    # --- handshake messages, headers included

    def messages(self, messages: Sequence[bytes]) -> list[bytes]:
        """The same messages with one or two of them changed, dropped, doubled, swapped, or another among them."""
        changed = list(messages)
        for _ in range(self.random.choice((1, 1, 1, 2))):
            if not changed:
                break
            place, other = self.random.randrange(len(changed)), self.random.randrange(len(changed))
            what = self.random.randrange(10)
            if what == 0:
                del changed[place]
            elif what == 1:
                changed.insert(other, changed[place])
            elif what == 2:
                changed[place], changed[other] = changed[other], changed[place]
            elif what == 3:
                changed.insert(place, self.message(self.random.choice(_MESSAGES), self.random.choice(self._pieces)))
            else:
                changed[place] = self.change(changed[place])
        return changed

    def change(self, message: bytes) -> bytes:
        """Another body, mostly with the length that is true of it; sometimes the header is changed, too."""
        if self.random.random() < 0.15:
            return self.bytes(message)
        number = self.random.choice(_MESSAGES) if self.random.random() < 0.05 else message[0]
        return self.message(number, self.bytes(message[4:]))

    @staticmethod
    def message(number: int, body: bytes) -> bytes:
        """A handshake message."""
        return bytes([number]) + wire.vector(body[: (1 << 24) - 1], 3)

    # --- records

    def records(self, data: bytes) -> bytes:
        """A stream with bytes changed, or its records cut otherwise, doubled, swapped, or others put among them."""
        if self.random.random() < 0.5:
            return self.bytes(data)
        records = split_records(data)
        for _ in range(self.random.choice((1, 1, 2))):
            if not records:
                break
            place, other = self.random.randrange(len(records)), self.random.randrange(len(records))
            what = self.random.randrange(6)
            if what == 0:
                del records[place]
            elif what == 1:
                records.insert(other, records[place])
            elif what == 2:
                records[place], records[other] = records[other], records[place]
            elif what == 3:
                records.insert(place, self._record())
            elif what == 4:
                records[place : place + 1] = self._fragments(records[place])
            else:
                records[place] = self.bytes(records[place])
        return b"".join(records)

    def _record(self) -> bytes:
        content = self.random.choice(_CONTENTS)
        body = self.random.choice((b"", b"\x01", b"\x01\x00", b"\x02\x28", b"\x01\x70", self.random.randbytes(40)))
        return bytes([content, 3, self.random.choice((0, 1, 3, 4))]) + wire.vector(body, 2)

    def _fragments(self, record: bytes) -> list[bytes]:
        size = self.random.choice((1, 3, 100, 1000))
        head, body = record[:3], record[_HEADER:]
        starts = range(0, min(len(body), 40 * size), size)
        return [head + wire.vector(body[start : start + size], 2) for start in starts]


def split_records(data: bytes) -> list[bytes]:
    """The records of a stream; what is left of one that is cut short comes last."""
    records = []
    while data:
        end = 5 + int.from_bytes(data[3:5], "big")
        records.append(data[:end])
        data = data[end:]
    return records


def split_hello(hello: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """A ClientHello message as what stands before its extensions, without the message's header, and those."""
    reader = wire.Reader(hello[4:], "ClientHello")
    head = reader.take(34)
    for width in (1, 2, 1):
        head += wire.vector(reader.vector(width), width)
    return head, list(wire.decode_extensions(reader, "ClientHello").items())
