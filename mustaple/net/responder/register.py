"""Honest answers from a CA directory: signed by the CA or its delegate, ahead of time, and signed anew at half-life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from certtools.ca_dir import CaDir, CaDirError, issuer_id
from certtools.chain import Link, name_of
from certtools.forge import CertificateStatus, ResponderId, Revoked, Single, answer, crl, sign
from mustaple.core.errors import InputError
from mustaple.core.refresh import half_life
from mustaple.net.responder.question import HASHES, CertId, Question, issuer_name
from mustaple.net.responder.reply import CRL, INTERNAL_ERROR, UNAUTHORIZED, Reply, try_later

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

    from certtools.authority import Authority
    from certtools.ca_dir import Entry
    from certtools.forge import Signer

VALID_FOR: Final = timedelta(days=1)
SHORTEST: Final = timedelta(seconds=1)  # times in an answer are whole seconds
MAX_SIGNED: Final = 10_000  # answers kept signed
AHEAD: Final = ("sha1", "sha256")  # what clients use: RFC 9919 §3.1.1 recommends the second, most send the first

Facts = tuple[CertificateStatus, "datetime | None", "x509.ReasonFlags | None"]


@dataclass(slots=True)
class _Signed:
    """A reply that was signed, the facts it states, and the version of the register that last confirmed them."""

    reply: Reply
    facts: tuple[object, ...]
    version: int


class RegisterAnswers:
    """What the register of a CA directory says, for its CAs and nobody else's.

    `delegated` has a signer of its own for each CA (RFC 6960 §4.2.2.2) instead of the CA's key. `responder_id` is by
    name unless told otherwise: RFC 9919 §3.2.2 asks new responders for the key's hash, but GnuTLS 3.7 then finds no
    signer for an intermediate's answer where the root is not sent. An answer lives for `valid_for`, and never longer
    than its signer.

    Raises InputError for a `valid_for` below a second, CaDirError where the directory cannot be read.
    """

    def __init__(
        self,
        ca: CaDir,
        *,
        delegated: bool = False,
        responder_id: ResponderId = ResponderId.NAME,
        valid_for: timedelta = VALID_FOR,
    ) -> None:
        if valid_for < SHORTEST:
            raise InputError("An answer lives for a second at least: its times are whole seconds.")
        self._ca = ca
        self._delegated = delegated
        self._responder_id = responder_id
        self._valid_for = valid_for
        self._issuers = {issuer_name(each.certificate, name): each for each in ca.issuers() for name in HASHES}
        self._by_id = {issuer_id(each.certificate): each for each in ca.issuers()}
        self._signers: dict[str, tuple[Signer, datetime]] = {}
        self._signed: dict[tuple[CertId, ...], _Signed] = {}
        self._crls: dict[str, _Signed] = {}
        self._ahead: tuple[int, datetime] | None = None
        self._failures = 0

    def version(self) -> int:
        """The register's; another number at each failure to read it, so that nothing kept is taken for true."""
        try:
            return self._ca.data_version()
        except CaDirError:
            self._failures += 1
            return -self._failures

    def answer(self, question: Question, at: datetime) -> Reply:
        """The answer to one request, as old as half of its life unless the request has a nonce."""
        try:
            return self._answer(question, at)
        except CaDirError as error:
            return try_later(str(error))

    def _answer(self, question: Question, at: datetime) -> Reply:
        issuers = {each.issuer: self._issuers.get(each.issuer) for each in question.cert_ids}
        authority = next(iter(issuers.values()))
        if authority is None or any(each is not authority for each in issuers.values()):
            # One signature covers the whole response, and no signer may speak for two CAs (RFC 6960 §4.2.2.2).
            why = "not a CA of this directory" if None in issuers.values() else "several CAs in one request"
            return Reply(UNAUTHORIZED, ("unauthorized",), why=why)
        version = self.version()  # before the facts: what changes them later shows in it
        kept = self._signed.get(question.cert_ids) if question.nonce is None else None
        if kept is not None and kept.version == version and _fresh(kept.reply, at):
            return kept.reply
        facts = tuple(self._facts(authority, each) for each in question.cert_ids)
        if kept is not None and kept.facts == facts and _fresh(kept.reply, at):
            kept.version = version
            return kept.reply
        reply = self._sign(authority, question, facts, at)
        if question.nonce is None and reply.keep_until is not None:
            self._signed.pop(question.cert_ids, None)
            if len(self._signed) >= MAX_SIGNED:
                del self._signed[next(iter(self._signed))]
            self._signed[question.cert_ids] = _Signed(reply, facts, version)
        return reply

    def _facts(self, authority: Authority, cert_id: CertId) -> Facts:
        return _facts_of(self._ca.status(authority.certificate, cert_id.serial_number))

    def _sign(self, authority: Authority, question: Question, facts: tuple[Facts, ...], at: datetime) -> Reply:
        signer = self._signer(authority, at)
        this_update = at.replace(microsecond=0)
        next_update = min(this_update + self._valid_for, signer.certificate.not_valid_after_utc)
        if next_update <= this_update:
            why = f"the certificate of {name_of(signer.certificate)} has expired"
            return Reply(INTERNAL_ERROR, ("internalError",), why=why)
        link = Link(authority.certificate, authority.certificate)  # only the issuer counts: each serial is given
        singles = [
            Single(
                link=link,
                this_update=this_update,
                next_update=next_update,
                status=status,
                revocation_time=revocation_time,
                reason=reason,
                hash_algorithm=cert_id.hash_algorithm,
                serial_number=cert_id.serial_number,
            )
            for cert_id, (status, revocation_time, reason) in zip(question.cert_ids, facts, strict=True)
        ]
        described = answer(singles, signer, responder_id=self._responder_id, nonce=question.nonce)
        return Reply(
            sign(described, signer),
            tuple(str(status) for status, _, _ in facts),
            None if question.nonce is not None else half_life(this_update, next_update),
            this_update,
            next_update,
        )

    def _signer(self, authority: Authority, at: datetime) -> Signer:
        if not self._delegated:
            return authority
        name = issuer_id(authority.certificate)
        signer, until = self._signers.get(name, (None, at))
        if signer is None or at >= until:
            signer = self._ca.delegate(authority, at)
            certificate = signer.certificate
            # The directory renews it at half-life, which is when to ask it again.
            until = half_life(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            self._signers[name] = (signer, until)
        return signer

    def sign_ahead(self, at: datetime) -> Iterator[Reply]:
        """Sign for every certificate that has not expired and whose answer is missing or half its life old.

        Does nothing until the register has changed or half an answer's life has passed.
        """
        version = self.version()
        if self._ahead is not None and self._ahead[0] == version and at < self._ahead[1]:
            return
        soonest = at + self._valid_for / 2
        signed = 0
        for authority in self._ca.issuers():
            for entry in self._ca.entries(authority.certificate, revoked=False):
                if entry.not_after < at:
                    continue
                for name in AHEAD:
                    cert_id = CertId(*issuer_name(authority.certificate, name), entry.serial_number)
                    reply = self.answer(Question((cert_id,)), at)
                    soonest = min(soonest, reply.keep_until or soonest)
                    signed += 1
                    yield reply
                if signed >= MAX_SIGNED:
                    return
        self._ahead = (version, soonest)

    def crl(self, name: str, at: datetime) -> Reply | None:
        """The CRL of the CA whose `issuer_id` is `name`, signed anew when an entry changes and at half-life."""
        authority = self._by_id.get(name)
        if authority is None:
            return None
        try:
            return self._crl(name, authority, at)
        except CaDirError as error:
            return Reply(b"", ("tryLater",), media_type=CRL, why=str(error))

    def _crl(self, name: str, authority: Authority, at: datetime) -> Reply:
        version = self.version()
        kept = self._crls.get(name)
        if kept is not None and kept.version == version and _fresh(kept.reply, at):
            return kept.reply
        revoked = tuple(
            Revoked(each.serial_number, each.revocation_time, each.reason)
            for each in self._ca.entries(authority.certificate)
            if each.revocation_time is not None
        )
        if kept is not None and kept.facts == revoked and _fresh(kept.reply, at):
            kept.version = version
            return kept.reply
        this_update = at.replace(microsecond=0)
        next_update = this_update + self._valid_for
        number = self._ca.next_crl_number(authority.certificate)
        body = crl(authority, revoked, this_update=this_update, next_update=next_update, number=number)
        until = half_life(this_update, next_update)
        reply = Reply(body, (f"CRL {number}",), until, this_update, next_update, media_type=CRL)
        self._crls[name] = _Signed(reply, revoked, version)
        return reply


def _facts_of(entry: Entry | None) -> Facts:
    if entry is None:
        return CertificateStatus.UNKNOWN, None, None
    if entry.revocation_time is None:
        return CertificateStatus.GOOD, None, None
    return CertificateStatus.REVOKED, entry.revocation_time, entry.reason


def _fresh(reply: Reply, at: datetime) -> bool:
    return reply.keep_until is not None and at < reply.keep_until
