"""What of a case can be asked of others: one piece of evidence about one certificate with its issuer, at one time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.core.crl import judge_crl
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Outcome, Source, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.verdict import Code, Judgement
    from mustaple.lab.cases import Case, Setup, World

REFUSED: Final = "refused"
"""What is said of evidence that proves nothing, whatever it says."""


@dataclass(frozen=True)
class Question:
    """Whether this evidence (an OCSP response or a CRL, DER unless it is forged otherwise) proves anything at `at`.

    `case` is the id of the case that it is taken from. `nonce` is what the client's request carried, where the case is
    about that. `ours` is the answer of our judge with its default rules: good, revoked, unknown or refused; `code` is
    the most telling reason of a refusal.
    """

    case: str
    source: Source
    link: Link
    evidence: bytes
    at: datetime
    nonce: bytes | None
    ours: str
    code: Code | None

    @property
    def subject(self) -> bytes:
        """The certificate asked about (DER)."""
        return self.link.subject.public_bytes(Encoding.DER)

    @property
    def same(self) -> tuple[bytes, ...]:
        """What is equal where two cases put the same question."""
        return self.subject, self.issuer, self.evidence, self.nonce or b"", f"{self.at}".encode()

    @property
    def issuer(self) -> bytes:
        """Its issuer (DER), which everybody is to trust."""
        return self.link.issuer.public_bytes(Encoding.DER)


def questions(cases: Iterable[Case], world: World) -> tuple[list[Question], dict[str, str]]:
    """The question that each case puts, and for the other cases, by id, why there is none to put.

    A case has several pieces of evidence; the one that tells is the first that is not simply good. CRLs come first
    where there are any.
    """
    asked: list[Question] = []
    without: dict[str, str] = {}
    for case in cases:
        setup = case.setup(world)
        found = _why_none(case, setup) or _most_telling(case, setup)
        if isinstance(found, Question):
            asked.append(found)
        else:
            without[case.id] = found
    return asked, without


def _why_none(case: Case, setup: Setup) -> str | None:
    if case.expected["ignore"].outcome is not Outcome.ACCEPTED:
        return "the certificates or the name are refused, whatever their status"
    if setup.flights:
        return "it is about the handshake"
    if not setup.chain.links:
        return "no issuer can vouch for the certificate"
    return None


def _most_telling(case: Case, setup: Setup) -> Question | str:
    found = list(_evidence(case.id, setup))
    if not found:
        return "it shows no evidence"
    return next((each for each in found if each.ours != Status.GOOD.value), found[0])


def _evidence(case: str, setup: Setup) -> Iterator[Question]:
    links = setup.chain.links
    for link, crl in zip(links, setup.crls, strict=True):
        if crl is not None:
            yield _question(case, setup, judge_crl(crl, link, setup.at), link, crl)
    if any(crl is not None for crl in setup.crls):
        return
    place = {link.subject.public_bytes(Encoding.DER): link for link in links}
    for certificate, staple in zip(setup.sent, setup.staples, strict=True):
        if staple is not None and certificate in place:
            link = place[certificate]
            yield _question(case, setup, judge(staple, link, setup.at), link, staple)
    stapled = any(staple is not None for staple in setup.staples)
    for link, answer in zip(links, setup.ocsp, strict=True):
        # The CA's answer is asked for where nothing was stapled; then, and only then, a nonce goes with the question.
        if answer is not None and not stapled:
            judged = judge(answer, link, setup.at, source=Source.OCSP, nonce=setup.nonce)
            yield _question(case, setup, judged, link, answer)


def _question(case: str, setup: Setup, judged: Judgement, link: Link, evidence: bytes) -> Question:
    unusable = judged.status is Status.UNUSABLE
    return Question(
        case=case,
        source=Source.CRL if judged.source is Source.CRL else Source.OCSP,
        link=link,
        evidence=evidence,
        at=setup.at,
        nonce=setup.nonce if judged.source is Source.OCSP else None,
        ours=REFUSED if unusable else judged.status.value,
        code=judged.reasons[0].code if unusable else None,
    )
