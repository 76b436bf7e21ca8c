"""Where a report goes: a file is whole or not there, a long one waits on disk, and its schema is the committed one."""

from __future__ import annotations

import json
import os
import stat
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from check_judges import CHECK_SCHEMA
from check_runs import World, run_of, summed

from mustaple.core.errors import InputError
from mustaple.report import check_spool
from mustaple.report.check_output import report_output
from mustaple.report.check_report import reporter_for
from mustaple.report.check_run import Format, TargetResult
from mustaple.report.check_schema import check_schema
from mustaple.report.check_spool import Spool
from mustaple.report.plain import json_text, printable

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    with report_output(file) as write:
        write("one §\n")
        assert not file.exists()
        write("two\n")
    assert file.read_bytes() == b"one \xc2\xa7\ntwo\n"
    assert os.listdir(tmp_path) == ["report.txt"]  # noqa: PTH208  hidden ones too


def test_a_report_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    file.write_text("old")

    def half() -> None:
        with report_output(file) as write:
            write("new")
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        half()
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.txt"]  # noqa: PTH208  hidden ones too


def test_the_umask_decides_who_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with report_output(tmp_path / "report.txt") as write:
            write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.txt").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with report_output(tmp_path / "link") as write:
        write("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    with report_output(pipe) as write:
        write("x")
    reader.join(10)
    assert read == ["x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_without_a_file_it_goes_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (None, tmp_path / "x" / ".." / "-"):
        with report_output(path if path is None else type(path)("-")) as write:
            write("x")
    assert capsys.readouterr().out == "xx"


@pytest.mark.parametrize("name", [".", "nowhere/report.txt"])
def test_a_file_that_cannot_be_is_said_before_anything_is_done(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot write the report"), report_output(tmp_path / name):
        pytest.fail("the run would have been in vain")
    assert list(tmp_path.iterdir()) == []


def test_a_spool_gives_back_what_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_spool, "IN_MEMORY", 100)
    spool = Spool()
    pieces = [f"line {number} §\r\n" for number in range(20_000)]
    for piece in pieces:
        spool.write(piece)
    assert "".join(spool.drain()) == "".join(pieces)


@pytest.mark.parametrize("form", [each for each in Format if each is not Format.PROMETHEUS])
def test_memory_is_flat(at: datetime, form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_spool, "IN_MEMORY", 10_000)
    world = World(at)
    verdicts = [world.verdict("expired", "strict"), world.verdict("good")]

    def most(targets: int) -> int:
        results = (TargetResult.of(f"{number}.test:443", verdicts[number % 2], 0.1) for number in range(targets))
        reporter = reporter_for(form)
        tracemalloc.start()
        try:
            for _ in reporter.begin(run_of(at, [])):
                pass
            for result in results:
                for _ in reporter.add(result):
                    pass
            for _ in reporter.end(summed([])):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most(10)  # modules are loaded, caches filled
    few = most(100)
    assert most(1000) < few + 400_000  # what the collector has not come to yet


def test_the_schema_is_the_committed_one() -> None:
    told = "It has changed: python -m mustaple.report.check_schema > docs/schemas/check.json"
    assert json.loads(CHECK_SCHEMA.read_text()) == check_schema(), told
    assert CHECK_SCHEMA.read_text() == json_text(check_schema()) + "\n", told


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain § ü 😀", "plain § ü 😀"),
        ("a\x1b[0m\x9b\n\r\t", r"a\x1b[0m\x9b\x0a\x0d\x09"),
        ("\u202e\u2028\xa0\udc80", r"\u202e\u2028\xa0\udc80"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_does_not_print_is_written_out(text: str, line: str) -> None:
    assert printable(text) == line
    written = json_text({"x": text}, indent="  ")
    assert json.loads(written) == {"x": text.replace("\udc80", r"\udc80")}
    assert all(letter.isprintable() or letter == "\n" for letter in written)
