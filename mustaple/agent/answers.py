"""OCSP answers from the good staples that the agent holds, found by CertID: judged once more, and never a dead one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mustaple.core.ocsp import judge
from mustaple.core.refresh import next_refresh
from mustaple.core.verdict import Source, Status
from mustaple.net.responder.question import HASHES, issuer_name
from mustaple.net.responder.reply import UNAUTHORIZED, Reply, try_later

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from mustaple.agent.entry import Entry
    from mustaple.core.policy import Rules
    from mustaple.net.responder.question import CertId, IssuerName, Question

_NO_NONCE: Final = "a nonce is not answered from a cache (RFC 9919 §5)"


class HeldAnswers:
    """What the agent holds, for a responder (see `mustaple.net.responder.reply.Answers`): good answers or none.

    The agent calls `watch` and `changed` in its thread, the responder everything else in another: what is watched is
    replaced as a whole, and a certificate's staple is a value that is read once for each answer.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._version = 0
        self._watched: Mapping[IssuerName, Mapping[int, Entry]] | None = None

    def watch(self, entries: Iterable[Entry]) -> None:
        """Answer for these certificates from now on, and for no others."""
        issuers: dict[bytes, dict[int, Entry]] = {}
        watched: dict[IssuerName, dict[int, Entry]] = {}
        for entry in entries:
            issuer = entry.link.issuer
            name = issuer_name(issuer, "sha256")
            key = name[1] + name[2]
            if key not in issuers:
                issuers[key] = {}
                watched |= {issuer_name(issuer, each): issuers[key] for each in HASHES}
            issuers[key][entry.link.serial_number] = entry
        self._watched = watched
        self.changed()

    def changed(self) -> None:
        """Take note that a staple may have come or gone: nothing that was answered before is given again unseen."""
        self._version += 1

    def version(self) -> int:
        """See `Answers.version`."""
        return self._version

    def answer(self, question: Question, at: datetime) -> Reply:
        """The staple of the certificate asked about, if it is good at the time `at`.

        tryLater where the certificate is known and there is none: whatever is not good is no answer here, and a client
        that believes an old one would be wrong. unauthorized for a certificate of somebody else (RFC 6960 §2.3).
        Staples were made before the question, so a nonce stays unanswered, as RFC 9919 §5 tells clients to expect.
        """
        if len(question.cert_ids) > 1:
            return _unauthorized("a staple is about one certificate, and the request about several")
        if self._watched is None:
            return try_later("the agent has only just started")
        (cert_id,) = question.cert_ids
        entry = self._find(cert_id)
        if entry is None:
            return _unauthorized("not a certificate that the agent watches")
        return self._answer(entry, at, nonce=question.nonce is not None)

    def _find(self, cert_id: CertId) -> Entry | None:
        return (self._watched or {}).get(cert_id.issuer, {}).get(cert_id.serial_number)

    def _answer(self, entry: Entry, at: datetime, *, nonce: bool) -> Reply:
        staple = entry.staple
        if staple is None:
            return try_later(f"there is no good staple now ({entry.condition})")
        found = judge(staple.response, entry.link, at, self._rules, source=Source.OCSP, origin=staple.url)
        if found.status is not Status.GOOD or found.this_update is None or found.dies_at is None:
            return try_later("; ".join(reason.detail for reason in found.reasons))
        death = min(found.dies_at, entry.expires_at)
        if at >= death:
            return try_later(f"the staple is dead since {death:%Y-%m-%d %H:%M:%S} UTC")
        keep_until = min(next_refresh(found.this_update, death, at), death)
        return Reply(
            staple.response,
            ("good",),
            None if nonce else keep_until,
            found.this_update,
            death,
            why=_NO_NONCE if nonce else None,
        )

    def crl(self, name: str, at: datetime) -> Reply | None:  # noqa: ARG002 - the agent keeps none
        """None: there are no CRLs here."""
        return None

    def sign_ahead(self, at: datetime) -> Iterator[Reply]:  # noqa: ARG002 - the agent signs nothing
        """Nothing: who signs is the CA."""
        return iter(())


def _unauthorized(why: str) -> Reply:
    return Reply(UNAUTHORIZED, ("unauthorized",), why=why)
