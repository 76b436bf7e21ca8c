"""What many connections share: whom to trust, TLS versions, the client's own certificate, in one OpenSSL context."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL, crypto

from certtools.chain import Chain, ChainError, load_certificates
from certtools.keys import KeyKindError, load_key
from mustaple.core.errors import InputError
from mustaple.core.ocsp_case import open_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from certtools.chain import Link
    from mustaple.core.flight import Sent
    from mustaple.core.ocsp_case import Case
    from mustaple.core.policy import Rules
    from mustaple.core.verdict import Reason

    PathLike = str | os.PathLike[str]
    Authorities = PathLike | x509.Certificate

VERSIONS: Final = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

# Where systems keep their roots; pyOpenSSL knows the same places and reads the first that is there.
_SYSTEM_STORES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/certs",
)
_SERVER_SECRET: Final = b"SERVER_HANDSHAKE_TRAFFIC_SECRET "  # as a key log names it
_CACHED_CONTEXTS: Final = 16
_CACHED_PATHS: Final = 128
_CACHED_CASES: Final = 256  # of at most 64 KiB each


class Observer(Protocol):
    """What OpenSSL tells about one connection while its handshake runs; nothing of this may raise."""

    def on_secret(self, secret: bytes) -> None:
        """The secret that opens the server's handshake records in TLS 1.3."""

    def on_certificate(self, certificate: crypto.X509, error: int, depth: int, *, ok: bool) -> bool:
        """One step of the path's verification; False ends the handshake."""

    def on_status(self, connection: SSL.Connection) -> bool:
        """The server's flight is complete; False ends the handshake with bad_certificate_status_response."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Files with the client's own certificate, those above it after it, and its private key, without a password."""

    certificate: str
    key: str


class ClientContext:
    """An OpenSSL context for clients: verified paths, TLS 1.2 and up, no session ever resumed.

    `authorities` are CA files (PEM or DER), directories of such files, or certificates: the first of them on a path
    ends it, self-signed or not. None is the system's store, where only self-signed roots count. `at` (aware UTC) is
    the time at which paths are verified, now by default. `maximum` is the highest TLS version. The context is frozen by
    its first connection and may be shared by threads.

    Raises InputError for files that cannot be used.
    """

    def __init__(
        self,
        authorities: Iterable[Authorities] | None = None,
        *,
        identity: Identity | None = None,
        at: datetime | None = None,
        maximum: str | None = None,
    ) -> None:
        self.at = at
        self.openssl = context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        if maximum is not None:
            context.set_max_proto_version(VERSIONS[maximum])
        # A resumed session shows no chain and no staple, and a renegotiation could change the certificate.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
        context.set_verify(SSL.VERIFY_PEER, _on_certificate)
        context.set_ocsp_client_callback(_on_status)
        context.set_keylog_callback(_on_secret)
        store = context.get_cert_store()
        if store is None:  # OpenSSL makes it with the context
            raise AssertionError("an OpenSSL context without a certificate store")
        self._anchors: frozenset[x509.Certificate] | None = None
        # The same server shows the same certificates: what is read from them, links and CertIDs, is read once.
        self.path: Callable[[tuple[x509.Certificate, ...]], Chain | None] = lru_cache(_CACHED_PATHS)(self._path)
        """The chain that OpenSSL verified, up to the first certificate that is trusted; None where there is none.

        OpenSSL lets a trusted leaf pass with whatever it found above it, which nobody trusts.
        """
        self.only_path: Callable[[Sent], Chain | None] = lru_cache(_CACHED_PATHS)(self._only_path)
        """The only chain that what a server showed can make; None where there may be several, or none.

        Where OpenSSL has verified what the server showed, this is the chain, without it being read back certificate by
        certificate.
        """
        # And it shows the same staples for hours: who signed one is found out once, its times are looked at each time.
        self.hear: Callable[[bytes, Link, Rules], Case | Reason] = lru_cache(_CACHED_CASES)(open_case)
        if authorities is None:
            _trust_system(context)
        else:
            anchors = [certificate for each in authorities for certificate in _load(each)]
            for certificate in anchors:
                store.add_cert(crypto.X509.from_cryptography(certificate))
            self._anchors = frozenset(anchors)
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        if at is not None:
            store.set_time(at.astimezone(UTC))
        if identity is not None:
            _use_identity(context, identity)

    def _path(self, verified: tuple[x509.Certificate, ...]) -> Chain | None:
        if not verified or self._anchors is None:
            return Chain(verified) if verified else None
        for position, certificate in enumerate(verified):
            if certificate in self._anchors:
                return Chain(verified[: position + 1])
        return None

    def _only_path(self, sent: Sent) -> Chain | None:
        if self._anchors is None:
            return None
        try:
            certificates = [x509.load_der_x509_certificate(entry.certificate) for entry in sent.entries]
            known = {*certificates, *self._anchors}
            issuers = {_folded(certificate.subject): certificate for certificate in known}
            if len(issuers) < len(known):
                return None  # two certificates of one name: which of them OpenSSL took is for it to say
            path = [certificates[0]]
            while path[-1] not in self._anchors:
                path.append(issuers[_folded(path[-1].issuer)])
                if len(path) > len(known):
                    return None  # round and round, to no anchor
        except (ValueError, TypeError, KeyError, x509.InvalidVersion):
            return None
        return Chain(tuple(path))


