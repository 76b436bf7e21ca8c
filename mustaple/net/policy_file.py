"""Policies by the name a person gives them: a preset's, a shipped one's, or a policy file's path."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from certtools.chain import ChainError, load_certificates
from mustaple.core.errors import InputError
from mustaple.core.policy import PRESETS, Action, Policy, Rules
from mustaple.net.toml import parse_toml

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from mustaple.net.policy_model import PolicyFile

SHIPPED: Final = ("chromium", "firefox")
MAX_POLICY_BYTES: Final = 16_384
MAX_RESPONDER_BYTES: Final = 1_048_576
_RULES: Final = frozenset(each.name for each in fields(Rules))
_WORDS: Final = frozenset({"base", "name", "about", "rests_on", "measured_on"})
_STANDS_FOR: Final = {
    "ignore": "What curl and Python's ssl do: no status is looked at.",
    "soft-fail": "The classic browser: it asks, and lets pass whatever it could not learn.",
    "must-staple": "RFC 7633 §4.3.3 on the leaf, over soft fail: a promise binds, and nothing else must be there.",
    "hard-fail": "A client that demands good evidence for the leaf, from wherever it can get it.",
    "strict": "The article's proposals: a good staple for every certificate, and no request to any CA.",
}


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy with what is said of it: whom it models, what that rests on, and on what it was measured, if at all."""

    policy: Policy
    about: str = ""
    rests_on: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()


def policy_named(text: str) -> Policy:
    """The policy that `text` names: a preset, a shipped policy, or the path of a `.toml` file.

    Raises InputError, in one line, where there is none or the file does not hold one.
    """
    known = PRESETS.get(text)
    return known if known is not None else find_policy(text).policy


def find_policy(text: str) -> NamedPolicy:
    """The same with what is said of it."""
    if text in PRESETS:
        return NamedPolicy(PRESETS[text], _STANDS_FOR[text])
    if text in SHIPPED:
        from importlib import resources

        shipped = resources.files("mustaple").joinpath("policies", f"{text}.toml")
        return parse_policy(shipped.read_bytes(), f"{text}.toml", Path())
    if not text.endswith(".toml") and "/" not in text:
        there_are = ", ".join([*PRESETS, *SHIPPED])
        raise InputError(f"no policy is called {text!r}; there are {there_are}, and files whose names end in .toml")
    return read_policy_file(Path(text))


def read_policy_file(path: Path) -> NamedPolicy:
    """The policy in a file, whatever the file's name. Raises InputError as `policy_named` does."""
    return parse_policy(_read(path, MAX_POLICY_BYTES, f"the policy {path}"), str(path), path.parent)


def parse_policy(data: bytes, where: str, folder: Path) -> NamedPolicy:
    """The policy that these bytes of TOML hold; `where` names them in errors, `folder` is where its files are.

    Raises InputError, in one line that names the key and what it may be.
    """
    from mustaple.net.policy_model import validated

    return _built(validated(parse_toml(data, where, "a policy"), where), where, folder)


def _built(said: PolicyFile, where: str, folder: Path) -> NamedPolicy:
    given: dict[str, Any] = {key: getattr(said, key) for key in said.model_fields_set - _WORDS}
    if "sources" in given:
        given["sources"] = frozenset(given["sources"])
    if "trusted_responders" in given:
        given["trusted_responders"] = _responders(given["trusted_responders"], where, folder)
    base = PRESETS[said.base]
    rules = replace(base.rules, **{key: value for key, value in given.items() if key in _RULES})
    axes = {key: value for key, value in given.items() if key not in _RULES}
    policy = replace(base, name=_name(said, where), rules=rules, **axes)
    if not policy.sources and policy.missing is Action.REFUSE:
        raise InputError(f"{where}: sources: with none, and missing = 'refuse', every certificate would be refused")
    return NamedPolicy(policy, said.about.strip(), tuple(said.rests_on), tuple(said.measured_on))


def _name(said: PolicyFile, where: str) -> str:
    """What reports call it: its own name, or that of its file, which no preset has since it has an ending."""
    if not said.name:
        return Path(where).name
    if said.name in PRESETS:
        raise InputError(f"{where}: name: {said.name!r} is a preset's, and reports would say that it decided")
    return said.name


def _responders(paths: list[str], where: str, folder: Path) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for path in paths:
        what = f"{where}: trusted_responders: {path if path.isprintable() else repr(path)}"
        try:
            found.extend(load_certificates(_read(folder / path, MAX_RESPONDER_BYTES, what)))
        except ChainError as error:
            raise InputError(f"{what}: {str(error).rstrip('.')}") from None
    return tuple(found)


def _read(path: Path, limit: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        said = error.strerror if isinstance(error, OSError) else None
        raise InputError(f"{what} cannot be read: {said or error}") from None
    if len(data) > limit:
        raise InputError(f"{what} is larger than {limit:,} bytes")
    return data
