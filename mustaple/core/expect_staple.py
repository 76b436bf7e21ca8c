"""The Expect-Staple header: what one field says, and which hosts it makes known for how long.

The source is Scott Helme's draft-helme-expect-staple ("Expect-Staple Extension for HTTP", kept on GitHub), cited as
Expect-Staple §n with its headings counted from "Introduction" as 1; host names are matched as RFC 6797 has it, to which
the draft refers. The draft only reports. That a client may *enforce* what the header promises is this project's own
(`Policy.expect_staple`); so are the limits below and the refusal of credentials in a report-uri. The note
rfc_notes/expect-staple.md tells the two apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509

from certtools.names import NamingError, general_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

FIELD_NAME: Final = b"expect-staple"
MAX_HEADER: Final = 4096  # characters of the header's value
# The draft's own example of an upper limit: a host noted by mistake is free again after this.
LONGEST_MAX_AGE: Final = timedelta(days=60)

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_DIRECTIVE = re.compile(rf"({_WORD})(?:=({_WORD}|{_QUOTED}))?")
_BETWEEN = re.compile(r"[ \t]*;[ \t]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DELTA_SECONDS = re.compile(r"[0-9]+")
# absolute-URI (RFC 3986 §4.3): no fragment, and none of the characters that a URI must escape.
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_WITHOUT_VALUE = frozenset({"includesubdomains", "preload"})


class HeaderError(ValueError):
    """A header field that is ignored because it does not conform; the text says why (Expect-Staple §2.1)."""


@dataclass(frozen=True, slots=True)
class ExpectStapleHeader:
    """What one conforming header field says. `max_age` is at most LONGEST_MAX_AGE; zero asks to be forgotten."""

    max_age: timedelta
    include_subdomains: bool = False
    preload: bool = False
    report_uri: str | None = None


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A Known Expect-Staple Host: `name` in lower case and A-labels; times are aware UTC (Expect-Staple §2.3.2)."""

    name: str
    noted_at: datetime
    expires_at: datetime
    include_subdomains: bool = False
    preload: bool = False
    report_uri: str | None = None

    def applies_to(self, name: str, at: datetime) -> bool:
        """Whether its promise holds for this canonical name at this time: its own, or below it where it says so."""
        if at >= self.expires_at:
            return False
        return name == self.name or (self.include_subdomains and name.endswith(f".{self.name}"))


# --- the header


def first_field(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The first Expect-Staple field of a response; of several only this one counts (Expect-Staple §2.3.1)."""
    return next((value for name, value in headers if name.lower() == FIELD_NAME), None)


def parse_header(value: str | bytes) -> ExpectStapleHeader:
    """Read the value of one header field (Expect-Staple §2.1).

    Raises HeaderError where it is malformed in any way: such a field is ignored whole, never mended.
    """
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if len(text) > MAX_HEADER:
        raise HeaderError(f"it is longer than {MAX_HEADER} characters")
    directives = _directives(text)
    for name in _WITHOUT_VALUE & directives.keys():
        if directives[name] is not None:
            raise HeaderError(f"{name} takes no value")
    return ExpectStapleHeader(
        _max_age(directives),
        include_subdomains="includesubdomains" in directives,
        preload="preload" in directives,
        report_uri=_report_uri(directives),
    )


def _directives(text: str) -> dict[str, str | None]:
    """Every directive by its name in lower case, with its value unquoted; those nobody knows are among them."""
    found: dict[str, str | None] = {}
    text = text.strip(" \t")
    position = 0
    while True:
        directive = _DIRECTIVE.match(text, position)
        if directive is None:
            raise HeaderError(f"there is no directive at character {position + 1}")
        name, value = directive[1].lower(), directive[2]
        if name in found:
            raise HeaderError(f"{name} stands twice")
        found[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value is not None and value.startswith('"') else value
        position = directive.end()
        if position == len(text):
            return found
        between = _BETWEEN.match(text, position)
        if between is None:
            raise HeaderError(f"a directive goes on oddly at character {position + 1}; quote a value such as a URI")
        position = between.end()


def _max_age(directives: dict[str, str | None]) -> timedelta:
    value = directives.get("max-age")
    if value is None:
        raise HeaderError("max-age is missing")
    if not _DELTA_SECONDS.fullmatch(value):
        raise HeaderError("max-age is no number of seconds")
    return timedelta(seconds=min(int(value), int(LONGEST_MAX_AGE.total_seconds())))


def _report_uri(directives: dict[str, str | None]) -> str | None:
    if "report-uri" not in directives:
        return None
    value = directives["report-uri"] or ""
    if not _ABSOLUTE_URI.fullmatch(value):
        raise HeaderError("report-uri is no absolute URI")
    try:
        parts = urlsplit(value)
        usable = parts.scheme.lower() in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise HeaderError("report-uri is no http or https URI")
    if "@" in parts.netloc:
        raise HeaderError("report-uri holds credentials")
    return value


# --- the hosts


def canonical_name(host: str) -> str | None:
    """The host as it is remembered: lower case, A-labels, no dot at the end (RFC 6797 §10).

    None for an IP address, which is never noted (Expect-Staple §2.3.2), and for what is no host name.
    """
    try:
        name = general_name(host.removesuffix("."))
    except NamingError:
        return None
    if not isinstance(name, x509.DNSName) or name.value.startswith("*"):
        return None
    return name.value.lower()


def itself_and_above(name: str) -> Iterator[str]:
    """A canonical name, and then its superdomains up to the top (RFC 6797 §8.2): where to look for a known host."""
    labels = name.split(".")
    for first in range(len(labels)):
        yield ".".join(labels[first:])


def note(header: ExpectStapleHeader, name: str, at: datetime) -> KnownHost | None:
    """What to remember of this canonical name; None where max-age is 0 and it is to be forgotten (§2.3.1, §2.4)."""
    if not header.max_age:
        return None
    expires_at = at + header.max_age
    return KnownHost(name, at, expires_at, header.include_subdomains, header.preload, header.report_uri)
