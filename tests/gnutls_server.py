"""A GnuTLS server through ctypes: unlike OpenSSL's it staples any bytes for any certificate of the chain in TLS 1.3."""

from __future__ import annotations

import ctypes
import ctypes.util
import select
import socket
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_ubyte, c_uint, c_void_p
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tls_server import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certtools.authority import Issued

_NAME = ctypes.util.find_library("gnutls") or "libgnutls.so.30"

_SERVER, _NONBLOCK, _CERTIFICATE_CREDENTIALS, _DER, _CLOSE_WRITE = 1, 8, 1, 0, 1
_AGAIN, _INTERRUPTED, _ALERT_RECEIVED = -28, -52, -12
_REQUEST_CERTIFICATE = 1


class _Datum(ctypes.Structure):
    _fields_ = [("data", c_char_p), ("size", c_uint)]


class _Certificate(ctypes.Structure):
    _fields_ = [("pubkey", c_void_p), ("cert", _Datum), ("type", c_int)]


class _Response(ctypes.Structure):
    _fields_ = [("version", c_uint), ("response", _Datum), ("exptime", c_long), ("padding", c_ubyte * 32)]


_Retrieve = ctypes.CFUNCTYPE(
    c_int,
    c_void_p,
    c_void_p,
    POINTER(POINTER(_Certificate)),
    POINTER(c_uint),
    POINTER(POINTER(_Response)),
    POINTER(c_uint),
    POINTER(c_void_p),
    POINTER(c_uint),
)


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_NAME)
    library.gnutls_record_recv.restype = ctypes.c_ssize_t
    library.gnutls_record_send.restype = ctypes.c_ssize_t
    library.gnutls_strerror.restype = c_char_p
    for name in ("record_recv", "record_send"):
        getattr(library, f"gnutls_{name}").argtypes = [c_void_p, c_char_p, c_size_t]
    for name in ("handshake", "deinit", "alert_get"):
        getattr(library, f"gnutls_{name}").argtypes = [c_void_p]
    return library


class GnuTLSCredentials:
    """A chain with its key and, for each certificate, the bytes to staple: empty or absent for none."""

    def __init__(self, issued: Issued, staples: Sequence[bytes]) -> None:
        self.library = _library()
        chain = issued.chain[:-1]
        self._certificates = (_Certificate * len(chain))()
        for place, certificate in enumerate(chain):
            der = certificate.public_bytes(Encoding.DER)
            self._call("pcert_import_x509_raw", byref(self._certificates[place]), byref(_Datum(der, len(der))), _DER, 0)
        self._key = c_void_p()
        key = issued.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._call("privkey_init", byref(self._key))
        self._call("privkey_import_x509_raw", self._key, byref(_Datum(key, len(key))), _DER, None, 0)
        self._responses = (_Response * len(chain))()
        for place, staple in enumerate(staples):
            self._responses[place].response = _Datum(staple, len(staple))
        self._stapled = len(staples)
        self.handle = c_void_p()
        self._call("certificate_allocate_credentials", byref(self.handle))
        self._retrieve = _Retrieve(self._on_retrieve)
        self.library.gnutls_certificate_set_retrieve_function3(self.handle, self._retrieve)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what GnuTLS allocated."""
        self.library.gnutls_certificate_free_credentials(self.handle)
        self.library.gnutls_privkey_deinit(self._key)
        for certificate in self._certificates:
            self.library.gnutls_pcert_deinit(byref(certificate))

    def _on_retrieve(self, _session: Any, _info: Any, *out: Any) -> int:
        chain, length, responses, count, key, flags = out
        chain[0], length[0] = self._certificates, len(self._certificates)
        responses[0], count[0] = self._responses, self._stapled
        key[0], flags[0] = self._key, 0
        return 0

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, f"gnutls_{name}")(*arguments)
        if code < 0:
            raise RuntimeError(f"gnutls_{name}: {self.library.gnutls_strerror(code).decode()}")


class GnuTLSServer:
    """The server's end of one connection, as bytes: GnuTLS works on one end of a socket pair."""

    def __init__(self, credentials: GnuTLSCredentials, version: str = "TLSv1.3") -> None:
        self.seen = Seen()
        self._ended = False
        self._library = credentials.library
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._session = c_void_p()
        call = credentials._call
        call("init", byref(self._session), _SERVER | _NONBLOCK)
        priority = f"NORMAL:-VERS-ALL:+VERS-{version.replace('TLSv', 'TLS')}".encode()
        call("priority_set_direct", self._session, c_char_p(priority), None)
        call("credentials_set", self._session, _CERTIFICATE_CREDENTIALS, credentials.handle)
        self._library.gnutls_certificate_server_set_request(self._session, _REQUEST_CERTIFICATE)
        self._library.gnutls_transport_set_int2(self._session, self._theirs.fileno(), self._theirs.fileno())

    def exchange(self, data: bytes) -> bytes:
        """What the server answers to these bytes."""
        self._ours.sendall(data)
        # In TLS 1.3 it stops for breath after some messages; while bytes wait unread it is to go on.
        while not self.seen.completed and not self._ended:
            code = self._library.gnutls_handshake(self._session)
            self.seen.completed = code == 0
            if code == _ALERT_RECEIVED:
                self.seen.alert = self._library.gnutls_alert_get(self._session)
            self._ended = code < 0 and code not in (_AGAIN, _INTERRUPTED)
            if not select.select([self._theirs], [], [], 0)[0]:
                break
        if self.seen.completed:
            buffer = ctypes.create_string_buffer(1 << 14)
            while (got := self._library.gnutls_record_recv(self._session, buffer, len(buffer))) > 0:
                self.seen.data += buffer.raw[:got]
        try:
            return self._ours.recv(1 << 18)
        except BlockingIOError:
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give back the session and the sockets."""
        self._library.gnutls_deinit(self._session)
        self._ours.close()
        self._theirs.close()
