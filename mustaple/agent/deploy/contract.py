"""What a deployer promises: hand over the staples of one chain, take them back, undo the last step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from mustaple.core.errors import MustapleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certtools.chain import Chain

Command = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=4096)]],
    Field(min_length=1, max_length=64),
]
Seconds = Annotated[float, Field(gt=0, le=600)]


class DeployError(MustapleError):
    """A target that did not take what it was given, or does not serve it; one sentence, which names the target."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is deployed for: a chain under the name that the agent calls it by, and the files that it came from.

    `pem` are the certificates as they were read when the chain was found whole, leaf first; `key` is a PEM file that
    goes with them, if the configuration names one. `name` is a plain file name.
    """

    name: str
    chain: Chain
    pem: bytes
    key: Path | None = None

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the leaf (32 bytes)."""
        return self.chain.links[0].fingerprint


class Deployer(Protocol):
    """One target of one chain. Made from its table in the configuration, and kept as long as the agent runs.

    The agent calls one method at a time, in a thread where it may block. Each raises DeployError, and leaves the
    target as it was, or as near to that as the target allows; a failure is tried again.

    What is given is always whole: a deployer never has to remember what it was given before, and doing the same again
    does no harm. The agent gives only staples that its judge found good now.
    """

    def deploy(self, site: Site, staples: Sequence[bytes | None]) -> None:
        """Have the server serve this chain with these staples: DER, leaf first, None where there is no good one.

        At least one is given. A certificate that is not the one served until now, and its staples, take effect in one
        step (RFC 7633 §4.3.2: no moment at which a must-staple certificate is served without its staple).
        """

    def withdraw(self, site: Site) -> None:
        """Have the server serve no staple for this chain any more: the last one's time is over, or it is revoked."""

    def rollback(self, site: Site) -> None:
        """Undo the last `deploy` of this process: its check failed. Does nothing where there was none."""


class Deployment(BaseModel, ABC):
    """What the tables of all deployers say: how to see that the server really serves what it was given.

    A deployer's own settings are a subclass with a `kind` and a `deployer(name)`, listed in `kinds.py`.
    """

    model_config = ConfigDict(extra="forbid")

    verify: Annotated[str, Field(max_length=300)] | None = Field(
        default=None,
        description="HOST:PORT to shake hands with after each deployment; rolled back where it serves otherwise.",
    )
    server_name: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="The name to ask for in that handshake; default: the host of `verify`."
    )
    serves: Literal["leaf", "chain"] = Field(
        default="leaf", description="What the handshake must show: the leaf's staple, or one for every certificate."
    )
    patience: Seconds = Field(
        default=10.0, description="Seconds that the server has until it must serve what it was given."
    )

    @abstractmethod
    def deployer(self, name: str) -> Deployer:
        """The deployer of this table, for the chain of this name. Raises InputError for a table it cannot use."""
