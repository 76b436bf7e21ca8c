"""What a mutation of an OCSP response starts from: the certificate asked about, its CA, and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from certtools.authority import Authority
from certtools.forge.ocsp import answer, sign, single

if TYPE_CHECKING:
    from certtools.authority import Issued
    from certtools.chain import Link
    from certtools.forge.ocsp import Answer, Single
    from certtools.forge.signing import Signer

DAY: Final = timedelta(days=1)
UNKNOWN_OID: Final = "2.999.113"  # from the arc that ITU-T X.660 sets aside for examples
PADDING: Final = 3 * 1024 * 1024  # bytes; more than any client should read
HTML: Final = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Hotel Wi-Fi</body></html>\n"
# A SEQUENCE that claims more bytes than there are.
NOISE: Final = bytes.fromhex("3084ffffff00") + bytes(range(1, 256, 7)) * 8


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a mutation needs: the link asked about, the CA that issued it, and the time.

    `other` is another certificate of the same CA. `rogue` is an authority that nobody trusts. `nonce` is the one
    the client sent (RFC 9654), None for none. `at` is aware; the CA need not have been valid long before it.
    """

    link: Link
    issuer: Authority
    other: Link
    rogue: Authority
    at: datetime
    nonce: bytes | None = None

    def single(self, **said: Any) -> Single:
        """An honest SingleResponse about `link`; `said` are fields of `Single` that differ."""
        return single(self.link, self.at, **said)

    def response(self, *singles: Single, signer: Signer | None = None, **said: Any) -> bytes:
        """A response of these (or the honest one), signed by the issuer; `said` are fields of `Answer` that differ."""
        return sign(self.answer(*singles, signer=signer, **said), signer if signer is not None else self.issuer)

    def answer(self, *singles: Single, signer: Signer | None = None, **said: Any) -> Answer:
        """The same, not yet signed."""
        honest: dict[str, Any] = {"nonce": self.nonce}
        signer = signer if signer is not None else self.issuer
        return answer(singles or (self.single(),), signer, **(honest | said))

    def delegate(self, by: Authority | None = None, **said: Any) -> Issued:
        """A delegated signer, honest unless `by` or `said` (arguments of `Authority.ocsp_signer`) differ."""
        by = by if by is not None else self.issuer
        # Under the CA's name and key, but without its times: a young CA could not have issued an expired delegate.
        ageless = Authority.root(
            by.certificate.subject, not_before=self.at - 999 * DAY, not_after=self.at + 999 * DAY, key=by.key
        )
        times = {"not_before": self.at - DAY, "not_after": self.at + 7 * DAY}
        return ageless.ocsp_signer("delegated responder", **(times | said))


Mutation: TypeAlias = Callable[[Scene], bytes]


def honest(scene: Scene) -> bytes:
    """The response that every mutation starts from: good, fresh, signed by the issuer itself."""
    return scene.response()


def by_name(*mutations: Mutation) -> dict[str, Mutation]:
    """The mutations under the names that the command line and the corpus use."""
    return {mutation.__name__.replace("_", "-"): mutation for mutation in mutations}
