"""A CA, one of its certificates, and CRLs about it, each with something changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from asn1crypto.crl import CertificateList, TbsCertList
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from certtools.authority import Authority
from certtools.chain import Link
from certtools.forge import Revoked, crl
from certtools.forge.signing import sign_bytes
from mustaple.core.crl import judge_crl
from mustaple.core.policy import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certtools.keys import KeyKind
    from mustaple.core.verdict import Judgement

DAY: Final = timedelta(days=1)
URL: Final = "http://127.0.0.1:9/ca.crl"
UNKNOWN: Final = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.113"), b"\x05\x00")


class CrlWorld:
    """`link` is the certificate on trial, which names `URL`; `crl()` is honest and does not list it."""

    def __init__(self, at: datetime, key: KeyKind | str = "ec-p256") -> None:
        self.at = at
        span: dict[str, Any] = {"not_before": at - 400 * DAY, "not_after": at + 400 * DAY}
        self.root = Authority.root("root", **span)
        self.ca = self.root.intermediate("CA", key=key)
        self.leaf = self.ca.leaf(["site.test"], crl_urls=[URL])
        self.link = Link(self.leaf.certificate, self.ca.certificate)

    def crl(self, *revoked: Revoked, signer: Authority | None = None, **said: Any) -> bytes:
        """An honest CRL with these entries; `said` are arguments of `forge.crl` that differ."""
        honest: dict[str, Any] = {"this_update": self.at - DAY / 24, "next_update": self.at + 6 * DAY, "number": 7}
        return crl(signer or self.ca, revoked, **(honest | said))

    def entry(self, reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise) -> Revoked:
        """The entry that revokes the certificate on trial."""
        return Revoked(self.link.serial_number, self.at - 2 * DAY, reason)

    def scoped(self, *revoked: Revoked, critical: bool = True, **said: Any) -> bytes:
        """A CRL with an issuingDistributionPoint of these fields."""
        return self.crl(*revoked, extensions=[(scope(**said), critical)])

    def changed(self, **fields: Any) -> bytes:
        """The honest CRL with these fields of its TBSCertList changed (None: left out), signed anew."""
        tbs = TbsCertList.load(CertificateList.load(self.crl())["tbs_cert_list"].dump())
        tbs["signature"] = sign_bytes(b"", self.ca.key)[0]
        for name, value in fields.items():
            if value is None:
                del tbs[name]
            else:
                tbs[name] = value
        identifier, signature = sign_bytes(tbs.dump(), self.ca.key)
        whole = CertificateList({"tbs_cert_list": tbs, "signature_algorithm": identifier, "signature": signature})
        return bytes(whole.dump())

    def judge(self, data: bytes, rules: Rules | None = None, link: Link | None = None) -> Judgement:
        return judge_crl(data, link or self.link, self.at, rules or Rules())

    def certificate(self, *extensions: x509.ExtensionType) -> Link:
        """Another certificate of the CA, with these extensions and no more."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.ca.certificate.subject)
            .public_key(self.leaf.key.public_key())
            .serial_number(self.link.serial_number)
            .not_valid_before(self.at - DAY)
            .not_valid_after(self.at + DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return Link(builder.sign(self.ca.key, SHA256()), self.ca.certificate)

    def issuer_with(self, usage: x509.KeyUsage | None) -> Link:
        """The certificate on trial below a certificate of the same CA with this key usage."""
        own = self.ca.certificate
        builder = (
            x509.CertificateBuilder()
            .subject_name(own.subject)
            .issuer_name(own.issuer)
            .public_key(own.public_key())
            .serial_number(5)
            .not_valid_before(own.not_valid_before_utc)
            .not_valid_after(own.not_valid_after_utc)
        )
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        return Link(self.link.subject, builder.sign(self.root.key, SHA256()))


def scope(**said: Any) -> x509.IssuingDistributionPoint:
    """An issuingDistributionPoint with these fields."""
    nothing: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(nothing | said))


def point(
    *urls: str,
    reasons: frozenset[x509.ReasonFlags] | None = None,
    relative: x509.RelativeDistinguishedName | None = None,
    issuer: Sequence[x509.GeneralName] | None = None,
) -> x509.DistributionPoint:
    """A distribution point of a certificate."""
    names = [x509.UniformResourceIdentifier(url) for url in urls] or None
    return x509.DistributionPoint(names, relative, reasons, None if issuer is None else list(issuer))


def usage(*, crl_sign: bool) -> x509.KeyUsage:
    """The key usage of a CA, with or without cRLSign."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
