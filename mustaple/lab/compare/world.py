"""The world of a comparison: a CA with its responder, and servers in any situation with certificates of their own."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from certtools.authority import MUST_STAPLE, Authority
from certtools.drawing import drawn_from
from certtools.forge import MUTATIONS, Scene
from mustaple.lab.compare.stage import HOST, Asked, Scenery, Seen, Stage
from mustaple.lab.compare.tampering import BreakConnection, RemoveStaple
from mustaple.net.responder import ResponderServer
from mustaple.net.responder.reply import UNAUTHORIZED
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.comparison import Attacker, Ocsp, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from certtools.chain import Link
    from mustaple.lab.compare.tampering import Tampering
    from mustaple.net.responder.question import Question
    from mustaple.report.comparison import Case, Protocol

_LIFE: Final = timedelta(days=90)  # of every certificate, on either side of now
_TAMPERINGS: Final[dict[Attacker, Callable[[], Tampering]]] = {
    Attacker.REMOVES_STAPLE: RemoveStaple,
    Attacker.BREAKS_CONNECTION: BreakConnection,
}
_VERSIONS: Final[dict[Protocol, str]] = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}


class World(Stage):
    """The CA of the experiment and whoever it certifies.

    Keys and serial numbers follow from `seed` and the name of each situation, whatever else is tried beside it. They
    are thereby known to everybody, and nobody trusts them but the clients that are tried.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
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

    def _assemble(self, stack: ExitStack) -> None:
        super()._assemble(stack)
        self._responder = stack.enter_context(ResponderServer(self._answer))

    @contextmanager
    def scenery(self, case: Case) -> Iterator[Scenery]:
        """A server in this situation, with certificates of its own, behind the lines."""
        seen = Seen()
        with drawn_from(f"{self._seed}\0{case.name}\0{case.attacker}\0{case.server}"):
            server = self._make(case, seen)
        with server:
            self.server.aim((server.host, server.port), _TAMPERINGS.get(case.attacker))
            answers = case.ocsp is Ocsp.ANSWERS
            self.ca.aim((self._responder.host, self._responder.port) if answers else None)
            signed = sum(staple is not None for staple in (case.staple, case.ca_staple))
            yield Scenery(case.name, self, self._root.certificate, seen, signed)

    def _asked(self) -> Asked:
        asked = Asked(self._requests, self._signatures, tuple(self._told))
        self._requests = self._signatures = 0
        self._told = []
        return asked

    def _make(self, case: Case, seen: Seen) -> ChainStaplingServer:
        urls = (self.ca.url,)
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
            on_event=seen.add,
        )

    def _scene(self, link: Link, issuer: Authority, other: Link) -> Scene:
        return Scene(link=link, issuer=issuer, other=other, rogue=self._rogue, at=self._at)

    def _answer(self, question: Question) -> bytes:
        """In the responder's thread, one request after the other."""
        self._requests += 1
        for each in question.cert_ids:
            name, site = self._names.get(each.serial_number, ("nobody here", False))
            self._told.append(
                Told(serial=f"{each.serial_number:x}", name=name, names_site=site, in_clear=self.in_clear)
            )
        make = self._answers.get(question.cert_ids[0].serial_number)
        if make is None:
            return UNAUTHORIZED  # which is not signed
        self._signatures += 1
        return make()


def _response(name: str, scene: Scene) -> bytes:
    return scene.response() if name == "good" else MUTATIONS[name](scene)
