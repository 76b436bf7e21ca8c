"""What the pytest fixtures hand out: an authority of their own, a server in any situation by name, a responder."""

from __future__ import annotations

import difflib
import inspect
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from certtools.authority import MUST_STAPLE, Authority
from certtools.chain import to_pem
from certtools.forge import MUTATIONS, Scene
from mustaple.core.errors import InputError
from mustaple.lab.compare import CASES
from mustaple.net.client import check, connect
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.comparison import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from certtools.authority import Issued
    from certtools.chain import Link
    from mustaple.core.verdict import ChainVerdict
    from mustaple.lab.cases import Case as CorpusCase
    from mustaple.lab.live import Visit
    from mustaple.net.client import Connection
    from mustaple.net.responder.question import Question

NAMES: Final = ("localhost", "127.0.0.1", "::1")
LIFETIME: Final = timedelta(days=90)

_NAMED: Final = {
    **{name: Case(name, inspect.getdoc(make) or name, staple=name, answer=name) for name, make in MUTATIONS.items()},
    **{case.name: case for case in CASES},
    "good": Case("good", "all is well"),
}


def case_names() -> tuple[str, ...]:
    """Every name that `case_named` knows beside the ids of the corpus, sorted."""
    return tuple(sorted(_NAMED))


def case_named(name: str) -> Case | CorpusCase:
    """The situation of this name.

    It is `good`, one of `mustaple compare`, a way for the leaf's staple to be wrong, or a case of the corpus by its id,
    as `freshness/expired`. Raises InputError, which names the nearest, where there is none.
    """
    if "/" in name:
        from mustaple.lab.cases import find

        return find(name)
    try:
        return _NAMED[name]
    except KeyError:
        near = difflib.get_close_matches(name, _NAMED, n=3) or ("good", "no-staple", "revoked", "expired")
        raise InputError(
            f"There is no case {name!r}; there are {', '.join(near)} and others, see `mustaple cases list`."
        ) from None


def serve_case(
    name: str,
    authority: MustStapleAuthority,
    names: Sequence[str] = (),
    responder: ToldResponder | None = None,
    **how: Any,
) -> NamedServer | CorpusServer:
    """A server in the situation of this name, not started yet; see `case_named`, and the servers for what they take."""
    case = case_named(name)
    if isinstance(case, Case):
        return NamedServer(authority, case, names, responder, **how)
    if names or how:
        raise InputError(f"{name} brings its own names and TLS versions.")
    return CorpusServer(authority, case)


class MustStapleAuthority:
    """A root and a CA below it, valid today, whose certificates promise a staple. `ca_file` is the root as PEM."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        begin, end = now - LIFETIME, now + LIFETIME
        self.root = Authority.root("mustaple test root", not_before=begin, not_after=end)
        self.ca = self.root.intermediate("mustaple test CA")
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(to_pem((self.root.certificate,)))
        self.rogue = Authority.root("somebody else", not_before=begin, not_after=end)
        self._other = self.ca.leaf(["other.test"])
        self._other_ca = self.root.intermediate("another test CA")

    def issue(self, *names: str, features: Sequence[int] | None = MUST_STAPLE, ocsp_urls: Iterable[str] = ()) -> Issued:
        """A certificate with its key for these names, for localhost by default; `features` None promises nothing."""
        return self.ca.leaf(names or NAMES, features=features, ocsp_urls=tuple(ocsp_urls))

    def response(self, name: str | None, of: Issued) -> bytes | None:
        """An OCSP response for a certificate of this authority: `good`, or wrong as a mutation says; None is none."""
        return self._made(name, of.as_chain().links[0], self.ca, self._other.as_chain().links[0])

    def ca_response(self, name: str | None) -> bytes | None:
        """The same for the CA's own certificate."""
        return self._made(name, self.ca.as_chain().links[0], self.root, self._other_ca.as_chain().links[0])

    def _made(self, name: str | None, link: Link, issuer: Authority, other: Link) -> bytes | None:
        if name is None:
            return None
        scene = Scene(link=link, issuer=issuer, other=other, rogue=self.rogue, at=datetime.now(UTC))
        return scene.response() if name == "good" else MUTATIONS[name](scene)


