"""A certificate delivered into a folder, all of it or nothing, and remembered by its CA directory."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from certtools import Issued, feature_warnings, read_features
from certtools.authority import MUST_STAPLE, FromRequest
from certtools.ca_dir import CaDir, StatusUrls, found, write_together
from certtools.ca_dir.files import PRIVATE, PUBLIC
from certtools.ca_dir.founding import CRL_PATH
from certtools.chain import to_pem
from mustaple.cli.issuing import output_folder, parse_features
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography import x509

    from certtools import Authority, Signed

CA_LIFETIME: Final = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What `mustaple issue` was asked for; None means: not said. `folder` is where the files go.

    `ca` is a CA directory there is; `depth`, `ca_key` and `ca_feature` are for a new one.
    """

    names: tuple[str, ...]
    request: x509.CertificateSigningRequest | None
    folder: Path
    not_before: datetime
    not_after: datetime
    key: str | None
    features: tuple[int, ...] | FromRequest | None
    ocsp_url: str | None
    crl_url: str | None
    ca: Path | None
    depth: int | None
    ca_key: str | None
    ca_feature: str | None
    force: bool


@dataclass(frozen=True)
class Delivery:
    """What was made: the certificate with its chain, the files by what they are, the CA directory, and warnings."""

    signed: Signed
    files: dict[str, Path]
    ca: Path
    warnings: tuple[str, ...]


def deliver(order: Order) -> Delivery:
    """Issue as ordered. Nothing is left behind where it fails.

    Raises InputError, and what `certtools` refuses: `mustaple.cli.issuing.refusals` turns that into InputError.
    """
    with ExitStack() as stack:
        home = order.ca if order.ca is not None else order.folder / "ca"
        existing = None
        if order.ca is not None or home.exists():
            existing = stack.enter_context(CaDir.open(home))
            _refuse_founding(order, home)
        urls = _urls(order, existing)
        authority = existing.issuing if existing is not None else _found(order, urls)
        signed = _sign(order, authority, urls)
        contents = _contents(signed, order.folder)
        kept = nullcontext(existing) if existing is not None else _new_ca(home, authority, urls)
        with output_folder(order.folder, contents, force=order.force), kept as ca:
            ca.record(signed.certificate)
            write_together({order.folder / name: content for name, content in contents.items()}, replace=True)
            files = {name: order.folder / name for name in (*contents, "root.pem")}
            return Delivery(signed, files, ca.path, _warnings(order, signed, authority))


def _refuse_founding(order: Order, home: Path) -> None:
    said = {"--depth": order.depth, "--ca-key": order.ca_key, "--ca-feature": order.ca_feature}
    for option, value in said.items():
        if value is not None:
            raise InputError(f"{option} is for a new CA, and there is one at {home}")


def _urls(order: Order, existing: CaDir | None) -> StatusUrls:
    """Where the certificate's status is told: as said, else as the CA directory keeps it, else on loopback."""
    kept = StatusUrls.of(existing) if existing is not None else StatusUrls()
    ocsp, crl = kept.ocsp, kept.crl
    if order.ocsp_url is not None:
        ocsp = None if order.ocsp_url == "none" else order.ocsp_url
        if ocsp is not None and existing is None:
            # One process serves both, the lists at the root of the same address.
            crl = urlsplit(ocsp)._replace(path="", query="", fragment="").geturl() + CRL_PATH
    if order.crl_url is not None:
        crl = None if order.crl_url == "none" else order.crl_url
    return StatusUrls(ocsp, crl)


def _found(order: Order, urls: StatusUrls) -> Authority:
    last = datetime.max.replace(tzinfo=UTC)
    longest = order.not_before + CA_LIFETIME if last - order.not_before > CA_LIFETIME else last
    return found(
        not_before=order.not_before,
        not_after=max(order.not_after, longest),
        depth=1 if order.depth is None else order.depth,
        key=order.ca_key or "ec-p256",
        features=_ca_features(order),
        urls=urls,
    )


def _ca_features(order: Order) -> tuple[int, ...] | None:
    return None if order.ca_feature is None else parse_features(order.ca_feature)


def _sign(order: Order, authority: Authority, urls: StatusUrls) -> Signed:
    common: dict[str, Any] = {
        "not_before": order.not_before,
        "not_after": order.not_after,
        "ocsp_urls": urls.ocsp_urls(),
        "crl_urls": urls.crl_urls(authority),
    }
    if order.request is not None:
        return authority.sign_csr(order.request, names=order.names or None, features=order.features, **common)
    features = MUST_STAPLE if isinstance(order.features, FromRequest) else order.features
    return authority.leaf(order.names, key=order.key or "ec-p256", features=features, **common)


def _contents(signed: Signed, folder: Path) -> dict[str, tuple[bytes, int]]:
    """The files with their modes, the key first; a root that is there already is no file to write."""
    contents = {"key.pem": (signed.key_pem(), PRIVATE)} if isinstance(signed, Issued) else {}
    contents["chain.pem"] = (signed.chain_pem(), PUBLIC)
    root = to_pem(signed.chain[-1:])
    path = folder / "root.pem"
    if not path.is_file() or path.read_bytes() != root:
        contents["root.pem"] = (root, PUBLIC)
    return contents


@contextmanager
def _new_ca(home: Path, authority: Authority, urls: StatusUrls) -> Iterator[CaDir]:
    """A new CA directory, taken away again where the body fails."""
    with CaDir.create(home, authority, urls.settings()) as ca:
        try:
            yield ca
        except BaseException:
            shutil.rmtree(home)
            raise


def _warnings(order: Order, signed: Signed, authority: Authority) -> tuple[str, ...]:
    certificate = signed.certificate
    said = feature_warnings(read_features(certificate), read_features(authority.certificate))
    said.extend(f"CA: {warning}" for warning in feature_warnings(_ca_features(order)))
    if certificate.not_valid_after_utc < order.not_after.replace(microsecond=0):
        said.append(f"The certificate ends with its CA, at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.")
    return tuple(dict.fromkeys(said))
