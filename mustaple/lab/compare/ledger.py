"""Cells on disk as they are measured, a line of JSON each, so that a run which was interrupted goes on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

import mustaple
from mustaple.core.errors import InputError
from mustaple.report.comparison import Cell
from mustaple.report.cost import Cost
from mustaple.report.plain import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from mustaple.report.comparison import Key

_COST: Final = b'{"grid":'
_LONGEST: Final = 1 << 20  # bytes of a line; a cell takes some thousand


class _Header(BaseModel):
    """The first line: whose cells these are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["mustaple-compare-cells/1"] = Field(alias="schema", default="mustaple-compare-cells/1")
    version: str
    seed: int
    at: AwareDatetime


class _Costs(BaseModel):
    """A line that holds no cell, but what checking costs, over the grid of this name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: str
    cost: Cost


class Ledger:
    """The cells of one run by their keys, in a file or, without one, in memory. `at` is when the run was begun.

    Beside them it holds what checking costs, where that was measured.
    """

    def __init__(self, at: datetime, file: BinaryIO | None = None) -> None:
        self.at = at
        self.cells: dict[Key, Cell] = {}
        self._costs: dict[str, Cost] = {}
        self._file = file

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None, seed: int) -> Iterator[Self]:
        """The ledger in this file, which is made where there is none.

        Raises InputError for a file that cannot be read or written, that holds something else, or the cells of another
        seed or version.
        """
        if path is None:
            yield cls(_now())
            return
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        except OSError as error:
            raise InputError(f"cannot write the cells to {path}: {error.strerror or error}") from error
        with file:
            ledger = cls(_now(), file)
            ledger._read(file, path, seed)
            yield ledger

    def add(self, cell: Cell) -> None:
        """Keep a cell, on disk before this returns."""
        self.cells[cell.key] = cell
        self._write(cell)

    def cost_of(self, grid: str) -> Cost | None:
        """What was measured over the grid of this name, if it was."""
        return self._costs.get(grid)

    def add_cost(self, grid: str, cost: Cost) -> None:
        """Keep what was measured over the grid of this name, on disk before this returns."""
        self._costs[grid] = cost
        self._write(_Costs(grid=grid, cost=cost))

    def _write(self, shape: BaseModel) -> None:
        if self._file is not None:
            self._file.write(json_text(shape.model_dump(mode="json", by_alias=True), one_line=True).encode() + b"\n")
            self._file.flush()

    def _read(self, file: BinaryIO, path: Path, seed: int) -> None:
        first, whole = True, 0
        while line := file.readline(_LONGEST):
            if not line.endswith(b"\n"):
                break  # it was interrupted while it wrote
            try:
                if first:
                    self._check(path, _Header.model_validate_json(line), seed)
                elif line.startswith(_COST):
                    costs = _Costs.model_validate_json(line)
                    self._costs[costs.grid] = costs.cost
                else:
                    cell = Cell.model_validate_json(line)
                    self.cells[cell.key] = cell
            except ValidationError:
                raise InputError(f"{path} does not hold the cells of `mustaple compare`") from None
            first, whole = False, whole + len(line)
        if first and file.seek(0, os.SEEK_END):
            raise InputError(f"{path} does not hold the cells of `mustaple compare`")
        file.seek(whole)
        file.truncate()
        if first:
            self._write(_Header(version=mustaple.__version__, seed=seed, at=self.at))

    def _check(self, path: Path, header: _Header, seed: int) -> None:
        if header.seed != seed:
            raise InputError(f"{path} holds cells of the seed {header.seed}; go on with --seed {header.seed}")
        if header.version != mustaple.__version__:
            raise InputError(f"{path} was begun by mustaple {header.version}; begin another file")
        self.at = header.at


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
