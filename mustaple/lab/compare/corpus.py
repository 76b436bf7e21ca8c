"""Cases of the corpus in a comparison, as live servers: what is true in them, who attacks, what the CA is asked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from certtools.chain import name_of
from certtools.feature import Feature, FeatureError, read_features
from mustaple.core.crl import judge_crl
from mustaple.core.ocsp import judge
from mustaple.core.policy import PRESETS
from mustaple.core.verdict import Outcome as Verdict
from mustaple.core.verdict import Source, Status
from mustaple.lab.cases import World as CorpusWorld
from mustaple.lab.cases import find
from mustaple.lab.compare.stage import HOST, Asked, Scenery, Seen, Stage
from mustaple.lab.live import CaseServer, Visit
from mustaple.report.comparison import Attacker, Case, Ocsp, Revoked, Server, Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import ExitStack

    from mustaple.lab.cases import Case as CorpusCase
    from mustaple.lab.cases import Setup
    from mustaple.report.comparison import Protocol


def as_situations(cases: Iterable[CorpusCase]) -> tuple[Case, ...]:
    """Cases of the corpus as situations of a comparison, told by their ids.

    A certificate is revoked in truth where the CA says so in any way that is to be believed: in a staple, to who asks,
    in a CRL. A thief is at work where it is revoked and the description speaks of one. Where even `ignore` should
    refuse, path or name are wrong, and no client should accept. All else is good, however odd.
    """
    world = CorpusWorld()
    return tuple(_situation(each, each.setup(world)) for each in cases)


def _situation(case: CorpusCase, setup: Setup) -> Case:
    revoked = _revoked(setup)
    thief = revoked is not Revoked.NONE and "thief" in case.description.lower()
    staples = [bool(each) for each in setup.staples]
    return Case(
        case.id,
        " ".join(case.description.split()),
        revoked=revoked,
        attacker=Attacker.THIEF if thief else Attacker.NONE,
        ocsp=Ocsp.ANSWERS if any(each is not None for each in setup.ocsp) else Ocsp.BLOCKED,
        must_staple=_promises(setup),
        server=Server.NONE if not any(staples) else Server.CHAIN if any(staples[1:]) else Server.LEAF,
        protocol=cast("Protocol", max(setup.protocols)),
        sound=case.expected["ignore"].outcome is Verdict.ACCEPTED,
    )


def _revoked(setup: Setup) -> Revoked:
    rules = PRESETS["strict"].rules
    for place, (link, answer, crl) in enumerate(zip(setup.chain.links, setup.ocsp, setup.crls, strict=True)):
        responses = [each for each in (answer, *setup.staples) if each]
        said = [judge(each, link, setup.at, rules, source=Source.OCSP, origin="the case") for each in responses]
        if crl is not None:
            said.append(judge_crl(crl, link, setup.at, rules, origin="the case"))
        if any(each.status is Status.REVOKED for each in said):
            return Revoked.INTERMEDIATE if place else Revoked.LEAF
    return Revoked.NONE


def _promises(setup: Setup) -> bool:
    try:
        return Feature.STATUS_REQUEST in (read_features(setup.chain.leaf) or ())
    except FeatureError:
        return False  # what it promises cannot be read


class Corpus(Stage):
    """The live servers of these cases, by their ids, a port each."""

    odd = True

    def __init__(self, ids: Iterable[str]) -> None:
        super().__init__()
        self._cases = {each: find(each) for each in ids}
        self._seen: dict[str, Seen] = {each: Seen() for each in self._cases}
        self._heard = 0
        self._names: dict[str, tuple[str, bool]] = {}
        self._answered: set[str] = set()

    @contextmanager
    def scenery(self, case: Case) -> Iterator[Scenery]:
        """The case's live server."""
        self._current = self._cases[case.name]
        setup = self._learn()
        self.server.aim((self._server.host, self._server.own_address(self._cases[case.name])[1]))
        signed = sum(bool(staple) for staple in setup.staples)
        yield Scenery(case.name, self, setup.trusted, self._seen[case.name], signed)

    def _assemble(self, stack: ExitStack) -> None:
        super()._assemble(stack)
        self._server = stack.enter_context(
            CaseServer(self._cases.values(), a_port_each=True, ca_url=self.ca.url, on_event=self._note)
        )
        where = urlsplit(self._server.responder_url)
        self.ca.aim((where.hostname or "", where.port or 0))

    def _learn(self) -> Setup:
        """The situation as it is served now, which is made anew every few seconds; whose certificates are in it."""
        setup = self._server.setup(self._current, HOST)
        for place, (link, answer) in enumerate(zip(setup.chain.links, setup.ocsp, strict=True)):
            serial = f"{link.serial_number:x}"
            self._names[serial] = name_of(link.subject), place == 0
            if answer is not None:
                self._answered.add(serial)
        return setup

    def _note(self, visit: Visit) -> None:
        """In the server's thread: a connection ended."""
        if visit.case is not None:
            self._seen[visit.case.id].add(visit)

    def _asked(self) -> Asked:
        self._learn()
        log = self._server.responder_log
        new = log.recent[max(len(log.recent) - (log.total - self._heard), 0) :]
        self._heard = log.total
        told = tuple(self._told(serial) for record in new for serial in record.serials)
        return Asked(len(new), sum(not self._answered.isdisjoint(record.serials) for record in new), told)

    def _told(self, serial: str) -> Told:
        name, site = self._names.get(serial, ("nobody here", False))
        return Told(serial=serial, name=name, names_site=site, in_clear=self.in_clear)
