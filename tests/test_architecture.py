"""The house rules hold for this tree, and each check flags a small tree that breaks its rule."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import house
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[[Path], list[house.Finding]]

CHECKS = (
    house.upward_imports,
    house.impurities,
    house.forgers,
    house.warrant_holders,
    house.wordless,
    house.oversized,
)

# What each check must flag: the file it stands in and the one line that breaks the rule.
VIOLATIONS: dict[str, tuple[Check, str, str]] = {
    "core imports net": (house.upward_imports, "mustaple/core/a.py", "import mustaple.net"),
    "certtools imports core": (house.upward_imports, "certtools/a.py", "from mustaple.core import b"),
    "core imports lab in a function": (
        house.upward_imports,
        "mustaple/core/a.py",
        "def f():\n    from mustaple.lab import cases",
    ),
    "net imports report for its types alone": (
        house.upward_imports,
        "mustaple/net/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mustaple.report import text",
    ),
    "report imports cli by a relative import": (house.upward_imports, "mustaple/report/a.py", "from ..cli import main"),
    "net imports the façade": (house.upward_imports, "mustaple/net/a.py", "from mustaple import connect"),
    "lab imports cli by name": (
        house.upward_imports,
        "mustaple/lab/a.py",
        "import importlib\nimportlib.import_module('mustaple.cli')",
    ),
    "a folder that no ring knows": (house.upward_imports, "mustaple/helpers/a.py", "X = 1"),
    "core imports socket": (house.impurities, "mustaple/core/a.py", "import socket"),
    "core imports os in a function": (house.impurities, "mustaple/core/a.py", "def f():\n    from os import urandom"),
    "core imports pathlib for its types alone": (
        house.impurities,
        "mustaple/core/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path",
    ),
    "core imports urllib.request": (house.impurities, "mustaple/core/a.py", "from urllib import request"),
    "core imports the CA directory": (house.impurities, "mustaple/core/a.py", "from certtools import ca_dir"),
    "core reads the clock": (house.impurities, "mustaple/core/a.py", "import datetime\nX = datetime.datetime.now()"),
    "core keeps a clock for later": (
        house.impurities,
        "mustaple/core/a.py",
        "from datetime import datetime\nclock = datetime.utcnow",
    ),
    "core opens a file": (house.impurities, "mustaple/core/a.py", "X = open('a').read()"),
    "core reads a path it was given": (house.impurities, "mustaple/core/a.py", "def f(path):\n    path.read_bytes()"),
    "core prints": (house.impurities, "mustaple/core/a.py", "print('hello')"),
    "certtools imports sqlite3 outside the CA directory": (house.impurities, "certtools/a.py", "import sqlite3"),
    "certtools reads the clock": (house.impurities, "certtools/a.py", "from datetime import date\nX = date.today()"),
    "the client forges": (house.forgers, "mustaple/net/client.py", "from certtools import forge"),
    "the judge forges": (house.forgers, "mustaple/core/ocsp.py", "from certtools.forge import respond"),
    "policy holds a warrant": (
        house.warrant_holders,
        "mustaple/core/policy.py",
        "from mustaple.core import verdict\nverdict.Warrant()",
    ),
    "a test holds a warrant by another name": (
        house.warrant_holders,
        "tests/test_a.py",
        "from mustaple.core.verdict import Warrant as Paper",
    ),
    "a test borrows the judge's warrant": (
        house.warrant_holders,
        "tests/test_a.py",
        "from mustaple.core.ocsp import _WARRANT",
    ),
}

TWO_SENTENCES = '"""This is one sentence. This is another."""\n'


def plant(root: Path, path: str, text: str, docstring: str = '"""One sentence."""\n') -> None:
    """A house with nothing wrong in it but the given file."""
    for folder in ("certtools", "mustaple/core", "mustaple/net", "mustaple/report", "mustaple/lab", "mustaple/cli"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text('"""One sentence."""\n')
    (root / "mustaple/__init__.py").write_text('"""One sentence."""\n')
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(docstring + text + "\n")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_this_tree_keeps_the_house_rules(check: Check) -> None:
    found = check(house.ROOT)
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize(("check", "path", "text"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_tree_that_breaks_a_rule_is_flagged(tmp_path: Path, check: Check, path: str, text: str) -> None:
    plant(tmp_path, path, text)
    assert [finding.path.as_posix() for finding in check(tmp_path)][:1] == [path]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_tree_that_keeps_every_rule_is_not_flagged(tmp_path: Path, check: Check) -> None:
    plant(
        tmp_path,
        "mustaple/net/responder.py",
        "import socket\nimport mustaple.core\nfrom certtools.forge import respond\nfrom . import fetch",
        '"""One sentence.\n\nMore of them may follow. Like this."""\n',
    )
    assert not check(tmp_path)


@pytest.mark.parametrize("docstring", ["", '"""no full stop"""\n', TWO_SENTENCES])
def test_a_file_says_its_job_in_one_sentence(tmp_path: Path, docstring: str) -> None:
    plant(tmp_path, "examples/a.py", "X = 1", docstring)
    assert [finding.path.as_posix() for finding in house.wordless(tmp_path)] == ["examples/a.py"]


def test_a_file_is_no_longer_than_one_job(tmp_path: Path) -> None:
    plant(tmp_path, "tests/test_a.py", "\n" * (house.MOST_LINES - 2))
    assert not house.oversized(tmp_path)
    (tmp_path / "tests/test_a.py").write_text('"""One sentence."""' + "\n" * (house.MOST_LINES + 1))
    assert [finding.path.as_posix() for finding in house.oversized(tmp_path)] == ["tests/test_a.py"]


def loaded_by(*statements: str) -> set[str]:
    """What a fresh interpreter has loaded after these statements."""
    code = "\n".join([*statements, "import json, sys", "json.dump(sorted(sys.modules), sys.stdout)"])
    run = subprocess.run([sys.executable, "-c", code], cwd=house.ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


HEAVY = {"sqlite3", "ssl", "OpenSSL", "httpx", "asyncio", "socket", "logging", "subprocess", "uvicorn", "rich", "typer"}


def test_the_pure_rings_load_nothing_that_acts() -> None:
    pure = [
        module.name
        for module in house.modules(house.ROOT, ("certtools", "mustaple/core"))
        if not house.within(module.name, (house.CERTTOOLS_ON_DISK,))
    ]
    bare = loaded_by("from cryptography import x509", "from cryptography.x509 import ocsp")
    loaded = loaded_by(*(f"import {name}" for name in pure))
    assert set(pure) <= loaded
    assert not (loaded - bare) & HEAVY
    assert not bare & (HEAVY - {"socket"}), "cryptography itself loads socket, and no more of these"


def test_what_acts_is_seen_when_it_is_loaded() -> None:
    assert {"ssl", "sqlite3"} <= loaded_by("import ssl, sqlite3") & HEAVY
