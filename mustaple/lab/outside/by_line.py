"""Judges that are libraries: a program of ours asks each of them, line by line."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from mustaple.core.verdict import Source
from mustaple.lab.outside.judge import SKEW, TIMES, Judge, first_line
from mustaple.lab.outside.running import converse, environment, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from mustaple.lab.outside.answer import Answer
    from mustaple.lab.outside.question import Question

# Debian's libraries for Go stand here, as source.
_GO_PATH: Final = Path("/usr/share/gocode")
_BUILD_PATIENCE: Final = 300.0  # seconds; the first time Go builds its own libraries too


class Jsse(Judge):
    """The JDK's PKIX validator with its revocation checker."""

    name = "jsse"
    about = "the JDK's CertPathValidator with PKIXRevocationChecker, NO_FALLBACK; it asks nobody"
    programs = ("java", "javac")
    sources = frozenset({Source.OCSP, Source.CRL})
    takes_nonce = True

    async def version(self) -> str:
        """As `java -version` has it."""
        return await first_line(["java", "-version"])

    async def answers(self, questions: Sequence[Question]) -> AsyncIterator[Answer]:
        """By one JVM."""
        with _program("Judge.java") as source:
            skew = f"-Dcom.sun.security.ocsp.clockSkew={SKEW}"
            command = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", skew, str(source)]
            async for answer in converse(command, questions, environment()):
                yield answer


class Pyhanko(Judge):
    """pyhanko-certvalidator in a Python of its own."""

    name = "pyhanko"
    about = "pyhanko-certvalidator, revocation mode require; the issuer is its trust root"

    def missing(self) -> str | None:
        """The library, where it is not installed."""
        return None if find_spec("pyhanko_certvalidator") is not None else "pyhanko-certvalidator"

    async def version(self) -> str:
        """As it is installed."""
        return f"pyhanko-certvalidator {version('pyhanko-certvalidator')}"

    async def answers(self, questions: Sequence[Question]) -> AsyncIterator[Answer]:
        """By one Python, apart from this one: what it cannot take is an outcome and not our end."""
        command = [sys.executable, "-I", str(Path(__file__).with_name("pyhanko_judge.py"))]
        async for answer in converse(command, questions, environment()):
            yield answer


class Go(Judge):
    """golang.org/x/crypto/ocsp, from Debian's source."""

    name = "go"
    about = "golang.org/x/crypto/ocsp, ParseResponseForCert; times are its caller's to compare"
    programs = ("go",)
    leaves = TIMES

    def missing(self) -> str | None:
        """Go itself, or the library's source."""
        source = _GO_PATH / "src/golang.org/x/crypto/ocsp"
        return super().missing() or (None if source.is_dir() else f"golang-golang-x-crypto-dev (no {source})")

    async def version(self) -> str:
        """As `go version` has it."""
        return await first_line(["go", "version"])

    async def answers(self, questions: Sequence[Question]) -> AsyncIterator[Answer]:
        """By one program, built first. Raises RuntimeError where it does not build."""
        with TemporaryDirectory(prefix="mustaple-") as folder, _program("judge.go") as source:
            built = Path(folder) / "judge"
            env = environment(GOPATH=str(_GO_PATH), GO111MODULE="off", GOFLAGS="", CGO_ENABLED="0")
            if "HOME" not in env:
                env["GOCACHE"] = str(Path(folder) / "cache")
            ended = await run(["go", "build", "-o", str(built), str(source)], env, _BUILD_PATIENCE)
            if ended is None or ended.code != 0:
                said = ended.said if ended is not None else "it takes too long"
                raise RuntimeError(f"judge.go does not build: {said}")
            async for answer in converse([str(built)], questions, environment()):
                yield answer


@contextmanager
def _program(name: str) -> Iterator[Path]:
    """The path of a program's source that comes with this package."""
    with as_file(files("mustaple.lab.outside") / "programs" / name) as path:
        yield path
