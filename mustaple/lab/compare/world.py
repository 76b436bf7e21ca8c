"""The stage of a comparison: a CA with its responder, servers in any situation, and a relay before each of the two."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from certtools.authority import MUST_STAPLE, Authority
from certtools.drawing import drawn_from
from certtools.forge import MUTATIONS, Scene
from mustaple.lab.compare.relay import Relay
from mustaple.lab.compare.tampering import BreakConnection, RemoveStaple
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.comparison import Attacker, Ocsp, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from cryptography import x509

    from certtools.chain import Link
    from mustaple.lab.compare.tampering import Tampering
    from mustaple.net.responder.question import Question
    from mustaple.net.stapling_session import ChainConnectionRecord
    from mustaple.report.comparison import Case, Protocol, Traffic

_LIFE: Final = timedelta(days=90)  # of every certificate, on either side of now
_TAMPERINGS: Final[dict[Attacker, Callable[[], Tampering]]] = {
    Attacker.REMOVES_STAPLE: RemoveStaple,
    Attacker.BREAKS_CONNECTION: BreakConnection,
}
_VERSIONS: Final[dict[Protocol, str]] = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}
HOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Scenery:
    """What a client meets: where to connect, what to trust, and what the server saw so far of those that came.

    `staples_signed` is how many responses the CA had signed for the server's staples. `settle` waits until every
    connection is over, and its record there.
    """

    case: str
    port: int
    trusted: x509.Certificate
    records: list[ChainConnectionRecord]
    staples_signed: int
    settle: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Counts:
    """What one client cost. `tampered` says whether somebody on the path changed or cut its connection."""

    to_server: Traffic
    to_ca: Traffic
    requests: int
    signatures: int
    told: tuple[Told, ...]
    tampered: bool


class Lines:
    """The two relays through which everything goes: `server` and `ca`; a context manager."""

    def __init__(self) -> None:
        self.server = Relay("server")
        self.ca = Relay("ca")
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.server)
            stack.enter_context(self.ca)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()


class World:
    """The CA of the experiment and whoever it certifies; a context manager.

    Keys and serial numbers follow from `seed` and the name of each situation, whatever else is tried beside it. They
    are thereby known to everybody, and nobody trusts them but the clients that are tried.
    """

    def __init__(self, lines: Lines, seed: int) -> None:
        self._lines = lines
        self._seed = seed
        self._at = datetime.now(UTC)
        begin, end = self._at - _LIFE, self._at + _LIFE
        with drawn_from(f"mustaple compare\0{seed}"):
            self._root = Authority.root("compare root", not_before=begin, not_after=end)
            self._rogue = Authority.root("somebody else", not_before=begin, not_after=end)
        self._answers: dict[int, Callable[[], bytes]] = {}
        self._names: dict[int, tuple[str, bool]] = {}
        self._requests = self._signatures = 0
        self._told: list[Told] = []
        self._responder = ResponderServer(self._answer)

    def __enter__(self) -> Self:
        self._responder.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._responder.close()

    @contextmanager
    def scenery(self, case: Case) -> Iterator[Scenery]:
        """A server in this situation, with certificates of its own, behind the lines."""
        with drawn_from(f"{self._seed}\0{case.name}\0{case.attacker}\0{case.server}"):
            records: list[ChainConnectionRecord] = []
            server = self._server(case, records)
        with server:
            self._lines.server.aim((server.host, server.port), _TAMPERINGS.get(case.attacker))
            answers = case.ocsp is Ocsp.ANSWERS
            self._lines.ca.aim((self._responder.host, self._responder.port) if answers else None)
            signed = sum(staple is not None for staple in (case.staple, case.ca_staple))
            front = self._lines.server
            yield Scenery(case.name, front.port, self._root.certificate, records, signed, front.settle)

    def counts(self) -> Counts:
        """What was counted since the last time, when every connection is over."""
        to_server, tampered = self._lines.server.take()
        to_ca, _ = self._lines.ca.take()
        counted = Counts(to_server, to_ca, self._requests, self._signatures, tuple(self._told), tampered)
        self._requests = self._signatures = 0
        self._told = []
        return counted

    def _server(self, case: Case, records: list[ChainConnectionRecord]) -> ChainStaplingServer:
        urls = (self._lines.ca.url,)
        ca, other_ca = (self._root.intermediate(f"compare CA {number}", ocsp_urls=urls) for number in (1, 2))
        features = MUST_STAPLE if case.must_staple else None
        leaf, other = (ca.leaf([HOST], features=features, ocsp_urls=urls) for _ in range(2))
        of_leaf = self._scene(leaf.as_chain().links[0], ca, other.as_chain().links[0])
        of_ca = self._scene(ca.as_chain().links[0], self._root, other_ca.as_chain().links[0])
        for issued, name, answer, scene in (
            (leaf.certificate, f"the site {HOST}", case.answer, of_leaf),
            (ca.certificate, "the intermediate", case.ca_answer, of_ca),
        ):
            self._answers[issued.serial_number] = partial(_response, answer, scene)
            self._names[issued.serial_number] = name, scene is of_leaf
        staples = [
            None if name is None else _response(name, scene)
            for name, scene in ((case.staple, of_leaf), (case.ca_staple, of_ca))
        ]
        return ChainStaplingServer(
            (leaf.certificate, ca.certificate),
            leaf.key,
            staples,
            maximum=_VERSIONS[case.protocol],
            on_event=records.append,
        )

    def _scene(self, link: Link, issuer: Authority, other: Link) -> Scene:
        return Scene(link=link, issuer=issuer, other=other, rogue=self._rogue, at=self._at)

    def _answer(self, question: Question) -> bytes:
        """In the responder's thread, one request after the other."""
        self._requests += 1
        clear = not self._lines.ca.url.startswith("https:")
        for each in question.cert_ids:
            name, site = self._names.get(each.serial_number, ("nobody here", False))
            self._told.append(Told(serial=f"{each.serial_number:x}", name=name, names_site=site, in_clear=clear))
        make = self._answers.get(question.cert_ids[0].serial_number)
        if make is None:
            return UNAUTHORIZED  # which is not signed
        self._signatures += 1
        return make()


def _response(name: str, scene: Scene) -> bytes:
    return scene.response() if name == "good" else MUTATIONS[name](scene)
