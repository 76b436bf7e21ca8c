"""Chains, what is said of their certificates, and a client that asks on: a small world to try policies in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from certtools.authority import Authority
from certtools.chain import Chain
from certtools.forge import Revoked, crl
from certtools.forge.ocsp import CertificateStatus, answer, sign, single
from mustaple.core.crl import judge_crl
from mustaple.core.decide import Situation, decide
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import ChainVerdict, Code, Judgement, Outcome, Reason, Source, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from certtools.chain import Link
    from mustaple.core.policy import Policy

DAY: Final = timedelta(days=1)
NO_REV_AVAIL: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")
# What may be said of a certificate, by a staple or by a fetched answer; the last is no answer at all.
GOOD, EXPIRED, UNKNOWN, REVOKED, OTHERS, NOBODY = "good", "expired", "unknown", "revoked", "other's", "nobody"
SAID: Final = (GOOD, EXPIRED, UNKNOWN, REVOKED, OTHERS, NOBODY)
RULES: Final = Rules()


@dataclass(frozen=True)
class World:
    """A root and the CA below it, at one moment; every chain of it has the same two."""

    at: datetime
    root: Authority
    ca: Authority
    known: dict[object, Judgement] = field(default_factory=dict)

    @classmethod
    def at_moment(cls, at: datetime, ca_features: Sequence[int] | None = None) -> World:
        root = Authority.root("root", not_before=at - 300 * DAY, not_after=at + 300 * DAY)
        return cls(at, root, root.intermediate("CA", features=ca_features))

    def chain(self, features: Sequence[int] | None = None, *, days: int = 90, ca: bool = False) -> Chain:
        """A leaf of the CA, `days` long to the second; `ca` makes it one that may issue."""
        end = self.at - DAY + timedelta(days=days, seconds=-1)
        if ca:
            return self.ca.intermediate("leaf", not_before=self.at - DAY, not_after=end, features=features).as_chain()
        return self.ca.leaf(["site.test"], features=features, not_before=self.at - DAY, not_after=end).as_chain()

    def with_extensions(self, chain: Chain, *extensions: x509.ExtensionType) -> Chain:
        """The same chain, its leaf signed anew with these extensions and no other."""
        own = chain.leaf
        builder = x509.CertificateBuilder(
            issuer_name=own.issuer,
            subject_name=own.subject,
            public_key=own.public_key(),
            serial_number=own.serial_number,
            not_valid_before=own.not_valid_before_utc.replace(tzinfo=None),
            not_valid_after=own.not_valid_after_utc.replace(tzinfo=None),
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return Chain((builder.sign(self.ca.key, SHA256()), *chain.certificates[1:]))

    def issuer(self, link: Link) -> Authority:
        return self.ca if link.issuer == self.ca.certificate else self.root

    def evidence(self, link: Link, said: str, source: Source = Source.STAPLE, rules: Rules = RULES) -> Judgement:
        """What a judge makes of a source that says this of the certificate."""
        key = (link.fingerprint, said, source, rules)
        if key not in self.known:
            self.known[key] = self._judged(link, said, source, rules)
        return self.known[key]

    def _judged(self, link: Link, said: str, source: Source, rules: Rules) -> Judgement:
        if said == NOBODY:
            reason = Reason(Code.UNREACHABLE, "nobody answers")
            return Judgement(Status.MISSING, source, "there", link.fingerprint, (reason,))
        if source is Source.CRL:
            return judge_crl(self._crl(link, said), link, self.at, rules)
        signer = self.issuer(link)
        fields: dict[str, object] = {"status": CertificateStatus(said) if said in _STATUSES else CertificateStatus.GOOD}
        if said == EXPIRED:
            fields |= {"this_update": self.at - 3 * DAY, "next_update": self.at - DAY}
        if said == OTHERS:
            fields["serial_number"] = link.serial_number ^ 1
        return judge(
            sign(answer([single(link, self.at, **fields)], signer), signer), link, self.at, rules, source=source
        )

    def _crl(self, link: Link, said: str) -> bytes:
        signer = self.root if said == OTHERS and self.issuer(link) is self.ca else self.issuer(link)
        age = 3 * DAY if said == EXPIRED else timedelta(hours=1)
        listed = [Revoked(link.serial_number, self.at - DAY)] if said == REVOKED else []
        return crl(signer, listed, this_update=self.at - age, next_update=self.at - age + 2 * DAY, number=1)


_STATUSES: Final = frozenset(CertificateStatus)


@dataclass(frozen=True)
class Settled:
    """What a client came to: the verdict, and the sources it asked on its way there, in their order."""

    verdict: ChainVerdict
    asked: tuple[Source, ...]


def settle(situation: Situation, policy: Policy, fetched: Mapping[Source, Mapping[bytes, Judgement]]) -> Settled:
    """Decide, and while that is pending ask the policy's sources for what is wanted, as the strict client does."""
    asked: list[Source] = []
    verdict = decide(situation, policy)
    for source in (Source.OCSP, Source.CRL):
        if verdict.outcome is Outcome.PENDING and source in policy.sources:
            asked.append(source)
            evidence = {key: tuple(value) for key, value in situation.evidence.items()}
            for fingerprint in verdict.wanted:
                evidence[fingerprint] = (*evidence.get(fingerprint, ()), fetched[source][fingerprint])
            situation = replace(situation, evidence=evidence)
            verdict = decide(situation, policy)
    assert verdict.outcome is not Outcome.PENDING, "every source was asked"
    return Settled(verdict, tuple(asked))


def codes(verdict: ChainVerdict) -> list[str]:
    """The codes of all refusing reasons, the most telling first."""
    return [reason.code.value for reason in verdict.all_reasons]


def notes(verdict: ChainVerdict) -> list[str]:
    """The codes of all notes, leaf first."""
    return [note.code.value for each in verdict.certificates for note in each.notes]
