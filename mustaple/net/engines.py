"""Which TLS library speaks to a server, and when a second one has to ask again."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from mustaple.core.errors import InputError
from mustaple.core.policy import Depth
from mustaple.core.verdict import Outcome, Status
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from datetime import datetime

    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.service_name import ServiceName
    from mustaple.net.tls_chain import ChainClientTLS
    from mustaple.net.tls_context import ClientContext, Identity

    AnyClientTLS = ClientTLS | ChainClientTLS


class Engine(enum.StrEnum):
    """A TLS library of the client's.

    OPENSSL reads the staples of every certificate in TLS 1.3, and the leaf's in TLS 1.2. RFC6961 asks for every one
    in TLS 1.2 too; it is for probes, see `mustaple.net.tls_rfc6961`. AUTO is the first, and asks again with the
    second where only that can tell: in TLS 1.2, under a policy that wants every certificate's staple.
    """

    AUTO = "auto"
    OPENSSL = "openssl"
    RFC6961 = "rfc6961"


def engine_named(name: Engine | str) -> Engine:
    """The engine of that name; InputError where there is none."""
    try:
        return Engine(name)
    except ValueError:
        raise InputError(f"There is no engine {str(name)!r}; there are {', '.join(Engine)}.") from None


def examine(engine: Engine, identity: Identity) -> None:
    """Raise InputError where this engine cannot use the client's certificate or key, which OpenSSL can."""
    if engine is Engine.RFC6961:
        from mustaple.net.tls_chain import credentials

        credentials(identity)


def start(
    engine: Engine,
    context: ClientContext,
    name: ServiceName,
    policy: Policy,
    at: datetime,
    *,
    maximum: str | None = None,
    identity: Identity | None = None,
    expect_staple: bool = False,
) -> AnyClientTLS:
    """One connection of that engine, without I/O: its ClientHello waits to be sent.

    `maximum` and `identity` are those with which the context was made; `expect_staple` says that the host is
    remembered as an Expect-Staple host.
    """
    if engine is not Engine.RFC6961:
        return ClientTLS(context, name, policy, at, expect_staple=expect_staple)
    # A slow import, and most clients never need it.
    from mustaple.net.tls_chain import ChainClientTLS

    return ChainClientTLS(context, name, policy, at, maximum=maximum, identity=identity, expect_staple=expect_staple)


def only_rfc6961_can_tell(verdict: ChainVerdict, policy: Policy) -> bool:
    """Whether nothing is wrong but staples that OpenSSL cannot ask for: those above the leaf in TLS 1.2.

    The leaf's may be missing too: a server may give it by extension 17 alone.
    """
    if verdict.protocol != "TLSv1.2" or policy.depth is not Depth.EVERY or not policy.asks_for_staples:
        return False
    undecided = [place for place, each in enumerate(verdict.certificates) if each.outcome is not Outcome.ACCEPTED]
    missing = all(verdict.certificates[place].status is Status.MISSING for place in undecided)
    return not verdict.reasons and missing and any(undecided)
