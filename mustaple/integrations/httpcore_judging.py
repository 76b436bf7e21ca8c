"""How connections of httpcore are judged, whether they block or not: what to trust, when staples expire, deadlines."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mustaple.core.verdict import Outcome, Status
from mustaple.integrations.httpx_errors import VerdictError
from mustaple.net.engines import only_rfc6961_can_tell
from mustaple.net.evidence import Means, settle
from mustaple.net.service_name import service_name
from mustaple.net.tls_openssl import ClientTLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import httpcore

    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict
    from mustaple.integrations.httpx_expect import ExpectStaple
    from mustaple.net.tls_context import ClientContext

CHUNK: Final = 1 << 16
GOODBYE: Final = 1.0  # seconds that close_notify may take to leave
_NEEDS_TLS13: Final = (
    "; OpenSSL cannot ask a TLS 1.2 server for the staples above the leaf, so in applications policy {!r} needs TLS 1.3"
)


@dataclass(frozen=True)
class Judging:
    """What all connections of one transport are judged by.

    `clock` gives the time, aware UTC. `fetch_timeout` bounds, in seconds, the fetches for one connection.
    `on_verdict` gets the host and the verdict of each connection, accepted or refused, before it is used. `expect`
    knows of Expect-Staple hosts. `means` is what evidence is gathered by.
    """

    context: ClientContext
    policy: Policy
    clock: Callable[[], datetime]
    alpn: tuple[str, ...]
    fetch_timeout: float
    on_verdict: Callable[[str, ChainVerdict], None] | None = None
    expect: ExpectStaple | None = None
    means: Means = field(default_factory=Means)
    # httpcore hands a context to `start_tls`: ours is never used but to tell the server's TLS from a proxy's.
    token: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def begin(self, host: str) -> ClientTLS:
        """A connection to this host, whose ClientHello waits to be sent. Raises InputError for an impossible name."""
        name, at = service_name(host), self.clock()
        known = self.expect is not None and self.expect.remembered(host, at)
        return ClientTLS(self.context, name, self.policy, at, alpn=self.alpn, expect_staple=known)

    def unsettled(self, verdict: ChainVerdict | None) -> bool:
        """Whether more evidence is to be looked at: the verdict waits for it, or there are CRLs that might refuse."""
        if verdict is None:
            return False
        return verdict.outcome is Outcome.PENDING or (bool(self.means.given) and verdict.accepted)

    def settle(self, tls: ClientTLS, host: str) -> Judged:
        """The accepted connection, after the fetches it may want; it blocks where it does. Raises VerdictError."""
        verdict = tls.verdict
        if verdict is None:
            raise RuntimeError("The handshake has not been completed.")
        if self.unsettled(verdict):
            means = self.means
            verdict = settle(
                tls,
                verdict,
                self.policy,
                self.fetch_timeout,
                crls=means.given,
                cache=means.cache,
                proxy=means.proxy,
            )
        if self.on_verdict is not None:
            self.on_verdict(host, verdict)
        if not verdict.accepted:
            unaskable = only_rfc6961_can_tell(verdict, self.policy)
            hint = _NEEDS_TLS13.format(self.policy.name) if unaskable else ""
            raise VerdictError(verdict, hint, host=host, flight=tls.flight)
        return Judged(tls, verdict, host, self.clock)


class Judged:
    """What is known of an accepted connection. httpcore asks it for the protocol, as it asks an `ssl.SSLObject`.

    `expect_staple` is the last Expect-Staple field that came over it, None before the first answer.
    """

    def __init__(self, tls: ClientTLS, verdict: ChainVerdict, host: str, clock: Callable[[], datetime]) -> None:
        self.verdict = verdict
        self.host = host
        self.flight = tls.flight
        self.expect_staple: bytes | None = None
        self._protocol = tls.alpn_protocol
        self._clock = clock
        self._expires_at = expires_at(verdict)

    @property
    def expired(self) -> bool:
        """Whether evidence that the verdict stands on has expired since."""
        return self._expires_at is not None and self._clock() > self._expires_at

    def selected_alpn_protocol(self) -> str | None:
        """The application protocol that was negotiated; None is HTTP/1.1."""
        return self._protocol

    def version(self) -> str | None:
        """The version of TLS, as "TLSv1.3"."""
        return self.verdict.protocol

    def tell(self, what: str) -> Any:
        """The answer to `get_extra_info`, None for what only the socket knows."""
        return {"ssl_object": self, "judged": self, "verdict": self.verdict, "staples_expired": self.expired}.get(what)


def expires_at(verdict: ChainVerdict) -> datetime | None:
    """When the first piece of evidence expires that the acceptance stands on; None where it stands on none."""
    decisive = [each.judgement for each in verdict.certificates if each.status is Status.GOOD]
    return min((each.dies_at for each in decisive if each is not None and each.dies_at is not None), default=None)


class Remaining:
    """The seconds left of one operation; httpcore's timeouts, in which None means for ever."""

    def __init__(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._late = late

    def left(self) -> float | None:
        """What is left; raises the timeout where nothing is."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise self._late("timed out")
        return left
