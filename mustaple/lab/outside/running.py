"""Runs programs that judge: one for each question, or one that answers line by line; crashes and hangs are answers."""

from __future__ import annotations

import asyncio
import os
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64encode
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from mustaple.lab.outside.answer import CRASH, HANG, OUTCOMES, Answer, answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mustaple.lab.outside.question import Question

PATIENCE: Final = 120.0
"""Seconds that a program may take over one answer, its start included; a JVM on a busy machine takes its time."""
_LINE: Final = 1 << 20  # bytes of the longest line that is read


class Ended(NamedTuple):
    """How a command ended: what it printed, standard error last, and its exit code; negative for a signal."""

    said: str
    code: int


def environment(**extra: str) -> dict[str, str]:
    """The variables for a judge: English, UTC, and none of those that change what a JVM or OpenSSL does."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC", **extra}


async def run(command: Sequence[str], env: Mapping[str, str], patience: float = PATIENCE) -> Ended | None:
    """Run a command to its end; None where that takes longer than `patience` seconds, and it is killed."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=dict(env))
    try:
        out, errors = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError:
        process.kill()
        await process.communicate()
        return None
    return Ended((out + b"\n" + errors).decode("utf-8", "replace"), process.returncode or 0)


def line(question: Question) -> str:
    """The question as programs read it: kind, time, subject, issuer, evidence and nonce, with tabs between."""
    data = (question.subject, question.issuer, question.evidence, question.nonce or b"")
    time = str(int(question.at.timestamp()))
    return "\t".join([question.source.value, time, *(b64encode(each).decode("ascii") for each in data)])


async def converse(
    command: Sequence[str], questions: Sequence[Question], env: Mapping[str, str], patience: float = PATIENCE
) -> AsyncIterator[Answer]:
    """What a program answers that reads a question and writes an answer on a line each.

    One that ends early has crashed over its question, one that is silent for `patience` seconds hangs, and what is no
    answer is a crash too. Then it is started anew for the questions that are left.
    """
    left = list(questions)
    while left:
        with tempfile.TemporaryFile() as errors:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=errors, env=dict(env), limit=_LINE
            )
            try:
                while left:
                    answer = await _ask(process, left.pop(0), patience)
                    if answer is None:
                        yield answered(CRASH, f"it ended; {_last(errors)}")
                        break
                    yield answer
                    if answer.outcome == HANG:
                        break
            finally:
                await _end(process)


async def _ask(process: asyncio.subprocess.Process, question: Question, patience: float) -> Answer | None:
    """The program's answer; None where it has ended."""
    try:
        said = await asyncio.wait_for(_exchange(process, line(question)), patience)
    except TimeoutError:
        return answered(HANG, f"it said nothing for {patience:g} s")
    except (ConnectionError, ValueError) as error:  # it does not read any more, or its line does not end
        return answered(CRASH, str(error)) if isinstance(error, ValueError) else None
    if not said.endswith("\n"):
        return None
    outcome, _, detail = said.partition("\t")
    known = outcome.strip() in OUTCOMES
    return answered(outcome.strip(), detail) if known else answered(CRASH, f"it said {said!r}")


async def _exchange(process: asyncio.subprocess.Process, text: str) -> str:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("The program was started without pipes.")
    process.stdin.write(f"{text}\n".encode("ascii"))
    await process.stdin.drain()
    return (await process.stdout.readline()).decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program: kill it, since it answers no more questions, and read what is left of its output."""
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it ended in between
            process.kill()
    await process.communicate()


def _last(errors: IO[bytes]) -> str:
    """The last lines of what the program wrote to standard error."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 1000))
    return errors.read().decode("utf-8", "replace")
