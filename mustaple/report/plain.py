"""One line that no terminal, log or page acts upon: certificates, servers and target lists may say anything."""

from __future__ import annotations


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