def _folded(name: x509.Name) -> str:
    """The name without case, spaces and escapes: names that OpenSSL may take for one are one here (RFC 5280 §7.1)."""
    return "".join(name.rfc4514_string().casefold().replace("\\", "").split())


def client_context(
    authorities: Iterable[Authorities] | None = None,
    *,
    identity: Identity | None = None,
    at: datetime | None = None,
    maximum: str | None = None,
) -> ClientContext:
    """The same as `ClientContext(…)`, made once for the same arguments and unchanged files: making one is expensive."""
    trusted = None if authorities is None else tuple(authorities)
    if at is not None:
        return ClientContext(trusted, identity=identity, at=at, maximum=maximum)
    paths = [each for each in trusted or () if isinstance(each, str | os.PathLike)]
    paths += [identity.certificate, identity.key] if identity is not None else []
    return _cached_context(trusted, identity, maximum, tuple(map(_stamp, paths)))


@lru_cache(maxsize=_CACHED_CONTEXTS)
def _cached_context(
    authorities: tuple[Authorities, ...] | None,
    identity: Identity | None,
    maximum: str | None,
    stamps: tuple[tuple[int, int], ...],
) -> ClientContext:
    del stamps  # they are there to tell a changed file from the one that was read
    return ClientContext(authorities, identity=identity, maximum=maximum)


def _stamp(path: PathLike) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _load(authority: Authorities) -> list[x509.Certificate]:
    """The certificates of one authority as the caller named it."""
    if not isinstance(authority, str | os.PathLike):
        return [authority]
    path = Path(authority)
    try:
        if path.is_dir():
            # A directory may hold other things too; what matters is that it holds a certificate.
            found = [certificate for file in sorted(path.iterdir()) for certificate in _certificates_of(file)]
            if not found:
                raise InputError(f"The CA directory {path} holds no certificate.")
            return found
        return load_certificates(path.read_bytes())
    except OSError as error:
        raise InputError(f"The certificate file {path} cannot be read: {error.strerror or error}.") from error
    except ChainError as error:
        raise InputError(f"The certificate file {path} cannot be used: {error}") from error


def _certificates_of(file: Path) -> list[x509.Certificate]:
    try:
        return load_certificates(file.read_bytes()) if file.is_file() else []
    except ChainError:
        return []


def _trust_system(context: SSL.Context) -> None:
    context.set_default_verify_paths()
    own = ssl.get_default_verify_paths()
    told = os.environ.get(own.openssl_cafile_env) or os.environ.get(own.openssl_capath_env)
    if not told and not any(map(os.path.exists, filter(None, (*_SYSTEM_STORES, own.cafile, own.capath)))):
        import certifi

        context.load_verify_locations(certifi.where())


def _use_identity(context: SSL.Context, identity: Identity) -> None:
    certificates = _load(identity.certificate)
    try:
        key = load_key(Path(identity.key).read_bytes())
    except OSError as error:
        raise InputError(f"The key {identity.key} cannot be read: {error.strerror or error}.") from error
    except (KeyKindError, ValueError) as error:
        raise InputError(f"The key {identity.key} cannot be used: {error}") from error
    if key.public_key() != certificates[0].public_key():
        raise InputError(f"The key {identity.key} does not belong to the certificate {identity.certificate}.")
    try:
        present(context, certificates, key)
    except (SSL.Error, TypeError, ValueError) as error:
        raise InputError(f"OpenSSL cannot use the certificate {identity.certificate}: {error}") from error


def present(context: SSL.Context, certificates: Sequence[x509.Certificate], key: PrivateKeyTypes) -> None:
    """Show the other side these certificates, one's own first, and sign with this key.

    Raises SSL.Error, TypeError or ValueError where OpenSSL does not take them.
    """
    context.use_certificate(certificates[0])
    for certificate in certificates[1:]:
        context.add_extra_chain_cert(certificate)
    try:
        context.use_privatekey(key)  # type: ignore[arg-type]  # what it does not know is a TypeError, met here
    except TypeError:
        # It knows fewer kinds by their types than OpenSSL takes, and has those, ML-DSA among them, from files alone.
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.NamedTemporaryFile() as file:  # which nobody else may read
            file.write(pem)
            file.flush()
            context.use_privatekey_file(file.name)


def _on_secret(connection: SSL.Connection, line: bytes) -> None:
    if line.startswith(_SERVER_SECRET):  # one of five, and a handshake waits for each
        _observer(connection).on_secret(bytes.fromhex(line[line.rindex(b" ") + 1 :].decode("ascii")))


def _on_certificate(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    if ok and depth:
        return True  # nobody has more to say of a CA than OpenSSL
    return _observer(connection).on_certificate(certificate, error, depth, ok=bool(ok))


def _on_status(connection: SSL.Connection, _staple: bytes, _data: object) -> bool:
    # `_staple` is the first one of the flight, whosever it is; the observer reads them all for itself.
    return _observer(connection).on_status(connection)


def _observer(connection: SSL.Connection) -> Observer:
    observer: Observer = connection.get_app_data()
    return observer
