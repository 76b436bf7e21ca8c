"""Everything up to a verdict, without I/O: through a proxy, the words in clear, the TLS handshake, as one thing."""

from __future__ import annotations

import os
from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.policy import Policy
from mustaple.core.verdict import Outcome, Source
from mustaple.net.crl_cache import CrlCache
from mustaple.net.crl_files import read_crls
from mustaple.net.dial import written
from mustaple.net.engines import Engine, engine_named, examine, start
from mustaple.net.evidence import settle
from mustaple.net.policy_file import policy_named
from mustaple.net.proxy import connect_through, proxy_of
from mustaple.net.service_name import service_name
from mustaple.net.starttls import starttls, starttls_named
from mustaple.net.tls_context import Identity, client_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mustaple.core.expect_staple import KnownHost
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.engines import AnyClientTLS
    from mustaple.net.prelude import Prelude
    from mustaple.net.settings import Settings, Target
    from mustaple.net.tls_context import Authorities, PathLike

_CACHED_NAMES: Final = 256


class Approach:
    """One connection up to its verdict: feed it with `receive`, send what `to_send` gives, until `verdict` stands.

    `peer` is the target as errors name it, `waiting_for` what is awaited of it next. `known` is what is remembered of
    it as an Expect-Staple host, if it is one.
    """

    def __init__(
        self, preludes: Sequence[Prelude], tls: AnyClientTLS, peer: str, known: KnownHost | None = None
    ) -> None:
        self.tls = tls
        self.peer = peer
        self.known = known
        self._ahead = deque(preludes)

    @property
    def verdict(self) -> ChainVerdict | None:
        """The verdict, once the handshake has ended."""
        return self.tls.verdict

    @property
    def waiting_for(self) -> str:
        """What is awaited of the other side next, as a noun."""
        return self._ahead[0].waiting_for if self._ahead else "a TLS handshake"

    def to_send(self) -> bytes:
        """The bytes that wait to be sent, at most once."""
        return self._ahead[0].to_send() if self._ahead else self.tls.to_send()

    def receive(self, data: bytes) -> None:
        """Take bytes from the other side; empty bytes mean that it will send no more.

        Raises NetworkError, which names the peer, where it ends in no verdict. There may be bytes `to_send` even then.
        """
        try:
            while self._ahead:
                self._ahead[0].receive(data)
                if not self._ahead[0].done:
                    return
                data = self._ahead.popleft().unread
                if not data:
                    return
            self.tls.receive(data)
        except NetworkError as error:
            raise NetworkError(f"{self.peer}: {error}") from error

    def timed_out(self, seconds: float) -> NetworkError:
        """What to raise where the other side let `seconds` go by."""
        missing = f": {self.waiting_for} did not come" if self._ahead else ""
        return NetworkError(f"{self.peer} did not answer within {seconds:g} s{missing}")


class Place(NamedTuple):
    """Where a TCP connection goes, and what errors call it."""

    host: str
    port: int
    peer: str


class Plan:
    """What `Settings` come to, ready for any number of connections: names looked up, files read.

    Raises InputError for settings that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.policy = preset_or_policy(settings.policy)
        self.engine = engine_named(settings.engine)
        self.proxy = proxy_of(settings.proxy) if settings.proxy is not None else None
        self._identity = identity_of(settings.certificate, settings.key)
        authorities = authorities_of(settings.ca)
        self._crls = read_crls(settings.crls)
        if self._crls and Source.CRL not in self.policy.sources:
            raise InputError(
                f"policy {self.policy.name!r} takes no CRL as evidence; hard-fail does, or one of your own"
            )
        self._crl_cache = settings.crl_cache if settings.crl_cache is not None else CrlCache()
        self._context = client_context(authorities, identity=self._identity, at=settings.at, maximum=settings.maximum)
        if self._identity is not None:
            examine(self.engine, self._identity)

    def moment(self) -> datetime:
        """The time at which a connection that begins now is judged."""
        return self.settings.at if self.settings.at is not None else datetime.now(UTC)

    def dialled(self, target: Target) -> Place:
        """Where the TCP connection goes."""
        if self.proxy is not None:
            return Place(self.proxy.host, self.proxy.port, f"the proxy {self.proxy}")
        host, port = target.address if target.address is not None else (target.host, target.port)
        return Place(host, port, written(host, port))

    def start(self, target: Target, engine: Engine, at: datetime) -> Approach:
        """A connection to this target. Raises InputError where the target can be nobody's."""
        name = _name(_name_of(target))
        where = target.address if target.address is not None else (target.host, target.port)
        preludes = []
        if self.proxy is not None:
            preludes.append(connect_through(self.proxy, *where))
        if target.starttls is not None:
            preludes.append(starttls(starttls_named(target.starttls), name.text))
        maximum, identity = self.settings.maximum, self._identity
        hosts = self.settings.expect_hosts if target.starttls is None else None  # the header is HTTP's
        known = hosts.remembered(_name_of(target), at) if hosts is not None else None
        tls = start(
            engine,
            self._context,
            name,
            self.policy,
            at,
            maximum=maximum,
            identity=identity,
            expect_staple=known is not None,
        )
        return Approach(preludes, tls, written(*where), known)

    def unsettled(self, verdict: ChainVerdict) -> bool:
        """Whether `settle` could change this verdict: it is pending, or there are CRLs that might yet refuse it."""
        return verdict.outcome is Outcome.PENDING or (bool(self._crls) and verdict.outcome is Outcome.ACCEPTED)

    def settle(self, tls: AnyClientTLS, verdict: ChainVerdict) -> ChainVerdict:
        """Get the evidence that an unsettled verdict still wants, under the timeout of the settings. It blocks."""
        return settle(
            tls,
            verdict,
            self.policy,
            self.settings.timeout,
            crls=self._crls,
            cache=self._crl_cache,
            proxy=self.settings.proxy,
        )

    def report(self, target: Target, approach: Approach, verdict: ChainVerdict) -> None:
        """Report an Expect-Staple host that did not staple as it promised, where that is wanted; never raises.

        A connection judged at another time than now is a question, not an event to tell others of.
        """
        sender, known = self.settings.expect_reports, approach.known
        if sender is None or known is None or known.report_uri is None or self.settings.at is not None:
            return
        sender.report(
            verdict,
            approach.tls.flight,
            host=_name_of(target),
            port=target.port,
            report_uri=known.report_uri,
            expires_at=known.expires_at,
        )


def _name_of(target: Target) -> str:
    """The name that is asked for."""
    return target.server_name if target.server_name is not None else target.host


_name: Final = lru_cache(_CACHED_NAMES)(service_name)


def preset_or_policy(policy: Policy | str) -> Policy:
    """The policy itself, or the one of that name, see `policy_named`; InputError where there is none."""
    return policy if isinstance(policy, Policy) else policy_named(policy)


def authorities_of(ca: Authorities | Iterable[Authorities] | None) -> tuple[Authorities, ...] | None:
    """What to trust, as it was given: one thing, several, or None for the system's store."""
    if ca is None:
        return None
    if isinstance(ca, str | os.PathLike | x509.Certificate):
        return (ca,)
    return tuple(ca)


def identity_of(certificate: PathLike | None, key: PathLike | None) -> Identity | None:
    """The client's own certificate; a key that is not named is looked for in the certificate's file."""
    if certificate is None:
        if key is not None:
            raise InputError("A client's key is of no use without its certificate.")
        return None
    return Identity(os.fspath(certificate), os.fspath(key if key is not None else certificate))
