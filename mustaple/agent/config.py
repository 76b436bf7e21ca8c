"""Reads the agent's configuration: TOML into the model, and errors that name the key and what it may be in one line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from mustaple.agent.config_model import AgentConfig
from mustaple.agent.deploy.kinds import NO_KINDS
from mustaple.core.errors import InputError
from mustaple.net.toml import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

MAX_CONFIG_BYTES: Final = 4 * 1024 * 1024
_PASSWORD: Final = re.compile(r"//[^/\s]*@")
_DISCRIMINATORS: Final = {"union_tag_invalid", "union_tag_not_found"}


def read_config(path: Path) -> AgentConfig:
    """The configuration in a file; its relative paths start from the file's folder.

    Raises InputError, in one line that names the file and the key, where it cannot be used.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the configuration {path}: {error.strerror or error}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise InputError(f"the configuration {path} is larger than {MAX_CONFIG_BYTES:,} bytes")
    return _from_folder(parse_config(data, str(path)), path.parent.absolute())


def parse_config(data: bytes, where: str) -> AgentConfig:
    """The configuration that these bytes of TOML hold; `where` names them in errors. Raises InputError."""
    return _validated(parse_toml(data, where, "a configuration"), where)


def _validated(table: Mapping[str, Any], where: str) -> AgentConfig:
    try:
        return AgentConfig.model_validate(table)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    raise InputError(f"{where}: {_sentence(first)}{more}")


def _sentence(error: ErrorDetails) -> str:
    """One error in words: the key, what stands there, and what may."""
    location = _without_kind(error["loc"])
    key = _key(location)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        near = get_close_matches(str(location[-1]), _names(AgentConfig), n=1)
        return f"{key}: there is no such key" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "missing":
        return f"{key}: it is missing"
    if kind in _DISCRIMINATORS:
        if (reason := NO_KINDS.get(str(context.get("tag")))) is not None:
            return f"{key}.kind: {reason}"
        return f"{key}.kind: {_shown(context.get('tag'))} is not one of {context.get('expected_tags', 'the kinds')}"
    if kind == "value_error":
        return (
            f"{key}: {_shown(error['input'])} is not {context['error']}"
            if not isinstance(error["input"], dict)
            else f"{key}: {context['error']}"
        )
    return f"{key}: {_shown(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _without_kind(location: tuple[int | str, ...]) -> list[int | str]:
    """Where the error is, without the kind of deployment that pydantic puts behind the deployment's number."""
    return [part for place, part in enumerate(location) if place < 2 or location[place - 2] != "deploy"]


def _key(location: list[int | str]) -> str:
    """`chain[0].deploy[1].directory`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the configuration"


def _names(model: type[BaseModel]) -> list[str]:
    """Every key there is in any table, the deployers' own excepted."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(name)
        parts = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                names += _names(part)
    return names


def _shown(value: object) -> str:
    text = _PASSWORD.sub("//***@", repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _from_folder(config: AgentConfig, folder: Path) -> AgentConfig:
    """The same with every path absolute."""
    chains = []
    for chain in config.chain:
        deploy = []
        for each in chain.deploy:
            paths = {name: folder / value for name, value in each if isinstance(value, Path)}
            deploy.append(each.model_copy(update=paths))
        update: dict[str, Any] = {
            "certificates": [str(folder / pattern) for pattern in chain.certificates],
            "issuers": [str(folder / pattern) for pattern in chain.issuers],
            "key": folder / chain.key if chain.key is not None else None,
            "deploy": deploy,
        }
        chains.append(chain.model_copy(update=update))
    store = config.store if config.is_shared else str(folder / config.store)
    paths = {name: folder / value for name, value in config.fleet if isinstance(value, Path)}
    ca = folder / config.ca if config.ca is not None else None
    fleet = config.fleet.model_copy(update=paths)
    state = folder / config.state if config.state is not None else None
    return config.model_copy(update={"chain": chains, "store": store, "fleet": fleet, "state": state, "ca": ca})
