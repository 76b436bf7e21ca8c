"""Every kind of deployer that a configuration may name, and what to do for servers that no deployer can serve."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mustaple.agent.deploy.command import ExecDeployment
from mustaple.agent.deploy.files import FilesDeployment
from mustaple.agent.deploy.gnutls import GnutlsDeployment
from mustaple.agent.deploy.haproxy import HaproxyDeployment
from mustaple.agent.deploy.hitch import HitchDeployment
from mustaple.agent.deploy.lighttpd import LighttpdDeployment
from mustaple.agent.deploy.nginx import NginxDeployment

AnyDeployment = Annotated[
    FilesDeployment
    | ExecDeployment
    | NginxDeployment
    | HaproxyDeployment
    | LighttpdDeployment
    | HitchDeployment
    | GnutlsDeployment,
    Field(discriminator="kind"),
]

# What somebody may look for, and why it is not there.
NO_KINDS: Final = {
    "stunnel": "stunnel takes no staple from a file, in any version: those that staple ask the address in the "
    "certificate themselves, since 5.73 outside the handshake"
}
