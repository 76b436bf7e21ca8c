"""Subject alternative names from text: DNS (wildcards, IDNA), IP addresses and e-mail, told apart by their look."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}\Z")


class NamingError(ValueError):
    """A name that cannot stand in a certificate; the text says why."""


def general_name(text: str) -> x509.GeneralName:
    """The general name (RFC 5280 §4.2.1.6) that this text looks like.

    An IPv4 or IPv6 address gives iPAddress, a text with `@` rfc822Name, anything else dNSName; letters outside
    ASCII become A-labels (RFC 5891). A wildcard is allowed as the whole leftmost label (RFC 9525 §6.3).

    Raises NamingError for anything that is none of these.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if "@" in text:
        mailbox, _, domain = text.rpartition("@")
        if not _MAILBOX.match(mailbox):
            raise NamingError(f"{text!r} is no e-mail address that a certificate can hold.")
        return x509.RFC822Name(f"{mailbox}@{_dns(domain, text)}")
    wildcard, dot, rest = text.partition(".")
    if wildcard == "*" and dot:
        return x509.DNSName(f"*.{_dns(rest, text)}")
    return x509.DNSName(_dns(text, text))


def general_names(texts: Iterable[str]) -> tuple[x509.GeneralName, ...]:
    """`general_name` of each, in order, without repetition.

    Raises NamingError for a text that is no name, and where there is none at all.
    """
    names = tuple(dict.fromkeys(map(general_name, texts)))
    if not names:
        raise NamingError("A certificate needs at least one name.")
    return names


def as_text(name: x509.GeneralName) -> str:
    """The text that `general_name` makes this name from.

    Raises NamingError for kinds other than dNSName, iPAddress and rfc822Name, which this authority never checks.
    """
    if isinstance(name, x509.DNSName | x509.RFC822Name):
        return name.value
    if isinstance(name, x509.IPAddress) and isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return str(name.value)
    raise NamingError(f"A name like {name!r} is not issued, only DNS names, IP addresses and e-mail addresses.")


def _dns(text: str, whole: str) -> str:
    """A host name in A-labels, or NamingError with the reason."""
    try:
        text.encode("ascii")
    except UnicodeEncodeError:
        text = _a_labels(text, whole)
    labels = text.split(".")
    if len(text) > 253 or not all(map(_LABEL.match, labels)):
        raise NamingError(f"{whole!r} is no host name, IP address or e-mail address{_hint(whole)}.")
    if labels[-1].isdigit():
        # A name that ends in a number is an address gone wrong (RFC 1123 §2.1), and no client will match it.
        raise NamingError(f"{whole!r} ends in a number but is no IP address.")
    return text


def _a_labels(text: str, whole: str) -> str:
    import idna

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise NamingError(f"{whole!r} is no internationalised host name: {error}.") from error


def _hint(text: str) -> str:
    if "://" in text:
        return "; leave out the scheme"
    if text.rpartition(":")[2].isdigit():
        return "; leave out the port"
    if text.endswith("."):
        return "; leave out the dot at its end"
    if any(map(str.isspace, text)):
        return "; a name holds no spaces"
    return ""
