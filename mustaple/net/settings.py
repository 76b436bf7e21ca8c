"""What a strict client is told: whom to ask (`Target`), and how to ask anybody (`Settings`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict

from mustaple.net.dial import written
from mustaple.net.engines import Engine

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mustaple.core.policy import Policy
    from mustaple.net.crl_cache import CrlCache
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.expect_reports import ReportSender
    from mustaple.net.starttls import StartTLS
    from mustaple.net.tls_context import Authorities, PathLike

TIMEOUT: Final = 10.0


class Options(TypedDict, total=False):
    """The keyword arguments of `connect`, `check` and their async twins: those of a `Target` and of `Settings`."""

    server_name: str | None
    address: tuple[str, int] | None
    starttls: StartTLS | str | None
    ca: Authorities | Iterable[Authorities] | None
    timeout: float
    wait: float
    at: datetime | None
    certificate: PathLike | None
    key: PathLike | None
    maximum: str | None
    engine: Engine | str
    proxy: str | None
    crls: Iterable[bytes | PathLike]
    crl_cache: CrlCache | None
    expect_hosts: ExpectHosts | None
    expect_reports: ReportSender | None


@dataclass(frozen=True, slots=True)
class Target:
    """A server to ask.

    `server_name` is the name to ask for and to find in the certificate, `address` where to connect; both are `host`
    and `port` unless given. `starttls` is the protocol that is spoken in clear before TLS, by its name in `StartTLS`.
    """

    host: str
    port: int
    server_name: str | None = None
    address: tuple[str, int] | None = None
    starttls: StartTLS | str | None = None

    def __str__(self) -> str:
        return written(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to ask, whoever it is.

    `policy` is a `Policy` or the name of a preset. `ca` is what to trust: a file, a directory, a certificate, or
    several; None is the system's store. `timeout` bounds, in seconds, everything up to the end of the handshake, and
    once more all the fetches that the policy asks for after it; `wait` is how long a port that refuses is tried again.
    `at` (aware UTC) judges path and evidence at another time than now. `certificate` and `key` are PEM files with the
    client's own; `maximum` is "TLSv1.2" or "TLSv1.3". `engine` is a TLS library, see `Engine`. `proxy` is the URL of an
    HTTP proxy, as http://user:password@host:port; without it the connection is direct, whatever the environment says.
    `crls` are CRLs, in files or as bytes, that are looked at before anybody is asked; the policy must take CRLs as
    evidence. `crl_cache` keeps those that were fetched beyond this call.
    `expect_hosts` is the memory of Expect-Staple hosts, which a policy may enforce; `expect_reports` reports those that
    break their word, unless `at` is given.
    """

    policy: Policy | str = "strict"
    ca: Authorities | Iterable[Authorities] | None = None
    timeout: float = TIMEOUT
    wait: float = 0.0
    at: datetime | None = None
    certificate: PathLike | None = None
    key: PathLike | None = None
    maximum: str | None = None
    engine: Engine | str = Engine.AUTO
    proxy: str | None = None
    crls: Iterable[bytes | PathLike] = ()
    crl_cache: CrlCache | None = None
    expect_hosts: ExpectHosts | None = None
    expect_reports: ReportSender | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one `connect`, taken apart."""

    target: Target
    settings: Settings

    @classmethod
    def of(cls, host: str, port: int, policy: Policy | str, options: Options) -> Self:
        """The target and the settings in these arguments. Raises TypeError for an option that there is not."""
        rest: dict[str, Any] = dict(options)
        own = (rest.pop("server_name", None), rest.pop("address", None), rest.pop("starttls", None))
        return cls(Target(host, port, *own), Settings(policy, **rest))
