"""CRLs that the user gives, as files or bytes, in DER or PEM: read before anybody is asked anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mustaple.core.crl_case import MAX_CRL_BYTES, Crl, open_crl
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mustaple.net.tls_context import PathLike


class GivenCrl(NamedTuple):
    """A CRL that could be read, and where it is from."""

    origin: str
    crl: Crl


def read_crls(given: Iterable[bytes | PathLike | GivenCrl]) -> tuple[GivenCrl, ...]:
    """Each CRL opened; a path is a file of one CRL, and one that is opened already stays as it is.

    Raises InputError, which names the file, for what cannot be read or is no CRL. Nothing is judged here.
    """
    return tuple(each if isinstance(each, GivenCrl) else _read(each) for each in given)


def _read(given: bytes | PathLike) -> GivenCrl:
    if isinstance(given, bytes):
        origin, data = "a CRL given", given
    else:
        origin = os.fspath(given)
        try:
            with Path(origin).open("rb") as file:
                data = file.read(MAX_CRL_BYTES * 2)  # PEM takes 1.4 times as much
        except OSError as error:
            raise InputError(f"cannot read the CRL {origin}: {error.strerror or error}") from error
    opened = open_crl(crl_der(data))
    if not isinstance(opened, Crl):
        raise InputError(f"{origin} is not a CRL that can be used: {opened.detail}")
    return GivenCrl(origin, opened)


def crl_der(data: bytes) -> bytes:
    """The DER within what may be a PEM file with a CRL; the same bytes where it is none."""
    if b"-----BEGIN X509 CRL" not in data[:4096]:
        return data
    from asn1crypto import pem

    try:
        _, _, der = pem.unarmor(data)
    except ValueError:
        return data
    return bytes(der)
