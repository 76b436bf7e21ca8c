"""The name a client meant, and whether a certificate holds it (RFC 9525), as service-identity decides."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

from certtools.chain import name_of
from certtools.extensions import ExtensionsError, extensions_of
from certtools.names import general_name
from mustaple.core.errors import InputError
from mustaple.core.verdict import Code, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

_CACHED_ANSWERS: Final = 256


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A host name or IP address to check certificates against. Make one with `service_name`.

    `server_name` is what the ClientHello says (RFC 6066 §3): ASCII without a dot at its end, None for an address.
    """

    text: str
    identifier: DNS_ID | IPAddress_ID = field(compare=False)
    server_name: bytes | None


def service_name(text: str) -> ServiceName:
    """Read a host name (IDNA too) or an IP address, in brackets or with a zone if need be.

    Raises InputError where it is neither.
    """
    bare = text.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        pass
    else:
        return ServiceName(text, IPAddress_ID(str(address)), None)
    try:
        identifier = DNS_ID(str(general_name(text.removesuffix(".")).value))
    except ValueError as error:  # a NamingError is one too
        raise InputError(f"{text!r} is neither a host name nor an IP address.") from error
    return ServiceName(text, identifier, identifier.hostname)


@lru_cache(maxsize=_CACHED_ANSWERS)
def name_reason(certificate: x509.Certificate, name: ServiceName) -> Reason | None:
    """Why this certificate is not for this name; None where it is.

    Only dNSName and iPAddress count, never the common name (RFC 9525 §6.1). A name in the certificate that no client
    could match is passed over; so is a TLS Feature list that `cryptography` cannot read.
    """
    try:
        found = extensions_of(certificate).get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Reason(Code.NAME_MISMATCH, f"{name_of(certificate)} holds no subjectAltName, so not {name.text!r}")
    except ExtensionsError as error:
        return Reason(Code.NAME_MISMATCH, f"the names of {name_of(certificate)} cannot be read: {error}")
    patterns = list(_patterns(found))
    try:
        verify_service_identity(patterns, [name.identifier], [])
    except (CertificateError, VerificationError):
        held = ", ".join(_shown(pattern) for pattern in patterns[:8]) or "no name of a server"
        return Reason(Code.NAME_MISMATCH, f"{name_of(certificate)} is for {held}, not for {name.text!r}")
    return None


def _patterns(names: x509.SubjectAlternativeName) -> Iterator[DNSPattern | IPAddressPattern]:
    for value in names.get_values_for_type(x509.DNSName):
        try:
            yield DNSPattern.from_bytes(value.encode("utf-8"))
        except CertificateError:
            continue
    for address in names.get_values_for_type(x509.IPAddress):
        if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
            yield IPAddressPattern(address)


def _shown(pattern: DNSPattern | IPAddressPattern) -> str:
    found = pattern.pattern
    return repr(found.decode("utf-8", "replace")) if isinstance(found, bytes) else str(found)
