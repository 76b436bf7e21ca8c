"""What each axis of a policy asks, what each of its values means, and which way is tighter: for people and schemas."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTER: Final = "shorter is tighter"
_NO_ORDER: Final = "no order"


class About(NamedTuple):
    """One axis in words. `values` is empty where a value is a span of time or a list of files.

    `values` stand from the loosest to the tightest, unless `order` says that there is no such order.
    """

    question: str
    values: Mapping[str, str]
    order: str = "loosest first"


_ACTION: Final = {"note": "accept, and note it", "refuse": "refuse the connection"}

# By the names of the fields of `Policy` and of its `Rules`, which are the keys of a policy file too.
AXES: Final[Mapping[str, About]] = MappingProxyType(
    {
        "must_staple": About(
            "Does a certificate's promise to be stapled (TLS Feature, RFC 7633) bind?",
            {"ignore": "TLS Feature lists are not looked at", "enforce": "without a good staple it is refused"},
        ),
        "expect_staple": About(
            "Must a host that is remembered for its Expect-Staple header staple its leaf?",
            {"ignore": "the header is only reported on", "enforce": "as if its certificate promised it"},
        ),
        "depth": About(
            "Which certificates need evidence?",
            {"leaf": "the server's own alone", "every": "every one below the trust anchor"},
        ),
        "missing": About("What if there is no evidence, in any source?", _ACTION),
        "unusable": About(
            "What if there is none but what is expired, malformed or another's? (Refused where the unknown is.)",
            _ACTION,
        ),
        "unknown": About("What if the responder does not know the certificate?", _ACTION),
        "revoked": About("What if authentic evidence says that it is revoked?", _ACTION),
        "nothing_to_check": About("What if the leaf itself is the trust anchor?", _ACTION),
        "no_rev_avail": About(
            "Does noRevAvail in the leaf excuse it from having evidence (RFC 9608)?",
            {"accept": "it does, though not from a promise", "ignore": "it is a certificate like any other"},
        ),
        "short_lived": About(
            "How long may a leaf's whole validity be, so that it needs no evidence? (0s: none is so short)",
            {},
            _SHORTER,
        ),
        "sources": About(
            "Where may evidence come from?",
            {
                "staple": "the TLS handshake",
                "ocsp": "a request to the CA's responder, which learns who is visited",
                "crl": "the CA's revocation list",
            },
            f"{_NO_ORDER}: another source may bring a good or a revoked",
        ),
        "reading": About(
            "How is a TLS Feature list read?",
            {
                "evidence": "a good staple keeps the promise, whichever extension carried it",
                "rfc": "by the letter: each promised and offered extension is itself answered",
                "mozilla": "as Firefox does: no value but 5, and a CA's list is its child's",
                "gnutls": "as GnuTLS does: 5 asks for a staple, other values are passed over",
            },
            f"{_NO_ORDER}: none asks for all that another does",
        ),
        "skew": About("How far may the responder's clock be off?", {}, _SHORTER),
        "max_age": About("How long after its thisUpdate may evidence serve at most?", {}, _SHORTER),
        "weak_signature": About(
            "May evidence be signed with SHA-1? (Never with MD5.)",
            {"allow-sha1": "it may", "refuse": "it is unusable then"},
        ),
        "unchecked_delegate": About(
            "May a delegated responder sign without id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1)?",
            {"accept": "it may, and that is noted", "refuse": "its answers are unusable"},
        ),
        "no_next_update": About(
            "May an answer leave out nextUpdate (RFC 9919 §5)?",
            {"by-age": "it may, and serves while it is young enough", "refuse": "it is unusable then"},
        ),
        "trusted_responders": About(
            "Which signers are trusted for every issuer, as local configuration (RFC 6960 §4.2.2.2)?",
            {},
            f"{_NO_ORDER}: another signer may say good or revoked",
        ),
    }
)
