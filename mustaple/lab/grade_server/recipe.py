"""How a server is started: its files and command with blanks to fill, what it needs, and how its time can pass."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

BLANKS: Final = (
    "folder",
    "shared",
    "port",
    "other_port",
    "responder",
    "programs",
    "python",
    "password",
    "user",
    "group",
)
_BLANK: Final = re.compile("{(" + "|".join(BLANKS) + ")}")
_HERE: Final = "mustaple.lab.grade_server"
PROGRAMS: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # daemons are not on every PATH

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Recipe(BaseModel):
    """One server. In its commands and files `{folder}`, `{port}` and `{responder}` (a URL) are filled in.

    So are `{programs}`, where our own programs are, `{python}`, `{user}` and `{group}`, unprivileged ones where we are
    root, `{password}`, that of `store.p12`, `{other_port}`, a free one for what runs beside the server, and `{shared}`,
    a folder for what `prepare` makes, once for all scenes.
    The folder holds `chain.pem`, `leaf.pem`, `ca.pem`, `key.pem`, `bundle.pem`, `trust.pem`, `root.pem`, `store.p12`,
    and what `files` says; `folders` are made in it. `given` are files that we fill with the responses of the leaf and
    of its CA, in DER, before the server starts, because it fetches none itself.

    `life` is that of a response in seconds of the server's time. `leaps` says whether the server's clock can be set
    forward; else that time is waited for, and `life` is short. With `hurried` it is waited for too, so many times as
    fast, because timers that count the seconds they slept are not woken by a leap. `patience` is how long the server
    may take to ask after something has made it want to, `breath` how long to make use of an answer, `starting` to
    listen, in real seconds. `agent` says that the staple agent stands in front: that the command starts both.
    `responder_name` is the host by which the certificates name the responder, for a server that asks a proxy of names
    alone; nobody can resolve it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    package: str
    needs: tuple[str, ...]
    command: Words
    version: Words
    files: dict[str, str] = {}
    folders: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    life: float = Field(14400.0, gt=0)
    leaps: bool = True
    hurried: float | None = Field(None, gt=1)
    patience: float = Field(1.0, gt=0)
    breath: float = Field(0.4, gt=0)
    gives_up_root: bool = False
    agent: bool = False
    responder_name: str | None = None
    starting: float = Field(20.0, gt=0)

    @property
    def fetches(self) -> bool:
        """Whether it asks the responder itself."""
        return not self.given

    @property
    def missing(self) -> list[str]:
        """The programs that it needs and that are not here."""
        return [each for each in self.needs if which(each) is None]


def which(program: str) -> str | None:
    """Where a program is, daemons included."""
    return shutil.which(program) or shutil.which(program, path=PROGRAMS)


def fill(text: str, values: Mapping[str, str]) -> str:
    """A text with its blanks filled in; braces that are no blank stay as they are."""
    known = {"programs": str(files(_HERE) / "programs"), "python": sys.executable, **values}
    return _BLANK.sub(lambda blank: known.get(blank[1], blank[0]), text)


@cache
def recipe_names() -> tuple[str, ...]:
    """The names of the recipes that are shipped, sorted."""
    there = (each.name for each in (files(_HERE) / "recipes").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in there if name.endswith(".toml")))


def load(name: str) -> Recipe:
    """The shipped recipe of this name, or the one in a file that ends in `.toml`.

    Raises InputError, with those that come close, where there is none, and for one that cannot be read.
    """
    if name in recipe_names():
        return _read(name, (files(_HERE) / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))
    if name.endswith(".toml"):
        try:
            return _read(Path(name).stem, Path(name).read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            raise InputError(f"cannot read the recipe {name}: {error}") from error
    import difflib

    close = difflib.get_close_matches(name, recipe_names(), 3, 0.4) or recipe_names()
    raise InputError(f"no recipe is called {name!r}; is it {', '.join(close)}, or a file of your own, NAME.toml?")


def _read(name: str, text: str) -> Recipe:
    try:
        return Recipe(name=name, **tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError, TypeError) as error:
        raise InputError(f"the recipe {name} cannot be read: {error}") from error
