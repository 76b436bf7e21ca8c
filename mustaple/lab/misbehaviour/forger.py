"""Answers that a CA directory would never give: its keys, and every mutation of what they would honestly sign."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from certtools.authority import Authority
from certtools.ca_dir import CaDir, issuer_id
from certtools.chain import Link
from certtools.forge import CRL_MUTATIONS, MUTATIONS, CertificateStatus, CrlScene, Scene
from certtools.forge import Revoked as RevokedEntry
from mustaple.net.responder.question import HASHES, CertId, Question, issuer_name
from mustaple.net.responder.register import VALID_FOR, RegisterAnswers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Issued
    from mustaple.net.responder import Reply

_LIFE: Final = timedelta(days=90)
_NONE: Final = timedelta()
_MOST: Final = 32  # registers at a time, as misbehaviours


class Forger:
    """Signs what it is told to, for the CAs of this directory; None where a request is about no CA of theirs.

    `begun` is when the misbehaviour began, in aware UTC. Raises CaDirError for a folder that is no CA directory.
    """

    def __init__(self, folder: Path, begun: datetime) -> None:
        self._ca = CaDir.open(folder)
        self._begun = begun
        self._issuers = {issuer_name(each.certificate, name): each for each in self._ca.issuers() for name in HASHES}
        self._by_id = {issuer_id(each.certificate): each for each in self._ca.issuers()}
        self._registers: dict[tuple[timedelta, timedelta], RegisterAnswers] = {}
        self._delegates: dict[tuple[str, timedelta], Issued] = {}

    def close(self) -> None:
        """Close the directory."""
        self._ca.close()

    def ocsp(self, mutation: str, question: Question, at: datetime) -> bytes | None:
        """The answer to this question with one thing wrong; about its first certificate."""
        return self._told(question, at, MUTATIONS[mutation])

    def staple(self, mutation: str | None, link: Link, at: datetime) -> bytes | None:
        """A staple for this certificate, with one thing wrong or, for None, the honest one."""
        asked = CertId(*issuer_name(link.issuer, "sha1"), link.serial_number)
        question = Question((asked,))
        if mutation is not None:
            return self.ocsp(mutation, question, at)
        reply = self.told_at(lambda register, now: register.answer(question, now), at)
        return None if reply is None or reply.why is not None else reply.body

    def crl(self, mutation: str, name: str, at: datetime) -> bytes | None:
        """The CRL of this name with one thing wrong; about the last good certificate that its CA issued."""
        issuer = self._by_id.get(name)
        if issuer is None:
            return None
        entries = list(self._ca.entries(issuer.certificate, revoked=False))
        revoked = [
            RevokedEntry(each.serial_number, each.revocation_time, each.reason)
            for each in entries
            if each.revocation_time is not None
        ]
        good = [each.serial_number for each in entries if each.revocation_time is None]
        link = self._link(issuer, good[-1] if good else None)
        scene = CrlScene(link=link, issuer=issuer, rogue=self._rogue, at=at, revoked=tuple(revoked))
        return CRL_MUTATIONS[mutation](scene)

    def told_at(
        self,
        ask: Callable[[RegisterAnswers, datetime], Reply | None],
        at: datetime,
        *,
        offset: timedelta = _NONE,
        valid_for: timedelta = VALID_FOR,
    ) -> Reply | None:
        """What the register honestly says at another time, or for a shorter one."""
        # Each keeps what it has signed, which is right by its own clock alone.
        known = self._registers.pop((offset, valid_for), None)
        if len(self._registers) >= _MOST:
            del self._registers[next(iter(self._registers))]
        self._registers[offset, valid_for] = known or RegisterAnswers(self._ca, valid_for=valid_for)
        return ask(self._registers[offset, valid_for], at + offset)

    def by_dying_delegate(self, question: Question, at: datetime, life: timedelta) -> bytes | None:
        """The register's answer by a delegate whose certificate ends so long after the beginning, and who goes on."""

        def make(scene: Scene) -> bytes:
            name = issuer_id(scene.issuer.certificate)
            if (name, life) not in self._delegates:
                begin, end = self._begun - timedelta(days=1), self._begun + life
                self._delegates[name, life] = scene.delegate(not_before=begin, not_after=end)
            entry = self._ca.status(scene.issuer.certificate, question.cert_ids[0].serial_number)
            said: dict[str, object] = {}
            if entry is None:
                said = {"status": CertificateStatus.UNKNOWN}
            elif entry.revocation_time is not None:
                said = {
                    "status": CertificateStatus.REVOKED,
                    "revocation_time": entry.revocation_time,
                    "reason": entry.reason,
                }
            return scene.response(scene.single(**said), signer=self._delegates[name, life])

        return self._told(question, at, make)

    def _told(self, question: Question, at: datetime, make: Callable[[Scene], bytes]) -> bytes | None:
        asked = question.cert_ids[0]
        issuer = self._issuers.get(asked.issuer)
        if issuer is None:
            return None
        scene = Scene(
            link=self._link(issuer, asked.serial_number),
            issuer=issuer,
            other=self._link(issuer, None),
            rogue=self._rogue,
            at=at,
            nonce=question.nonce,
        )
        return make(scene)

    def _link(self, issuer: Authority, serial_number: int | None) -> Link:
        """A certificate of this serial number that nobody will ever see: only its number and issuer are spoken of."""
        return Link(issuer.leaf(["forged.test"], serial_number=serial_number).certificate, issuer.certificate)

    @cached_property
    def _rogue(self) -> Authority:
        return Authority.root("somebody else", not_before=self._begun - _LIFE, not_after=self._begun + _LIFE)
