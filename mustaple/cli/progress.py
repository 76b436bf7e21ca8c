"""A progress bar on stderr for long work, where somebody looks on, and lines on stdout that do not tear it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID


class Bar:
    """A bar that may not be there; then it does nothing, and lines go to stdout as they are."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None) -> None:
        self._progress = progress
        self._task = task
        # On a terminal, what is written below the bar's feet would be overwritten by it.
        self._shared = progress is not None and sys.stdout.isatty()

    @classmethod
    @contextmanager
    def shown(cls, total: int | None, what: str, *, wanted: bool = True) -> Iterator[Self]:
        """A bar of so many steps (None: nobody knows), gone when the block ends; only where stderr is a terminal."""
        if not wanted or not sys.stderr.isatty():
            yield cls()
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}", markup=False),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
            yield cls(progress, progress.add_task(what, total=total, said=""))

    def step(self, said: str, count: int = 1) -> None:
        """So many steps are done; `said` stands at the end of the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=count, said=said)

    def write(self, text: str) -> None:
        """Write to stdout, at once; above the bar where both are on the same screen."""
        if self._shared and self._progress is not None:
            self._progress.console.print(text, end="", markup=False, emoji=False, highlight=False, soft_wrap=True)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
