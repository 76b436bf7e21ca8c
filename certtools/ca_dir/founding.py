"""A new CA of any depth, and where its certificates say that their status is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509

from certtools.authority import Authority, AuthorityError
from certtools.ca_dir.directory import issuer_id
from certtools.keys import generate_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certtools.ca_dir.directory import CaDir
    from certtools.keys import PrivateKey

OCSP_URL: Final = "http://127.0.0.1:2560"
CRL_PATH: Final = "/crl/{ca}.crl"  # where the responder has the CRL of the CA whose `issuer_id` stands for {ca}
MAX_DEPTH: Final = 10


@dataclass(frozen=True)
class StatusUrls:
    """Where the status of a certificate is told; None for nowhere. In `crl`, `{ca}` stands for its issuer's id."""

    ocsp: str | None = OCSP_URL
    crl: str | None = OCSP_URL + CRL_PATH

    def __post_init__(self) -> None:
        for url in (self.ocsp, self.crl):
            check_url(url)

    def ocsp_urls(self) -> tuple[str, ...]:
        """What a certificate's authority information access names."""
        return () if self.ocsp is None else (self.ocsp,)

    def crl_urls(self, issuer: Authority) -> tuple[str, ...]:
        """What the distribution points of a certificate by this issuer name."""
        return () if self.crl is None else (self.crl.replace("{ca}", issuer_id(issuer.certificate)),)

    def settings(self) -> dict[str, str]:
        """What a CA directory keeps of it."""
        return {name: url for name, url in (("ocsp_url", self.ocsp), ("crl_url", self.crl)) if url is not None}

    @classmethod
    def of(cls, ca: CaDir) -> StatusUrls:
        """What a CA directory kept."""
        return cls(ca.setting("ocsp_url"), ca.setting("crl_url"))


def check_url(url: str | None) -> None:
    """AuthorityError for what no client could fetch: no HTTP, no host, a space, a letter outside ASCII."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        fetchable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        fetchable = False
    if not fetchable or not url.isascii() or not url.isprintable() or " " in url:
        raise AuthorityError(f"{url!r} is no URL that a client could ask; it begins with http:// and a host.")


def found(
    *,
    not_before: datetime,
    not_after: datetime,
    depth: int = 1,
    key: str = "ec-p256",
    features: Sequence[int] | None = None,
    urls: StatusUrls | None = None,
) -> Authority:
    """A root and `depth` CAs below it, each with a new key of this kind; the lowest is returned.

    `features` are the TLS Feature list of each (RFC 7633). Times are aware. Raises AuthorityError for a depth under 0
    or over 10, and what `Authority.root` raises.
    """
    if not 0 <= depth <= MAX_DEPTH:
        raise AuthorityError(f"A chain has 0 to {MAX_DEPTH} intermediates, not {depth}.")
    urls = urls if urls is not None else StatusUrls()
    secret = generate_key(key)
    name = f"mustaple root {_mark(secret)}"
    authority = Authority.root(name, key=secret, features=features, not_before=not_before, not_after=not_after)
    for _ in range(depth):
        secret = generate_key(key)
        authority = authority.intermediate(
            f"mustaple CA {_mark(secret)}",
            key=secret,
            features=features,
            ocsp_urls=urls.ocsp_urls(),
            crl_urls=urls.crl_urls(authority),
        )
    return authority


def _mark(key: PrivateKey) -> str:
    """Six digits of the key's hash: roots made on different days can stand in one trust store and be told apart."""
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:6]