class ToldResponder(ResponderServer):
    """An OCSP responder on loopback that says of each certificate what `tell` was told; of others, unauthorized."""

    def __init__(self, authority: MustStapleAuthority) -> None:
        self._authority = authority
        self._told: dict[int, tuple[Issued, str]] = {}
        super().__init__(self._answer)

    def tell(self, of: Issued, name: str = "good") -> None:
        """Say this of a certificate from now on: `good`, `revoked`, `unknown`, or another wrong response by name."""
        if name != "good" and name not in MUTATIONS:
            raise InputError(f"There is no response {name!r}; there are good, {', '.join(sorted(MUTATIONS))}.")
        self._told[of.certificate.serial_number] = (of, name)

    def _answer(self, question: Question) -> bytes:
        told = self._told.get(question.cert_ids[0].serial_number)
        return (self._authority.response(told[1], told[0]) if told is not None else None) or UNAUTHORIZED


class NamedServer(ChainStaplingServer):
    """A stapling server in the situation `case`, with a certificate of its own, `issued`; trust `ca_file`.

    `url`, `host` and `port` say where it listens; `next_record()` waits for the next connection that ended and says
    what the server saw of it, its `alert` and its `application_data` among the rest.
    """

    def __init__(
        self,
        authority: MustStapleAuthority,
        case: Case,
        names: Sequence[str],
        responder: ToldResponder | None,
        **how: Any,
    ) -> None:
        self.case = case
        self.ca_file = authority.ca_file
        features = MUST_STAPLE if case.must_staple else None
        urls = (responder.url,) if responder is not None else ()
        self.issued = authority.issue(*names, features=features, ocsp_urls=urls)
        if responder is not None:
            responder.tell(self.issued, case.answer)
        staples = (authority.response(case.staple, self.issued), authority.ca_response(case.ca_staple))
        super().__init__(self.issued.chain[:-1], self.issued.key, staples, **how)


class CorpusServer:
    """A server in the situation of a case of the corpus, with a responder of its own behind it; trust `ca_file`.

    `url`, `host` (localhost), `port`, `records` and `next_record()` are as those of a `NamedServer`.
    """

    def __init__(self, authority: MustStapleAuthority, case: CorpusCase) -> None:
        from mustaple.lab.live import CaseServer
        from mustaple.lab.live.ground import Ground

        self.case = case
        self.ca_file = authority.ca_file
        ground = Ground(datetime.now(UTC), authority.root, authority.rogue)
        self._server = CaseServer([case], a_port_each=True, ground=ground)
        self.host, self.port = self._server.own_address(case)
        self.url = f"https://{self.host}:{self.port}/"

    def __enter__(self) -> Self:
        self._server.start()
        trusted = self._server.trusted(self.case, self.host)
        if trusted != self._server.root:  # a few cases are about the anchor itself
            self.ca_file = self.ca_file.with_name(f"{self.case.id.replace('/', '-')}.pem")
            self.ca_file.write_bytes(to_pem((trusted,)))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    @property
    def records(self) -> Sequence[Visit]:
        """What the server saw of each connection that has ended, the last 5000."""
        return self._server.records

    def next_record(self, timeout: float = 30.0) -> Visit:
        """The next connection that ended, waiting for it. Raises NetworkError after `timeout` seconds."""
        return self._server.next_record(timeout)


class StrictClient:
    """The strict client, with trust in one authority: `check` gives the verdict, `connect` a connection.

    Both take the arguments of `mustaple.check` and `mustaple.connect`.
    """

    def __init__(self, authority: MustStapleAuthority) -> None:
        self._ca = authority.root.certificate

    def check(self, host: str, port: int, policy: str = "strict", **options: Any) -> ChainVerdict:
        """What the policy says of this server, refused or not."""
        return check(host, port, policy, **{"ca": self._ca, **options})

    def connect(self, host: str, port: int, policy: str = "strict", **options: Any) -> Connection:
        """A connection that the policy accepts. Raises RefusedError otherwise."""
        return connect(host, port, policy, **{"ca": self._ca, **options})
