"""Every way an OCSP response can be wrong, by name: each mutation is the honest response with one thing changed."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from certtools.forge.wrong_envelope import ENVELOPES
from certtools.forge.wrong_signer import SIGNERS
from certtools.forge.wrong_statement import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certtools.forge.scene import Mutation

# The docstring of each says what is wrong with it; three are honest in an unusual way, and say so.
MUTATIONS: Final[Mapping[str, Mutation]] = MappingProxyType(STATEMENTS | SIGNERS | ENVELOPES)
