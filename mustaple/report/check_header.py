"""What an accepted server said of Expect-Staple over HTTP, as one line for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core.errors import NetworkError
from mustaple.net.expect_http import Heard

if TYPE_CHECKING:
    from mustaple.net.expect_http import HeaderSeen


def header_text(seen: HeaderSeen | NetworkError) -> str:
    """Whether there was a header, and what came of it, or why nobody knows."""
    if isinstance(seen, NetworkError):
        return f"Expect-Staple: not looked for: {seen}"
    if seen.heard is Heard.ABSENT:
        return "Expect-Staple: the server sends no such header"
    if seen.heard is Heard.FORGOTTEN:
        return "Expect-Staple: the host is forgotten, as it asks (max-age=0)"
    if seen.known is None:
        return f"Expect-Staple: ignored: {seen.why}"
    below = ", with all below it" if seen.known.include_subdomains else ""
    return f"Expect-Staple: {seen.known.name} is remembered until {seen.known.expires_at:%Y-%m-%d %H:%M} UTC{below}"
