"""One line that no terminal, log or page acts upon: certificates, servers and target lists may say anything."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Final

# What json.dumps leaves as it is; not all of it prints.
_UNPRINTABLE: Final = re.compile(r"[^\n -~]")


def printable(text: str) -> str:
    r"""The text with everything that does not print written out, `\x1b` or `\u202e`; it is one line then.

    What does not print are control characters, line ends among them, marks that turn the direction of writing,
    surrogates, and every space but the usual one.
    """
    return text if text.isprintable() else "".join(map(_written, text))


def _written(letter: str) -> str:
    if letter.isprintable():
        return letter
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_text(value: object, *, indent: str = "", one_line: bool = False) -> str:
    r"""A value as JSON, two spaces a level, after `indent`; what does not print is written `\u009b` there too.

    It is the same value to every reader of JSON, and its lines do nothing to a terminal. A lone surrogate, which no
    UTF-8 can hold and strict readers refuse, becomes the text `\udc80`.
    """
    text = json.dumps(value, indent=None if one_line else 2, ensure_ascii=False)
    lines = text if text.isascii() and "\x7f" not in text else _UNPRINTABLE.sub(_escaped, text)
    return textwrap.indent(lines, indent) if indent else lines


def _escaped(found: re.Match[str]) -> str:
    letter = found.group()
    if letter.isprintable():
        return letter
    return json.dumps(printable(letter) if "\ud800" <= letter <= "\udfff" else letter)[1:-1]
