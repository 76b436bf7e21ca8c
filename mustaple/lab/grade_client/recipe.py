"""How a client is driven: its command with blanks to fill, what it needs, and the sign by which it accepts."""

from __future__ import annotations

import enum
import re
import shutil
import sys
import tomllib
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BLANKS: Final = ("host", "port", "ca", "url", "case", "folder", "shared", "programs", "python")
_BLANK: Final = re.compile("{(" + "|".join(BLANKS) + ")}")
_HERE: Final = "mustaple.lab.grade_client"
DEFAULT_TIMEOUT: Final = 30.0  # seconds

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Sign(enum.StrEnum):
    """By what a client shows that it accepts a server."""

    EXIT = "exit"  # it ends with 0 after a completed handshake, or it sends its request
    REQUEST = "request"  # it sends its request, whatever it ends with: a browser that shows an error ends with 0


class Recipe(BaseModel):
    """One client. In its commands `{host}`, `{port}`, `{ca}` (a PEM file) and `{url}` are filled in for each case.

    So are `{case}`, its id; `{folder}`, an empty folder for this run; `{shared}`, one for all runs, into which
    `prepare` may write beforehand; `{programs}`, where our programs are, and `{python}`, which runs those in Python.
    `needs` are programs, `modules` packages of Python. `timeout` is in seconds; a client still running then hangs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str = ""
    command: Words
    needs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    accepted_when: Sign = Sign.EXIT
    timeout: float = Field(default=DEFAULT_TIMEOUT, gt=0)

    @property
    def missing(self) -> list[str]:
        """What it needs and is not here."""
        programs = [each for each in self.needs if shutil.which(each) is None]
        return programs + [f"the Python package {each}" for each in self.modules if find_spec(each) is None]


def of_command(words: Sequence[str], sign: Sign = Sign.EXIT) -> Recipe:
    """The recipe of a command from the command line. Raises InputError for one that could not find the server."""
    if not any(blank in word for word in words for blank in ("{port}", "{url}")):
        raise InputError("the command has neither {url} nor {port}, so the client would not know where to connect to")
    return Recipe(name=" ".join(words), command=tuple(words), accepted_when=sign)


def filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """A command with its blanks filled in; braces that are no blank stay as they are."""
    known = {"programs": str(files(_HERE) / "programs"), "python": sys.executable, **values}
    return [_BLANK.sub(lambda blank: known.get(blank[1], blank[0]), word) for word in words]


@cache
def recipe_names() -> tuple[str, ...]:
    """The names of the recipes that are shipped, sorted."""
    there = (each.name for each in (files(_HERE) / "recipes").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in there if name.endswith(".toml")))


def load(name: str) -> Recipe:
    """The shipped recipe of this name. Raises InputError, with those that come close, where there is none."""
    if name not in recipe_names():
        import difflib

        close = difflib.get_close_matches(name, recipe_names(), 3, 0.4) or recipe_names()
        raise InputError(f"no recipe is called {name!r}; is it {', '.join(close)}?")
    text = (files(_HERE) / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Recipe(name=name, **tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the recipe {name} cannot be read: {error}") from error
