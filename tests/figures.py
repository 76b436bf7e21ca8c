"""Finds the figures in the documents, each under the command that makes it, and makes them: `python tests/figures.py`.

    <!-- figure: mustaple simulate --connections 1e5 -->
    ```text
    what the command prints
    ```

A picture stands alone: `<!-- picture: mustaple simulate --svg FILE -->` and a line that shows FILE. What takes longer
than a test may has `long figure` or `long picture` there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
FIGURE = re.compile(r"<!-- (?P<long>long )?figure: (?P<command>.+?) -->\n```text\n(?P<text>.*?)```\n", re.DOTALL)
PICTURE = re.compile(r"<!-- (?P<long>long )?picture: (?P<command>.+?) -->\n!\[[^]]*\]\((?P<file>[^)]+)\)\n", re.DOTALL)


class Figure(NamedTuple):
    """One figure: the document, the command, what stands there; for a picture its file, and no text."""

    document: Path
    command: str
    text: str
    file: Path | None
    long: bool


def documents(root: Path = ROOT) -> list[Path]:
    """All documents that may hold figures."""
    return sorted([*root.glob("docs/**/*.md"), *root.glob("rfc_notes/*.md")])


def figures(root: Path = ROOT) -> Iterator[Figure]:
    """Every figure of every document, in order."""
    for document in documents(root):
        text = document.read_text(encoding="utf-8")
        for found in FIGURE.finditer(text):
            yield Figure(document, found["command"], found["text"], None, bool(found["long"]))
        for found in PICTURE.finditer(text):
            yield Figure(document, found["command"], "", document.parent / found["file"], bool(found["long"]))


def said(command: str, folder: Path = ROOT) -> str:
    """What a command prints, run in this folder."""
    program, *arguments = shlex.split(command)
    assert program == "mustaple", f"{command}: figures come out of mustaple"
    code = "from mustaple.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, timeout=3600, check=True
    )
    return run.stdout


def main() -> None:
    """Make every figure anew, the long ones too, and write it where it stands."""
    for figure in list(figures()):
        print(figure.document.name, figure.command, flush=True)  # noqa: T201 - whoever runs this wants to see how far it is
        printed = said(figure.command)
        if figure.file is None:
            text = figure.document.read_text(encoding="utf-8")
            figure.document.write_text(
                text.replace(
                    f": {figure.command} -->\n```text\n{figure.text}```",
                    f": {figure.command} -->\n```text\n{printed}```",
                ),
                encoding="utf-8",
            )


if __name__ == "__main__":
    main()
