"""A CA, two of its certificates, and a stranger: what the tests of the OCSP judge play with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge.ocsp import (
    answer,
    sign,
    single,
)
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Code, Judgement, Status

if TYPE_CHECKING:
    from datetime import datetime

    from certtools.authority import Issued
    from certtools.forge.signing import Signer

DAY = timedelta(days=1)


class Bench:
    """A CA, two of its certificates, and a stranger who is nobody's CA."""

    def __init__(self, at: datetime, key: str = "ec-p256") -> None:
        self.at = at
        span = {"not_before": at - 400 * DAY, "not_after": at + 400 * DAY}
        self.root = Authority.root("root", **span)
        self.ca = self.root.intermediate("CA", key=key)
        self.stranger = Authority.root("stranger", **span)
        self.namesake = Authority.root("CA", **span)
        self.link = self.leaf("site.test")
        self.other = self.leaf("other.test")

    def leaf(self, name: str) -> Link:
        return Link(self.ca.leaf([name]).certificate, self.ca.certificate)

    def delegate(self, by: Authority | None = None, **said: Any) -> Issued:
        return (by or self.ca).ocsp_signer("signer", **({"not_before": self.at - DAY} | said))

    def response(self, *singles: Any, signer: Signer | None = None, **said: Any) -> bytes:
        signer = signer or self.ca
        return sign(answer(singles or [single(self.link, self.at)], signer, **said), signer)

    def one(self, **said: Any) -> bytes:
        return self.response(single(self.link, self.at, **said))

    def judge(self, response: bytes, rules: Rules | None = None, **said: Any) -> Judgement:
        return judge(response, self.link, self.at, rules or Rules(), **said)


def codes(judgement: Judgement) -> set[str]:
    return {reason.code.value for reason in judgement.reasons}


def assert_only(judgement: Judgement, code: Code, status: Status = Status.UNUSABLE) -> None:
    assert codes(judgement) == {code.value}
    assert judgement.status is status
