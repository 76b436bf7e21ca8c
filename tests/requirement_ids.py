"""Reads the requirement ids of rfc_notes/ and the markers of the tests, without running either."""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# RFC, section, and a running number: RFC6960-4.2.2.2-1, RFC6960-A.1-2. A draft goes by its name: EXPECT-STAPLE-2.1-1.
ID = re.compile(r"(?:RFC(?P<rfc>\d{4})|(?P<draft>[A-Z]+(?:-[A-Z]+)+))-(?P<section>(?:[A-Z]|\d+)(?:\.\d+)*)-\d+")
HEADING = re.compile(r"^### (?P<id>\S+)\n+(?P<body>.*?)(?=^#{1,3} |\Z)", re.MULTILINE | re.DOTALL)
KEPT_BY = re.compile(r"^Kept by:\s+(?P<names>`[\w.]+`(?:,\s+`[\w.]+`)*)$", re.MULTILINE)


class Requirement(NamedTuple):
    """One requirement of a note: its id, the note it stands in, what it asks, and the dotted names that keep it."""

    id: str
    note: Path
    asks: str
    kept_by: tuple[str, ...]


class Marker(NamedTuple):
    """One id in one `requirement` marker, or None where the marker does not spell it out as a string."""

    id: str | None
    path: Path
    line: int


def requirements(notes: Path) -> list[Requirement]:
    """Every requirement of the notes in this folder, in order: `### ID`, a sentence, `Kept by:` and names."""
    found = []
    for note in sorted(notes.glob("*.md")):
        for section in HEADING.finditer(note.read_text(encoding="utf-8")):
            kept = KEPT_BY.search(section["body"])
            asks = section["body"][: kept.start()] if kept else section["body"]
            names = tuple(re.findall(r"[\w.]+", kept["names"])) if kept else ()
            found.append(Requirement(section["id"], note, " ".join(asks.split()), names))
    return found


def markers(tests: Path) -> list[Marker]:
    """Every id named by a `requirement` marker in this folder's files: on a function, a class, a module or a param."""
    found = []
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_marker(node.func):
                for argument in node.args or [ast.Constant(None)]:
                    value = argument.value if isinstance(argument, ast.Constant) else None
                    found.append(Marker(value if isinstance(value, str) else None, path, node.lineno))
    return found


def _is_marker(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr == "requirement"
    return isinstance(function, ast.Name) and function.id == "requirement"


def problems(notes: Path, tests: Path) -> Iterator[str]:
    """Each break of the convention, in words."""
    known: set[str] = set()
    for requirement in requirements(notes):
        where = f"{requirement.note.name}: {requirement.id}"
        if requirement.id in known:
            yield f"{where} is defined twice"
        known.add(requirement.id)
        for said in _wrong_with(requirement):
            yield f"{where} {said}"
    tested = markers(tests)
    for marker in tested:
        where = f"{marker.path.name}:{marker.line}"
        if marker.id is None:
            yield f"{where}: a requirement marker takes ids as plain strings"
        elif marker.id not in known:
            yield f"{where}: no note defines {marker.id}"
    for name in sorted(known - {marker.id for marker in tested}):
        yield f"no test carries {name}"


def _wrong_with(requirement: Requirement) -> Iterator[str]:
    parts = ID.fullmatch(requirement.id)
    if parts is None:
        yield "is no id of the form RFC6960-4.2.2.2-1"
    elif (home := parts["rfc"] or parts["draft"].lower()) != requirement.note.stem:
        yield f"belongs in {home}.md"
    if not requirement.asks:
        yield "does not say what it asks"
    if not requirement.kept_by:
        yield "does not say what keeps it"
    for name in requirement.kept_by:
        if not resolves(name):
            yield f"is kept by {name}, which is not there"


def resolves(name: str) -> bool:
    """Whether a dotted name is a function, class or method that imports."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return callable(found)
    return False
