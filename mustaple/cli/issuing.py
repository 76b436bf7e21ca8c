"""What `issue` and `csr` share: feature lists as they are typed, the output folder, and what is refused."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEY_KINDS: Final = "ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096, ed25519, ml-dsa-44, ml-dsa-65 or ml-dsa-87"


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what certtools refuses, and what the file system refuses, into InputError."""
    from certtools import AuthorityError, ChainError, ExtensionsError, FeatureError, KeyKindError, NamingError
    from certtools.ca_dir import CaDirError

    try:
        yield
    except (AuthorityError, CaDirError, ChainError, ExtensionsError, FeatureError, KeyKindError, NamingError) as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"cannot write {error.filename2 or error.filename}: {error.strerror or error}") from error


def parse_features(text: str) -> tuple[int, ...] | None:
    """`5,17` is that list, `empty` the empty one, `none` no extension. Raises InputError for anything else."""
    if text in {"none", "empty"}:
        return None if text == "none" else ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        said = f"{text!r} is no TLS Feature list; write numbers such as 5 or 5,17, or none, or empty"
        raise InputError(said) from None


def folder_for(name: str) -> Path:
    """The folder for a certificate where `--out` says none: called like its first name."""
    return Path(name.replace("*", "wildcard").replace("/", "_").replace("\\", "_"))


@contextmanager
def output_folder(path: Path, files: Iterable[str], *, force: bool) -> Iterator[Path]:
    """The folder, made where it is missing and taken away again where the body fails.

    Raises InputError where one of the files is in it and `force` is not given: a key overwritten is lost for good.
    """
    for name in files:
        if not force and (path / name).exists():
            raise InputError(f"{path / name} exists; choose another --out, or replace it with --force")
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    except BaseException:
        for each in missing:
            each.rmdir()
        raise
