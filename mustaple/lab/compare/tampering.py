"""What somebody without a key can do to a handshake on the path: bytes in, bytes out, without I/O."""

from __future__ import annotations

from typing import Final, Protocol

_HANDSHAKE, _APPLICATION_DATA = 22, 23
_SERVER_HELLO_DONE, _CERTIFICATE_STATUS = 14, 22
_HEADER: Final = 5  # bytes of a record's header
_MESSAGE_HEADER: Final = 4
_MOST: Final = 1 << 14  # bytes of a record's content, RFC 5246 §6.2.1
# No certificate of ours fits in less, and a record that holds what stands before the certificates is smaller.
_HOLDS_CERTIFICATES: Final = 400  # bytes
_TAKEN: Final = 64  # bytes


class CutError(Exception):
    """The connection is to be cut here."""


class Tampering(Protocol):
    """What is done to one connection's bytes from server to client. `changed` says whether anything was."""

    changed: bool

    def feed(self, data: bytes) -> bytes:
        """What goes on to the client of what has come. Raises CutError to cut both sides."""


class BreakConnection:
    """Lets the ClientHello through, and cuts the connection when the server answers."""

    changed = False

    def feed(self, data: bytes) -> bytes:
        """Nothing goes on."""
        self.changed = True
        raise CutError(f"{len(data)} bytes of the server's were the last")


class RemoveStaple:
    """Takes the CertificateStatus out of the flight of TLS 1.2, where it is in clear (RFC 6066 §8).

    In TLS 1.3 the staples are in the Certificate message, which is encrypted: all that can be done is to take bytes out
    of the record that must hold it, which then opens no more.
    """

    changed = False

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._messages = bytearray()
        self._over = False

    def feed(self, data: bytes) -> bytes:
        """The whole records in what has come so far, without the staple."""
        self._buffer += data
        told = bytearray()
        while not self._over and len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[3:_HEADER], "big")
            if len(self._buffer) < end:
                return bytes(told)
            record = bytes(self._buffer[:end])
            del self._buffer[:end]
            told += self._record(record)
        if self._over:
            told += self._buffer
            self._buffer.clear()
        return bytes(told)

    def _record(self, record: bytes) -> bytes:
        kind, version, body = record[0], record[1:3], record[_HEADER:]
        if kind == _HANDSHAKE:
            return self._handshake(version, body)
        if kind == _APPLICATION_DATA and len(body) > _HOLDS_CERTIFICATES:
            self._over = self.changed = True
            return _framed(kind, version, body[:-_TAKEN])
        return record  # an alert, what TLS 1.3 sends for middleboxes, or a record too small

    def _handshake(self, version: bytes, body: bytes) -> bytes:
        """The messages that are complete, each in a record of its own: one may have begun in the record before."""
        self._messages += body
        told = bytearray()
        while len(self._messages) >= _MESSAGE_HEADER:
            end = _MESSAGE_HEADER + int.from_bytes(self._messages[1:_MESSAGE_HEADER], "big")
            if len(self._messages) < end:
                break
            message = bytes(self._messages[:end])
            del self._messages[:end]
            if message[0] == _CERTIFICATE_STATUS:
                self.changed = True
                continue
            for start in range(0, len(message), _MOST):
                told += _framed(_HANDSHAKE, version, message[start : start + _MOST])
            # What follows in TLS 1.2 is encrypted, and holds no staple.
            self._over = message[0] == _SERVER_HELLO_DONE
        return bytes(told)


def _framed(kind: int, version: bytes, body: bytes) -> bytes:
    return bytes([kind]) + version + len(body).to_bytes(2, "big") + body
