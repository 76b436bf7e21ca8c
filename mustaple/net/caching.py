"""What HTTP says about keeping an answer and about asking again (RFC 9919 §7, RFC 9111): guidance, never evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nobody signs these headers (RFC 9919 §8.5): whoever forges one must not stop us for longer than this.
LONGEST_WAIT: Final = timedelta(days=1)
_MOST_DIGITS: Final = 10


def kept_until(headers: Mapping[str, str], at: datetime) -> datetime | None:
    """Until when the answer that came with these headers at the time `at` need not be asked for again.

    That is its max-age, less the time it has spent in caches (RFC 9111 §4.2.3); `at` itself where Cache-Control
    forbids to keep it. None where nothing readable is said. Expires does not count: it repeats nextUpdate
    (RFC 9919 §7.2), when the next answer should long be here.
    """
    directives = {}
    for part in headers.get("cache-control", "").lower().split(","):
        name, _, value = part.partition("=")
        directives[name.strip()] = value.strip(' \t"')
    if "no-cache" in directives or "no-store" in directives:
        return at
    longest = _seconds(directives.get("max-age", ""))
    if longest is None:
        return None
    return at + max(longest - (_seconds(headers.get("age", "").strip()) or timedelta()), timedelta())


def retry_at(retry_after: str, at: datetime) -> datetime | None:
    """When a server that said so at the time `at` wants to be asked again (RFC 9110 §10.2.3), a day at most.

    None where the header can not be read.
    """
    wait = _seconds(retry_after.strip())
    if wait is None:
        try:
            named = parsedate_to_datetime(retry_after)
        except (ValueError, OverflowError):
            return None
        wait = (named if named.tzinfo is not None else named.replace(tzinfo=UTC)) - at
    return at + min(max(wait, timedelta()), LONGEST_WAIT)


def _seconds(text: str) -> timedelta | None:
    """A number of seconds as HTTP writes it; None for anything else. Large ones are cut (RFC 9111 §1.2.2)."""
    if not (text.isascii() and text.isdigit()):
        return None
    return timedelta(seconds=min(int(text[:_MOST_DIGITS]), 1 << 31))
