"""Judges that are commands: one run for each question, under a clock that stands still at its time."""

from __future__ import annotations

import asyncio
import re
from abc import abstractmethod
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import ocsp

from mustaple.core.verdict import Source
from mustaple.lab.outside.answer import CRASH, GOOD, HANG, REVOKED, UNKNOWN, Answer, answered
from mustaple.lab.outside.judge import CERT_ID, MAX_AGE, SKEW, TIMES, Judge, first_line
from mustaple.lab.outside.question import REFUSED
from mustaple.lab.outside.running import Ended, environment, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from mustaple.lab.outside.question import Question

_AT_ONCE: Final = 2  # commands that run side by side
_STATUSES: Final = {"good": GOOD, "revoked": REVOKED, "unknown": UNKNOWN}  # in the words of both
_DIGESTS: Final = frozenset({"sha224", "sha256", "sha384", "sha512"})  # its default is SHA-1


class Command(Judge):
    """A judge that runs once for each question."""

    def missing(self) -> str | None:
        """Its program, or the library that stops its clock."""
        return super().missing() or ("libfaketime" if _faketime() is None else None)

    async def answers(self, questions: Sequence[Question]) -> AsyncIterator[Answer]:
        """Two at a time."""
        free = asyncio.Semaphore(_AT_ONCE)
        tasks = [asyncio.create_task(self._answer(question, free)) for question in questions]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, question: Question, free: asyncio.Semaphore) -> Answer:
        async with free:
            with _laid_out(question) as folder:
                ended = await run(self.command(question, folder), environment(**_clock(question)))
        if ended is None:
            return answered(HANG)
        if ended.code < 0 or ended.code >= 128:  # ended by a signal, or by what ran it saying so
            return answered(CRASH, f"exit code {ended.code}; {ended.said}")
        return self.read(question, ended)

    @abstractmethod
    def command(self, question: Question, folder: Path) -> list[str]:
        """The command that asks; the question's certificates and evidence are files in the folder."""

    @abstractmethod
    def read(self, question: Question, ended: Ended) -> Answer:
        """The answer that its output is."""


class OpenSsl(Command):
    """OpenSSL's own commands."""

    name: ClassVar[str] = "openssl"
    about = "openssl ocsp -respin; for CRLs openssl verify -crl_check"
    programs = ("openssl",)
    sources = frozenset({Source.OCSP, Source.CRL})

    async def version(self) -> str:
        """As `openssl version` has it."""
        return await first_line(["openssl", "version"])

    def command(self, question: Question, folder: Path) -> list[str]:
        """With the issuer as the one that is trusted, and our default skew and greatest age."""
        trusted = ["-partial_chain", "-CAfile", str(folder / "issuer.pem")]
        if question.source is Source.CRL:
            crl = ["-crl_check", "-CRLfile", str(folder / "evidence.pem")]
            return ["openssl", "verify", *trusted, *crl, str(folder / "subject.pem")]
        asked = [*_digest(question), "-issuer", str(folder / "issuer.pem"), "-cert", str(folder / "subject.pem")]
        shown = ["-respin", str(folder / "evidence.der"), "-verify_other", str(folder / "issuer.pem")]
        ages = ["-no_nonce", "-validity_period", str(SKEW), "-status_age", str(MAX_AGE + SKEW)]
        return ["openssl", "ocsp", *shown, *asked, *trusted, *ages]

    def read(self, question: Question, ended: Ended) -> Answer:
        """A status counts where the response is verified and its times are in order."""
        said = ended.said
        if question.source is Source.CRL:
            if "certificate revoked" in said:
                return answered(REVOKED)
            verified = ended.code == 0 and re.search(r": OK$", said, re.MULTILINE)
            return answered(GOOD) if verified else answered(REFUSED, said)
        status = re.search(r"^(?:\S*subject\.pem: )?(good|revoked|unknown)$", said, re.MULTILINE)
        if ended.code != 0 or "Response verify OK" not in said or "WARNING" in said or status is None:
            return answered(REFUSED, said)
        return answered(_STATUSES[status[1]])


class OcspTool(Command):
    """GnuTLS's command: it says who signed, and prints the rest for its reader."""

    name = "ocsptool"
    about = "ocsptool --verify-response of GnuTLS; CertID and times are its reader's to compare"
    programs = ("ocsptool",)
    leaves = TIMES | CERT_ID

    async def version(self) -> str:
        """As `ocsptool --version` has it."""
        return await first_line(["ocsptool", "--version"])

    def command(self, question: Question, folder: Path) -> list[str]:  # noqa: ARG002  all are asked alike
        """With the issuer as the one that is trusted."""
        shown = ["--load-response", str(folder / "evidence.der"), "--load-trust", str(folder / "issuer.pem")]
        return ["ocsptool", "--verify-response", *shown]

    def read(self, question: Question, ended: Ended) -> Answer:
        """The status printed with our serial number, where the signature is verified."""
        if ended.code != 0 or "Verifying OCSP Response: Success" not in ended.said:
            return answered(REFUSED, ended.said.rpartition("Verifying OCSP Response: ")[2])
        serial = f"{question.link.serial_number:x}"
        for printed in re.split(r"Certificate ID:", ended.said)[1:]:
            number = re.search(r"Serial Number: ([0-9a-f]+)", printed)
            status = re.search(r"Certificate Status: (good|revoked|unknown)", printed)
            if number and status and number[1].lstrip("0") == serial:
                return answered(_STATUSES[status[1]])
        return answered(REFUSED, "it says nothing of this serial number")


def _digest(question: Question) -> list[str]:
    """The option for the hash of the CertID: OpenSSL compares with the one that it would have asked by."""
    try:
        single = next(iter(ocsp.load_der_ocsp_response(question.evidence).responses))
        algorithm = single.hash_algorithm.name
    except (ValueError, UnsupportedAlgorithm, StopIteration):
        return []
    return [f"-{algorithm}"] if algorithm in _DIGESTS else []


def _clock(question: Question) -> dict[str, str]:
    """What stops the clock at the question's time: these commands compare with no other."""
    return {"LD_PRELOAD": str(_faketime()), "FAKETIME": f"{question.at:%Y-%m-%d %H:%M:%S}"}


def _faketime() -> Path | None:
    """Where Debian puts libfaketime, for whichever machine. Its command is not used: it minds others of its kind."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@contextmanager
def _laid_out(question: Question) -> Iterator[Path]:
    """A folder with the question as files: certificates in PEM, evidence as it is, and in PEM's armour."""
    with TemporaryDirectory(prefix="mustaple-") as name:
        folder = Path(name)
        (folder / "subject.pem").write_bytes(_armour("CERTIFICATE", question.subject))
        (folder / "issuer.pem").write_bytes(_armour("CERTIFICATE", question.issuer))
        (folder / "evidence.der").write_bytes(question.evidence)
        (folder / "evidence.pem").write_bytes(_armour("X509 CRL", question.evidence))
        yield folder


def _armour(label: str, der: bytes) -> bytes:
    encoded = b64encode(der)
    lines = [encoded[begin : begin + 64] for begin in range(0, len(encoded), 64)]
    return b"\n".join([f"-----BEGIN {label}-----".encode(), *lines, f"-----END {label}-----".encode(), b""])
