"""The exceptions mustaple raises, as one tree.

    MustapleError
    ├── InputError      what the caller gave cannot be used: a file, a name, an option
    ├── WireError       bytes from a peer that no TLS or OCSP encoding allows; carries its TLS alert
    ├── NetworkError    nobody answered, or not in time, or not TLS
    └── RefusedError    the policy refused a connection; carries the verdict

A refusal that is *reported* is a value (`ChainVerdict`); it is raised as `RefusedError` only where an
application asked for a connection and must not get one.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mustaple.core.verdict import ChainVerdict


class Alert(enum.IntEnum):
    """TLS alert descriptions that this project sends or explains (RFC 9846 §6, RFC 6066 §8, RFC 6961 §2.2)."""

    UNEXPECTED_MESSAGE = 10
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    DECODE_ERROR = 50
    UNSUPPORTED_EXTENSION = 110
    BAD_CERTIFICATE_STATUS_RESPONSE = 113


class MustapleError(Exception):
    """The root of the tree: whatever this package raises on purpose."""


class InputError(MustapleError):
    """What the caller gave cannot be used; the text says what to do. Exit code 2."""


class WireError(MustapleError):
    """Bytes from a peer that the encoding does not allow.

    `alert` is the TLS alert that answers them (RFC 9846 §6.2).
    """

    def __init__(self, message: str, alert: Alert = Alert.DECODE_ERROR) -> None:
        super().__init__(message)
        self.alert = alert


class NetworkError(MustapleError):
    """Nobody answered, not in time, or not in the protocol that was asked for. Exit code 3."""


class RefusedError(MustapleError):
    """The policy refused this connection; `verdict` says which certificate and why. Exit code 1."""

    def __init__(self, verdict: ChainVerdict) -> None:
        super().__init__(verdict.headline)
        self.verdict = verdict
