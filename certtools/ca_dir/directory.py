"""The CA directory: certificates and private keys of its CAs, its register of certificates, its OCSP signers."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import Authority, AuthorityError, Issued
from certtools.ca_dir.errors import CaDirError, explained
from certtools.ca_dir.files import PUBLIC, sync_folder, write_atomic, write_new
from certtools.ca_dir.register import Entry, Register
from certtools.chain import ChainError, load_certificates, name_of, signed_by, to_pem
from certtools.keys import KeyKindError, key_to_pem, load_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from types import TracebackType

    from certtools.keys import PrivateKey

REGISTER: Final = "register.sqlite"
SIGNER_BACKDATED: Final = timedelta(hours=1)  # for clients whose clocks are late


def issuer_id(certificate: x509.Certificate) -> str:
    """The name of a CA in file names and URLs: the first 16 hexadecimal digits of its certificate's SHA-256."""
    return certificate.fingerprint(SHA256()).hex()[:16]


class CaDir:
    """An open CA directory. Any thread may use it; several processes may have it open. Close it, or use `with`.

    Every method raises CaDirError with one sentence where the directory cannot be used as asked. Times are aware.
    """

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        """Use `CaDir.open` or `CaDir.create`; `timeout` is how long to wait for another's write, in seconds."""
        self.path = path
        self._register = Register(path / REGISTER, timeout=timeout)
        self._issuers: tuple[Authority, ...] | None = None
        self._unsaved: dict[bytes, Issued] = {}

    @classmethod
    def create(cls, path: Path, authority: Authority, settings: Mapping[str, str] | None = None) -> Self:
        """A new directory for this CA and those above it; nothing is left where that fails.

        Intermediates are entered as issued by the CA above them. CaDirError where `path` exists.
        """
        with explained(path):
            if path.exists():
                raise CaDirError(f"There is something at {path} already; a new CA directory needs a new name.")
            # Made under another name and renamed as a whole: nobody opens a directory half made.
            draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            try:
                _fill(draft, authority, settings or {})
                draft.rename(path)
            except BaseException:
                shutil.rmtree(draft)
                raise
            sync_folder(path.parent)
        return cls(path)

    @classmethod
    def open(cls, path: Path, *, timeout: float = 5.0) -> Self:
        """An existing CA directory, or the folder made by `mustaple issue --out`, which holds one as `ca`."""
        for candidate in (path, path / "ca"):
            if (candidate / REGISTER).is_file():
                return cls(candidate, timeout=timeout)
        raise CaDirError(f"{path} is not a CA directory: there is no {REGISTER} in it, nor in its folder ca.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the register."""
        self._register.close()

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written here: the file system or the permissions forbid it."""
        return self._register.read_only

    def issuers(self) -> tuple[Authority, ...]:
        """The CAs with their keys, root first; each is the parent of the next. They never change."""
        if self._issuers is None:
            found: list[Authority] = []
            for certificate in self._register.issuers():
                key = self._load_key(certificate)
                found.append(Authority(certificate, key, found[-1] if found else None))
            if not found:
                raise CaDirError(f"The register of {self.path} names no CA.")
            self._issuers = tuple(found)
        return self._issuers

    @property
    def issuing(self) -> Authority:
        """The lowest CA, which issues the leaves."""
        return self.issuers()[-1]

    def _load_key(self, certificate: x509.Certificate) -> PrivateKey:
        path = self.path / f"{issuer_id(certificate)}.key.pem"
        try:
            with explained(path):
                key = load_key(path.read_bytes())
        except KeyKindError as error:
            raise CaDirError(f"{path} is damaged: {error}") from error
        if key.public_key() != certificate.public_key():
            raise CaDirError(f"{path} is not the private key of {name_of(certificate)}.")
        return key

    def setting(self, name: str) -> str | None:
        """What is kept under this name, such as `ocsp_url`; None where nothing is."""
        return self._register.setting(name)

    def set_setting(self, name: str, value: str | None) -> None:
        """Keep a value under this name; None forgets it."""
        self._register.set_setting(name, value)

    def record(self, certificate: x509.Certificate) -> None:
        """Enter a certificate that one of these CAs signed. CaDirError where none did, or where it is there already."""
        for authority in self.issuers():
            if certificate != authority.certificate and signed_by(certificate, authority.certificate):
                self._register.record(certificate, _fingerprint(authority.certificate))
                return
        raise CaDirError(f"No CA in {self.path} signed {name_of(certificate)}.")

    def status(self, issuer: x509.Certificate | bytes, serial_number: int) -> Entry | None:
        """What the register says of a serial number; None where this issuer never gave it out.

        `issuer` is its certificate, or that one's SHA-256.
        """
        return self._register.status(_fingerprint(issuer), serial_number)

    def entries(self, issuer: x509.Certificate | bytes, *, revoked: bool = True) -> Iterator[Entry]:
        """The entries of an issuer in the order recorded, streamed: the revoked ones, or all."""
        return self._register.entries(_fingerprint(issuer), revoked=revoked)

    def data_version(self) -> int:
        """A number that differs once any process has changed the register; costs microseconds."""
        return self._register.data_version()

    def next_crl_number(self, issuer: x509.Certificate | bytes) -> int:
        """A cRLNumber greater than every one before, whichever process asks (RFC 5280 §5.2.3)."""
        return self._register.next_crl_number(_fingerprint(issuer))

    def revoke(self, certificate: x509.Certificate | int, reason: x509.ReasonFlags | None, at: datetime) -> Entry:
        """Mark a certificate, or a serial number, revoked at a time, and return its entry as it is now.

        Once revoked it stays so with its first time and reason, except that certificateHold can become another
        reason, and removeFromCRL lifts it (RFC 5280 §5.3.1). CaDirError where this CA never issued it.
        """
        with self._register.writing():
            entry = self.find(certificate)
            if reason is x509.ReasonFlags.remove_from_crl:
                if not entry.on_hold:
                    raise CaDirError(f"{entry.subject} is not on hold, and only a hold can be lifted.")
                self._register.set_status(entry, None, None)
            elif entry.revocation_time is None:
                self._register.set_status(entry, at, reason)
            elif entry.on_hold and reason is not x509.ReasonFlags.certificate_hold:
                self._register.set_status(entry, entry.revocation_time, reason)
            return self.find(certificate)

    def find(self, certificate: x509.Certificate | int) -> Entry:
        """The entry of a certificate, or of a serial number; CaDirError where no CA here issued it."""
        if isinstance(certificate, int):
            found = self._register.find(certificate)
            if len(found) > 1:
                raise CaDirError(f"Several CAs here gave out serial number {certificate:x}; name the certificate file.")
            name = f"serial number {certificate:x}"
        else:
            der = certificate.public_bytes(Encoding.DER)
            found = [each for each in self._register.find(certificate.serial_number) if each.der == der]
            name = name_of(certificate)
        if not found:
            raise CaDirError(f"No CA in {self.path} issued {name}.")
        return found[0]

    def delegate(self, issuer: Authority, at: datetime) -> Issued:
        """The OCSP signer of an issuer, kept on disk and renewed when less than half its life is left.

        On a read-only directory a new one is kept in memory alone, and is not entered in the register.
        """
        fingerprint = _fingerprint(issuer.certificate)
        path = self.path / f"{issuer_id(issuer.certificate)}.signer.pem"
        current = self._unsaved.get(fingerprint) or _load_signer(path, issuer)
        if current is not None and _serves(current, issuer, at):
            return current
        if self.read_only:
            self._unsaved[fingerprint] = _new_signer(issuer, at)
            return self._unsaved[fingerprint]
        with self._register.writing(), explained(path):  # one process at a time
            current = _load_signer(path, issuer)
            if current is None or not _serves(current, issuer, at):
                current = _new_signer(issuer, at)
                self._register.record(current.certificate, fingerprint)
                write_atomic(path, current.key_pem() + to_pem([current.certificate]))
            return current


def _fill(folder: Path, authority: Authority, settings: Mapping[str, str]) -> None:
    Register.create(folder / REGISTER)
    path: list[Authority] = [authority]
    while path[0].parent is not None:
        path.insert(0, path[0].parent)
    with closing(Register(folder / REGISTER, timeout=0)) as register, register.writing():
        for each in path:
            name = issuer_id(each.certificate)
            write_new(folder / f"{name}.key.pem", key_to_pem(each.key))
            write_new(folder / f"{name}.pem", to_pem([each.certificate]), PUBLIC)
            register.add_issuer(each.certificate)
            if each.parent is not None:
                register.record(each.certificate, _fingerprint(each.parent.certificate))
        for name, value in settings.items():
            register.set_setting(name, value)


def _fingerprint(issuer: x509.Certificate | bytes) -> bytes:
    return issuer if isinstance(issuer, bytes) else issuer.fingerprint(SHA256())


def _new_signer(issuer: Authority, at: datetime) -> Issued:
    try:
        return issuer.ocsp_signer(not_before=at - SIGNER_BACKDATED)
    except AuthorityError as error:
        raise CaDirError(f"No OCSP signer can be made for {name_of(issuer.certificate)}: {error}") from error


def _load_signer(path: Path, issuer: Authority) -> Issued | None:
    """The signer in this file; None where there is none, or none of this issuer's that can be read."""
    try:
        with explained(path):
            data = path.read_bytes() if path.exists() else b""
        certificate = load_certificates(data)[0]
        key = load_key(data)
    except (ChainError, KeyKindError):
        return None
    if key.public_key() != certificate.public_key() or not signed_by(certificate, issuer.certificate):
        return None
    return Issued(certificate, (certificate, *issuer.path), key)


def _serves(signer: Issued, issuer: Authority, at: datetime) -> bool:
    """Whether more than half of the signer's life is left, or as much as its issuer's own life allows."""
    begin, end = signer.certificate.not_valid_before_utc, signer.certificate.not_valid_after_utc
    as_long_as_can_be = end >= issuer.certificate.not_valid_after_utc
    return begin <= at <= end and (as_long_as_can_be or end - at >= (end - begin) / 2)
