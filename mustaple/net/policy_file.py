"""Policies by the name a person gives them: a preset's, a shipped one's, or a policy file's path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.core.errors import InputError
from mustaple.core.policy import preset

if TYPE_CHECKING:
    from mustaple.core.policy import Policy


def policy_named(text: str) -> Policy:
    """The policy that `text` names: a preset, a shipped policy, or the path of a `.toml` file.

    Raises InputError, in one line, where there is none or the file does not hold one.
    """
    try:
        return preset(text)
    except KeyError as error:
        raise InputError(str(error.args[0])) from None
