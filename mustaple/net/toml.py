"""Reads TOML that a user wrote: what is wrong with it is one line that says where."""

from __future__ import annotations

from typing import Any

from mustaple.core.errors import InputError


def parse_toml(data: bytes, where: str, what: str) -> dict[str, Any]:
    """The table that these bytes hold; `where` names them in errors, and `what` says what they are, as "a policy".

    Raises InputError, in one line.
    """
    import tomllib

    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise InputError(f"{where}: {what} is UTF-8 text in TOML, and this is not") from None
    except RecursionError:
        raise InputError(f"{where}: it is nested too deeply for {what}") from None
    except ValueError as error:
        raise InputError(f"{where}: not TOML: {str(error).rstrip('.')}") from None
