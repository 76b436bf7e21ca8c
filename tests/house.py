"""Reads the source tree and says where it breaks the house rules: rings, purity, and who may hold what."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

# Lowest first; a module may import its own ring and those below. `mustaple` itself, the façade that names the public
# API, stands beside what is built from the parts.
RINGS = (
    ("certtools",),
    ("mustaple.core",),
    ("mustaple.net",),
    ("mustaple.report",),
    ("mustaple.lab", "mustaple.agent", "mustaple.integrations"),
    ("mustaple.cli", "mustaple.__main__"),
)
FACADE = "mustaple"
FACADE_RANK = 4

# What computes and does nothing else. A name is added here after a look at what it does when it is imported.
PURE = (
    *("__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses", "datetime"),
    *("difflib", "enum", "functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "math", "operator", "re"),
    *("string", "struct", "textwrap", "types", "typing", "unicodedata", "urllib.parse", "warnings"),
    *("asn1crypto", "certtools", "cryptography", "idna"),
)
PURE_CORE = (*PURE, "mustaple.core")
PURE_CERTTOOLS = (*PURE, "secrets", "contextvars")  # a serial number and a key are drawn, never guessed
CERTTOOLS_ON_DISK = "certtools.ca_dir"

CLOCKS = {"now", "utcnow", "today"}
BUILTINS_THAT_ACT = {"open", "print", "input", "breakpoint", "eval", "exec", "compile", "__import__"}
METHODS_ON_FILES = {"read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir", "import_module"}

FORGE = "certtools.forge"
MAY_FORGE = ("certtools", "mustaple.net.responder", "mustaple.lab")
JUDGES = ("mustaple.core.verdict", "mustaple.core.ocsp", "mustaple.core.crl")

MOST_LINES = 500
SOURCES = ("certtools", "mustaple", "tests", "bench", "examples")


class Finding(NamedTuple):
    """Where a rule is broken, and how."""

    path: Path
    line: int
    said: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.said}"


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path, its text."""

    name: str
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def modules(root: Path, folders: tuple[str, ...] = ("certtools", "mustaple")) -> list[Module]:
    """Every module under these folders of `root`, `mustaple/core/__init__.py` as `mustaple.core`."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Module(name, path.relative_to(root), path.read_text(encoding="utf-8")))
    return found


def within(name: str, places: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these or lies in one of them."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def imports(module: Module, known: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Every import wherever it stands: at the top, in a function, under TYPE_CHECKING, or by a constant name.

    `from package import name` gives `package.name`, or `package` alone where that is ours and `name` no module of it.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = module.package.split(".")
                base = ".".join([*start[: len(start) - node.level + 1], *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield (full if full in known or base not in known else base), node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def rank(name: str) -> int | None:
    """The ring of a module of ours, 0 for the lowest; None where it has no place in the house."""
    if name == FACADE:
        return FACADE_RANK
    return next((index for index, ring in enumerate(RINGS) if within(name, ring)), None)


def _house(root: Path) -> tuple[list[Module], frozenset[str]]:
    house = modules(root)
    return house, frozenset(module.name for module in house) | {CERTTOOLS_ON_DISK, FORGE}


def upward_imports(root: Path) -> list[Finding]:
    """Imports that go up a ring, and modules that stand in none."""
    house, known = _house(root)
    found = []
    for module in house:
        own = rank(module.name)
        if own is None:
            found.append(Finding(module.path, 1, f"{module.name} stands in no ring"))
            continue
        for target, line in imports(module, known):
            theirs = rank(target) if within(target, ("certtools", "mustaple")) else 0
            if theirs is None or theirs > own:
                found.append(Finding(module.path, line, f"{module.name} imports {target}, which is above it"))
    return found


def impurities(root: Path) -> list[Finding]:
    """I/O, clocks and randomness in `core`, and I/O or clocks in `certtools` outside the CA directory."""
    house, known = _house(root)
    found = []
    for module in house:
        if within(module.name, ("mustaple.core",)):
            allowed = PURE_CORE
        elif within(module.name, ("certtools",)) and not within(module.name, (CERTTOOLS_ON_DISK,)):
            allowed = PURE_CERTTOOLS
        else:
            continue
        found += [
            Finding(module.path, line, f"{module.name} imports {target}, which is not known to be pure")
            for target, line in imports(module, known)
            if not within(target, allowed) or within(target, (CERTTOOLS_ON_DISK,))
        ]
        found += [Finding(module.path, line, f"{module.name} uses {said}") for said, line in _acts(module.tree)]
    return found


def _acts(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            yield f"the clock, .{node.attr}", node.lineno
        elif isinstance(node, ast.Attribute) and node.attr in METHODS_ON_FILES:
            yield f".{node.attr}", node.lineno
        elif isinstance(node, ast.Name) and node.id in BUILTINS_THAT_ACT:
            yield node.id, node.lineno


def forgers(root: Path) -> list[Finding]:
    """Imports of `certtools.forge` by anybody but those who answer or attack: a client must never be able to forge."""
    house, known = _house(root)
    return [
        Finding(module.path, line, f"{module.name} imports {target}")
        for module in house
        if not within(module.name, MAY_FORGE)
        for target, line in imports(module, known)
        if within(target, (FORGE,))
    ]


def warrant_holders(root: Path) -> list[Finding]:
    """Every mention of a `Warrant` outside the judges, tests included: only a judge builds a "good"."""
    found = []
    for module in modules(root, SOURCES):
        if module.name in JUDGES or "warrant" not in module.text.lower():
            continue
        found += [
            Finding(module.path, getattr(node, "lineno", 1), f"{module.name} holds a Warrant")
            for node in ast.walk(module.tree)
            if any(name.strip("_").lower() == "warrant" for name in _names(node))
        ]
    return found


def _names(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (node.attr,)
    if isinstance(node, ast.alias):
        return (node.name, node.asname or "")
    return (node.arg or "",) if isinstance(node, ast.keyword) else ()


def wordless(root: Path) -> list[Finding]:
    """Files that do not open with one sentence saying their job."""
    found = []
    for module in modules(root, SOURCES):
        paragraph = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
        if not paragraph:
            found.append(Finding(module.path, 1, "no docstring says what this file is for"))
        elif not paragraph.endswith(".") or re.search(r"(?<!App)[.!?]\s+[A-Z]", paragraph):
            found.append(Finding(module.path, 1, "the docstring does not open with one sentence"))
    return found


def oversized(root: Path) -> list[Finding]:
    """Files that are longer than one job should take."""
    return [
        Finding(module.path, lines, f"{lines} lines, where {MOST_LINES} are allowed")
        for module in modules(root, SOURCES)
        if (lines := module.text.count("\n")) > MOST_LINES
    ]
