"""Every figure in the documents is what its command prints today, and every command that a document names is one."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer
from figures import ROOT, Figure, documents, figures, said

from mustaple.cli.app import COMMANDS, app

if TYPE_CHECKING:
    from pathlib import Path

SHORT = [figure for figure in figures() if not figure.long]
COMMAND = re.compile(r"`(mustaple [a-z][^`]*)`")


def named(figure: Figure) -> str:
    return f"{figure.document.name}: {figure.command}"


def test_there_are_figures_and_each_has_something_in_it() -> None:
    found = list(figures())
    assert SHORT
    for figure in found:
        assert figure.text.strip() or (figure.file is not None and figure.file.stat().st_size), named(figure)


@pytest.mark.parametrize("figure", SHORT, ids=named)
def test_a_figure_is_what_its_command_prints(figure: Figure) -> None:
    assert figure.file is None, "pictures take long"
    assert said(figure.command) == figure.text, "`python tests/figures.py` makes them anew; look at what changed"


def test_a_figure_that_is_not_what_its_command_prints_is_seen(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "rfc_notes").mkdir()
    (tmp_path / "docs/a.md").write_text(
        "<!-- figure: mustaple --version -->\n```text\nmustaple 0.0.0\n```\n"
        "<!-- long picture: mustaple simulate --svg docs/a.svg -->\n![It](a.svg)\n"
    )
    figure, picture = figures(tmp_path)
    assert said(figure.command) != figure.text
    assert (figure.long, picture.long, picture.file) == (False, True, tmp_path / "docs/a.svg")


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_a_command_that_a_document_names_exists_with_its_options(document: Path) -> None:
    for text in COMMAND.findall(document.read_text(encoding="utf-8")):
        assert not unknown(" ".join(text.split())), f"{document.name}: {text}"


@pytest.mark.parametrize("text", ["mustaple nothing", "mustaple simulate --nothing 1"])
def test_a_command_that_does_not_exist_is_seen(text: str) -> None:
    assert unknown(text)


def unknown(text: str) -> list[str]:
    """What there is not in this command: the command itself, or options of it."""
    _, name, *rest = shlex.split(text, comments=False)
    if name not in COMMANDS:
        return [name]
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    command = group.get_command(context, name)
    options = {option for each in _with_subcommands(command) for option in each}
    return [word for word in (part.partition("=")[0] for part in rest) if word.startswith("-") and word not in options]


def _with_subcommands(command: typer.core.TyperCommand) -> list[list[str]]:
    own = [option for each in command.params for option in (*each.opts, *each.secondary_opts)]
    below = getattr(command, "commands", {}).values()
    return [[*own, "--help", "-h"], *(options for each in below for options in _with_subcommands(each))]


def test_the_root_is_the_one_with_the_documents() -> None:
    assert (ROOT / "docs" / "article.md").exists()
