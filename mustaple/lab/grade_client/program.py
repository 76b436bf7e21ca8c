"""Somebody else's client, ready to be run against any server: prepared once, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from certtools.chain import to_pem
from mustaple.core.errors import InputError
from mustaple.lab.grade_client.attempt import Attempts, Ending
from mustaple.lab.grade_client.recipe import filled
from mustaple.net.lifespan import Assembly

if TYPE_CHECKING:
    from contextlib import ExitStack

    from cryptography import x509

    from mustaple.lab.grade_client.recipe import Recipe

_PREPARING: Final = 120.0  # seconds
_LOCAL: Final = "localhost,127.0.0.1,::1"


class Program(Assembly):
    """The program of one recipe; a context manager. `timeout` (seconds) replaces the recipe's.

    Raises InputError where the recipe needs what is not here, and, on entering, where its preparation fails.
    """

    def __init__(self, recipe: Recipe, *, timeout: float | None = None) -> None:
        if recipe.missing:
            raise InputError(f"{recipe.name} cannot be graded here: there is no {', no '.join(recipe.missing)}")
        self.recipe = recipe
        self._timeout = timeout if timeout is not None else recipe.timeout
        self._attempts = Attempts()
        self._folder = Path()

    def _assemble(self, stack: ExitStack) -> None:
        folder = tempfile.TemporaryDirectory(prefix="mustaple-grade-", ignore_cleanup_errors=True)
        self._folder = Path(stack.enter_context(folder))
        (self._folder / "shared").mkdir()
        stack.callback(self._attempts.close)
        self._prepare()

    def end(self) -> None:
        """Kill what still runs, and start no more."""
        self._attempts.close()

    def version(self) -> str | None:
        """What the client says of its version, its first line; None where the recipe has no command for it."""
        if not self.recipe.version:
            return None
        said = self._run(self.recipe.version, {}, self._folder, self._timeout).said
        return next((line.strip() for line in said.splitlines() if line.strip()), None)

    def meet(self, case: str, host: str, port: int, trusted: x509.Certificate) -> Ending:
        """Run it once against the server there, trusting this certificate; safe to call from several threads.

        `case` is the name of what it meets, which its command may use.
        """
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self._folder))
        anchor = folder.with_suffix(".pem")
        anchor.write_bytes(to_pem([trusted]))
        values = {
            "host": host,
            "port": str(port),
            "url": f"https://{host}:{port}/",
            "ca": str(anchor),
            "case": case,
            "folder": str(folder),
        }
        try:
            return self._run(self.recipe.command, values, folder, self._timeout)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, command: tuple[str, ...], values: dict[str, str], folder: Path, timeout: float) -> Ending:
        words = filled(command, values | {"shared": str(self._folder / "shared")})
        environment = {**os.environ, "no_proxy": _LOCAL, "NO_PROXY": _LOCAL, "MUSTAPLE_CASE": values.get("case", "")}
        return self._attempts.run(words, timeout=timeout, environment=environment, folder=folder)

    def _prepare(self) -> None:
        if self.recipe.prepare:
            ending = self._run(self.recipe.prepare, {}, self._folder, _PREPARING)
            if ending.exit_code != 0:
                raise InputError(f"{self.recipe.name} could not be prepared: {ending}: {ending.said}")
