"""Every kind of deployer that a configuration may name."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mustaple.agent.deploy.command import ExecDeployment
from mustaple.agent.deploy.files import FilesDeployment

AnyDeployment = Annotated[FilesDeployment | ExecDeployment, Field(discriminator="kind")]
KINDS: Final = ("files", "exec")
