"""What every command shares: exit codes, files and times from the command line, complaints, JSON."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError
from mustaple.net.address import parse_address

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from certtools.chain import Chain

__all__ = [
    "EXIT_ACCEPTED",
    "EXIT_INTERNAL",
    "EXIT_NO_ANSWER",
    "EXIT_REFUSED",
    "EXIT_USAGE",
    "MAX_FILE_BYTES",
    "complain",
    "parse_address",
    "parse_duration",
    "parse_time",
    "print_json",
    "read_certificate",
    "read_certificates",
    "read_chain",
    "read_file",
    "write_public",
]

EXIT_ACCEPTED: Final = 0
EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_ANSWER: Final = 3
EXIT_INTERNAL: Final = 4

# No certificate, chain, request or response that a command reads from a file is larger.
MAX_FILE_BYTES: Final = 16 * 1024 * 1024


def complain(message: str) -> None:
    """One line on stderr, whatever the message holds, and whole whatever other threads say."""
    line = " ".join(message.split())
    print(f"mustaple: {line}\n", end="", file=sys.stderr)


def complain_raw(line: str) -> None:
    """A line on stderr as it is, whole whatever other threads say."""
    print(f"{line}\n", end="", file=sys.stderr, flush=True)


def read_file(path: Path, what: str, *, allow_empty: bool = False, most: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of a file that the user named; `what` says in the error what it should have been.

    Raises InputError where it cannot be read, is empty (unless allowed), or is larger than `most` bytes.
    """
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with path.open("rb") as file:
                data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    if len(data) > most:
        raise InputError(f"the {what} {path} is larger than {most:,} bytes")
    if not data and not allow_empty:
        raise InputError(f"the {what} {path} is empty")
    return data


def write_public(path: Path, data: bytes, what: str) -> None:
    """Write a file that everybody may read, whole or not at all; `what` says in the error what it should have been.

    Raises InputError where it cannot be written.
    """
    from certtools.ca_dir.files import PUBLIC, write_atomic

    try:
        write_atomic(path, data, PUBLIC)
    except OSError as error:
        raise InputError(f"cannot write the {what} {path}: {error.strerror or error}") from error


def read_certificates(path: Path, what: str = "certificates") -> list[Certificate]:
    """Every certificate in a PEM, DER or PKCS#12 file, in its order.

    Raises InputError, with the file's name, where there is none.
    """
    from certtools.chain import ChainError, load_certificates

    try:
        return load_certificates(read_file(path, what))
    except ChainError as error:
        raise InputError(f"{path}: {error}") from error


def read_chain(path: Path, what: str = "certificate file") -> Chain:
    """The chain that the certificates in a file make. Raises InputError, with the file's name, where they make none."""
    from certtools.chain import ChainError, build_chain

    try:
        return build_chain(read_certificates(path, what))
    except ChainError as error:
        raise InputError(f"{path}: {error}") from error


def read_certificate(path: Path, what: str = "certificate") -> Certificate:
    """The certificate in a file; of several, the leaf. Raises InputError, with the file's name, where there is none."""
    return read_chain(path, what).leaf


def parse_time(text: str | None) -> datetime:
    """An ISO 8601 time as aware UTC; a date alone is its midnight, no zone means UTC, None and "now" are now.

    Raises InputError for anything else.
    """
    if text is None or text == "now":
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a time; write it as 2026-11-22T12:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """A span such as `300s`, `15m`, `12h`, `10d` or `200ms`; a bare number is seconds. Raises InputError otherwise."""
    number = text.rstrip("".join(_UNITS))
    unit = text[len(number) :] or "s"
    try:
        span = timedelta(seconds=float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise InputError(f"{text!r} is not a span of time; write it as 300s, 15m, 12h or 10d") from None
    if span < timedelta():
        raise InputError(f"{text!r} is negative; a span of time is not")
    return span


def print_json(value: object) -> None:
    """One JSON document on stdout, indented, ended by a newline."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
