"""Mutation testing of the judge, the policy, the decision and the wire format, by mutmut, in a copy of the tree.

    python tests/mutants.py              # all of them; two cores take ten minutes
    python tests/mutants.py --keep DIR   # leave the copy there, for `mutmut show NAME` and `mutmut browse` in it

Each mutant is one small change to the code; the tests that reach the function run until one of them fails. It prints
the mutants that no test killed, as differences, and exits 1 where they are more than one in twenty. docs/mutants.md
says why those that are left are left.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
MUTATED: Final = [
    f"mustaple/core/{name}.py" for name in ("ocsp", "ocsp_case", "ocsp_rules", "policy", "decide", "wire")
]
# Quick ones that look closely: each mutant is put to those of them that reach its function.
TESTS: Final = [
    f"tests/test_{name}.py"
    for name in (
        "ocsp",
        "ocsp_edges",
        "ocsp_signer",
        "ocsp_words",
        "judge_mutations",
        "wire",
        "wire_words",
        "decide",
        "decide_whole",
        "decide_words",
        "policy",
        "flight",
    )
]
LEAST_KILLED: Final = 0.95
KILLED: Final = ("killed", "timeout")
CONFIGURATION: Final = f"""
[tool.mutmut]
source_paths = ["mustaple", "certtools"]
only_mutate = {MUTATED}
also_copy = ["docs", "rfc_notes", "README.md"]
pytest_add_cli_args = ["-p", "no:benchmark", "-p", "no:xdist", "-x"]
pytest_add_cli_args_test_selection = {TESTS}
timeout_constant = 20.0
"""


def copy(to: Path) -> None:
    """The tree as it is, without what git does not know, and with mutmut's configuration."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source = ROOT / name
        if source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)
    with (to / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(CONFIGURATION)


def mutmut(tree: Path, *arguments: str, quiet: bool = True) -> str:
    """What mutmut prints in this tree."""
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE if quiet else None, text=True, check=False
    )
    return done.stdout or ""


def outcomes(tree: Path) -> dict[str, str]:
    """What became of each mutant: killed, survived, timeout, no tests."""
    said = mutmut(tree, "results", "--all", "true")
    return {
        name.strip(): outcome.strip()
        for name, _, outcome in (line.partition(": ") for line in said.splitlines() if line)
    }


def changed(shown: str) -> str:
    """The lines of a difference that differ, and the function that they are in."""
    return "\n".join(line for line in shown.splitlines() if re.match(r"[+-](?![+-]{2} )", line))


def say(text: str) -> None:
    """A line of the report, at once."""
    print(text, flush=True)  # noqa: T201 - a report is what this is for


def tell(what: str, became: list[str]) -> float:
    """A line on these mutants; the share of them that was killed."""
    counted = Counter(became)
    killed = sum(counted[outcome] for outcome in KILLED)
    say(f"{what}: {len(became)} mutants, {killed} killed ({killed / len(became):.1%}); {dict(counted)}")
    return killed / len(became)


def main() -> int:
    """Run, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the copy here, an empty folder, and leave it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants tried at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mustaple-mutants-") as temporary:
        tree = options.keep or Path(temporary)
        copy(tree)
        watched = sys.stdout.isatty()  # its progress is for a terminal alone
        log = mutmut(tree, "run", "--max-children", str(options.jobs), quiet=not watched)
        found = outcomes(tree)
        for name, outcome in sorted(found.items()):
            if outcome not in KILLED:
                say(f"{name}: {outcome}\n{changed(mutmut(tree, 'show', name))}\n")
    if not found:
        say(f"{log}mutmut made no mutants; see what it says above.")
        return 2
    for module, mutants in itertools.groupby(sorted(found), lambda name: name.rpartition(".")[0]):
        tell(module, [found[name] for name in mutants])
    killed = tell("in all", list(found.values()))
    return 0 if killed >= LEAST_KILLED else 1


if __name__ == "__main__":
    sys.exit(main())
