"""The frame of a page that needs nothing else: no script, no font, no other address."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from mustaple.report.plain import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# The page runs nothing and asks nobody, whatever a certificate, a server or a client has smuggled into it.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
PAGE_END: Final = "</body>\n</html>\n"


def page_top(title: str, *styles: str) -> Iterator[str]:
    """All that comes before the body's content; `title` is text, `styles` are CSS."""
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n'
    yield f"<title>{as_text(title)}</title>\n<style>\n{''.join(styles)}</style>\n</head>\n<body>\n"


def as_text(text: str) -> str:
    """Text as HTML, in an element or an attribute: without what does not print, and with no markup."""
    return escape(printable(text))
