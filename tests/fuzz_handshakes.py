"""Feeds mutated flights to the clients and mutated ClientHellos to the servers, for a while: `--seconds N --seed N`.

Whatever a case is, it ends with an exception of this project or a refusal, soon, and leaves no memory behind; a client
accepts only the honest staples, byte for byte. The seed chooses the cases; keys, signatures and times are new in each
run, so a finding is printed with its bytes.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import resource
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from fuzz_targets import Targets

if TYPE_CHECKING:
    from collections.abc import Iterator

CASE_LIMIT: Final = 10.0  # seconds; a case takes milliseconds, and on a socket its server's and client's patience
STUCK: Final = 60.0  # seconds after which the whole run ends with the stack of every thread
GROWTH_LIMIT: Final = 8.0  # MiB between the end of the warm-up and the end
WARM_UP: Final = 1 / 3
SAMPLES: Final = 30
ENOUGH: Final = 20  # findings


@dataclass
class Report:
    """What a run came to; `resident` are MiB, evenly over the run."""

    cases: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def growth(self) -> float:
        """MiB from the end of the warm-up to the end, each the median of several samples."""
        warm = self.resident[int(len(self.resident) * WARM_UP) :]
        few = max(len(warm) // 4, 1)
        return statistics.median(warm[-few:]) - statistics.median(warm[:few]) if warm else 0.0

    def __str__(self) -> str:
        lines = [f"{self.cases.total()} cases, the slowest {self.slowest:.2f} s"]
        for name, count in self.cases.items():
            found = ", ".join(f"{what} {n}" for (target, what), n in self.outcomes.most_common() if target == name)
            lines.append(f"  {name}: {count} ({found})")
        if self.resident:
            lines.append(
                f"memory {self.resident[0]:.1f} MiB at the start, {self.resident[-1]:.1f} at the end, "
                f"{self.growth:+.1f} since the warm-up"
            )
        lines.append(f"{len(self.findings)} findings")
        return "\n".join([*lines, *self.findings])


def run(seed: int, *, cases: int = sys.maxsize, seconds: float = float("inf"), watch: bool = False) -> Report:
    """Run so many cases or so many seconds, each kind at least once.

    `watch` prints progress, and ends a run that hangs with the stack of every thread.
    """
    report, order = Report(), Random(seed)  # noqa: S311 - no secret: the same seed is to choose the same cases
    started = time.monotonic()
    next_sample = started
    with _elsewhere(report.findings), Targets(Random(order.random())) as targets:  # noqa: S311
        weights = [weight for weight, _ in targets.all.values()]
        once = list(targets.all)
        while report.cases.total() < cases and len(report.findings) < ENOUGH:
            now = time.monotonic()
            if now - started >= seconds:
                break
            if now >= next_sample and seconds < float("inf"):
                next_sample += seconds / SAMPLES
                _sample(report, targets, show=watch)
            if watch:
                faulthandler.dump_traceback_later(STUCK, exit=True)
            _case(report, targets, once.pop() if once else order.choices(list(targets.all), weights)[0])
        _guarded(report, "still serves", targets.still_serves)
        faulthandler.cancel_dump_traceback_later()
    if report.growth > GROWTH_LIMIT:
        report.findings.append(f"memory grew by {report.growth:.1f} MiB")
    return report


def _case(report: Report, targets: Targets, name: str) -> None:
    started = time.monotonic()
    targets.last = b""
    outcome = _guarded(report, name, targets.all[name][1], targets)
    took = time.monotonic() - started
    report.cases[name] += 1
    report.outcomes[name, outcome or "finding"] += 1
    report.slowest = max(report.slowest, took)
    if took > CASE_LIMIT:
        report.findings.append(f"{name}: took {took:.1f} s\n{targets.last.hex()}")


def _guarded(report: Report, name: str, case: Any, targets: Targets | None = None) -> Any:
    try:
        return case()
    except Exception:  # noqa: BLE001 - this is what is looked for
        data = targets.last.hex() if targets is not None else ""
        report.findings.append(f"{name}, case {report.cases.total()}:\n{traceback.format_exc()}{data}")
        return None


def _sample(report: Report, targets: Targets, *, show: bool) -> None:
    _guarded(report, "still serves", targets.still_serves)
    gc.collect()
    report.resident.append(_resident())
    if show:
        print(f"{report.cases.total()} cases, {report.resident[-1]:.1f} MiB", flush=True)  # noqa: T201


def _resident() -> float:
    """MiB in memory; where the system does not say, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / (1 << 20)


class _Errors(logging.Handler):
    """What asyncio has to complain of goes to its log."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._findings = findings

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._findings.append(f"logged: {record.getMessage()}\n{trace}")


@contextmanager
def _elsewhere(findings: list[str]) -> Iterator[None]:
    """Exceptions that nobody catches in other threads, in callbacks of C code, and in asyncio are findings, too."""

    def note(said: Any) -> None:
        trace = "".join(traceback.format_exception(said.exc_type, said.exc_value, said.exc_traceback))
        findings.append(f"outside of any case:\n{trace}")

    handler, log = _Errors(findings), logging.getLogger("asyncio")
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = sys.unraisablehook = note
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        threading.excepthook, sys.unraisablehook = hooks


def main() -> int:
    """Run as the command line says; 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report = run(options.seed, seconds=options.seconds, watch=True)
    print(report)  # noqa: T201
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
