"""What the pytest fixtures hand out: an authority of their own, a server in any situation by name, a responder."""

from __future__ import annotations

import difflib
import inspect
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

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
    """Every name that `case_named` knows, sorted."""
    return tuple(sorted(_NAMED))


def case_named(name: str) -> Case:
    """The situation of this name: `good`, one of `mustaple compare`, or a way for the leaf's staple to be wrong.

    Raises InputError, which names the nearest, where there is none.
    """
    try:
        return _NAMED[name]
    except KeyError:
        near = difflib.get_close_matches(name, _NAMED, n=3) or ("good", "no-staple", "revoked", "expired")
        raise InputError(f"There is no case {name!r}; there are {', '.join(near)} and others.") from None


class MustStapleAuthority:
    """A root and a CA below it, valid today, whose certificates promise a staple. `ca_file` is the root as PEM."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        begin, end = now - LIFETIME, now + LIFETIME
        self.root = Authority.root("mustaple test root", not_before=begin, not_after=end)
        self.ca = self.root.intermediate("mustaple test CA")
        self.ca_file = folder / "root.pem"
        self.ca_file.write_bytes(to_pem((self.root.certificate,)))
        self._rogue = Authority.root("somebody else", not_before=begin, not_after=end)
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
        scene = Scene(link=link, issuer=issuer, other=other, rogue=self._rogue, at=datetime.now(UTC))
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


class CaseServer(ChainStaplingServer):
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
