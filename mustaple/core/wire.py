"""Certificate status on the wire: status_request, status_request_v2 and the Certificate messages that carry staples.

RFC 6066 §8 is the request and the answer of TLS 1.2 for the leaf. RFC 6961 §2.2 (history: RFC 8446 obsoleted it, and
RFC 9846 keeps it so) adds `ocsp_multi`, one answer for each certificate. In TLS 1.3 each CertificateEntry carries its
own (RFC 9846 §4.5.1.1, RFC 8446 §4.4.2.1).

Decoding raises WireError and nothing else, whatever the bytes. Encoding raises ValueError for what no length can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mustaple.core.errors import Alert, WireError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

STATUS_REQUEST: Final = 5
STATUS_REQUEST_V2: Final = 17

OCSP: Final = 1
OCSP_MULTI: Final = 2


class Reader:
    """A cursor over bytes in which every length bounds its body. `what` names the structure in errors."""

    __slots__ = ("_data", "_end", "_position", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._position = 0
        self._end = len(data)
        self._what = what

    def __bool__(self) -> bool:
        """Whether bytes are left."""
        return self._position < self._end

    # The three that read are written out, not one upon the other: they are the heart of every handshake.

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self._position
        stop = start + count
        if stop > self._end:
            raise self._cut_short(count)
        self._position = stop
        return self._data[start:stop]

    def uint(self, width: int) -> int:
        """The next `width` bytes as an unsigned number, most significant first."""
        start = self._position
        stop = start + width
        if stop > self._end:
            raise self._cut_short(width)
        self._position = stop
        return int.from_bytes(self._data[start:stop], "big")

    def vector(self, width: int, *, least: int = 0) -> bytes:
        """A body behind its length of `width` bytes; shorter than `least` is an error (RFC 9846 §3.4)."""
        start = self._position + width
        if start > self._end:
            raise self._cut_short(width)
        length = int.from_bytes(self._data[self._position : start], "big")
        self._position = start
        if length < least:
            raise WireError(f"{self._what} holds a vector of {length} bytes where at least {least} must be.")
        stop = start + length
        if stop > self._end:
            raise self._cut_short(length)
        self._position = stop
        return self._data[start:stop]

    def inner(self, width: int, what: str, *, least: int = 0) -> Reader:
        """The same body, to be read further under its own name."""
        return Reader(self.vector(width, least=least), what)

    def end(self) -> None:
        """Raise WireError unless everything has been read."""
        if self._position < self._end:
            raise WireError(f"{self._what} has {self._end - self._position} bytes after its end.")

    def _cut_short(self, wanted: int) -> WireError:
        return WireError(f"{self._what} ends early: {wanted} bytes wanted, {self._end - self._position} left.")


def vector(body: bytes, width: int, *, least: int = 0) -> bytes:
    """`body` behind its length in `width` bytes. Raises ValueError where it is too short or too long for that."""
    if not least <= len(body) < 1 << 8 * width:
        raise ValueError(f"{len(body)} bytes do not fit a vector of {least} to {(1 << 8 * width) - 1} bytes.")
    return len(body).to_bytes(width, "big") + body


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """What a ClientHello asks for: an OCSPStatusRequest and its type (RFC 6066 §8, RFC 6961 §2.2).

    `responder_ids` are DER ResponderIDs that the client trusts (none: the server knows); `extensions` is DER, empty
    for none. `status_type` is OCSP or OCSP_MULTI; the second only in status_request_v2.
    """

    status_type: int = OCSP
    responder_ids: tuple[bytes, ...] = ()
    extensions: bytes = b""


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """An item of status_request_v2 whose type nobody here knows: its length lets it be passed over (RFC 6961 §2.2)."""

    status_type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """An answer: `ocsp` with one response, or `ocsp_multi` with one for each certificate in the order sent.

    An empty response in `ocsp_multi` says that the server has none for that certificate (RFC 6961 §2.2).
    """

    status_type: int
    responses: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CertificateEntry:
    """A certificate as TLS 1.3 sends it: DER with an extension block of its own (RFC 9846 §4.5.1)."""

    certificate: bytes
    extensions: tuple[tuple[int, bytes], ...] = ()


def encode_status_request(request: StatusRequest = StatusRequest()) -> bytes:
    """The body of extension 5 in a ClientHello: `01 0000 0000` unless told otherwise."""
    if request.status_type != OCSP:
        raise ValueError("status_request holds only the type ocsp; the others take status_request_v2.")
    return bytes([OCSP]) + _encode_ocsp_request(request)


def decode_status_request(body: bytes) -> StatusRequest:
    """Read the body of extension 5 in a ClientHello.

    A type that is not known has no length here, so nothing after it can be read: illegal_parameter.
    """
    reader = Reader(body, "status_request")
    status_type = reader.uint(1)
    if status_type != OCSP:
        raise WireError(f"status_request asks for the unknown status type {status_type}.", Alert.ILLEGAL_PARAMETER)
    request = _decode_ocsp_request(reader, status_type)
    reader.end()
    return request


def encode_status_request_v2(items: Iterable[StatusRequest | OtherRequest]) -> bytes:
    """The body of extension 17 in a ClientHello, in order of preference."""
    return vector(b"".join(map(_encode_item, items)), 2, least=1)


def decode_status_request_v2(body: bytes) -> tuple[StatusRequest | OtherRequest, ...]:
    """Read the body of extension 17 in a ClientHello; items of unknown type stay as `OtherRequest`."""
    outer = Reader(body, "status_request_v2")
    reader = outer.inner(2, "certificate_status_req_list", least=1)
    outer.end()
    items: list[StatusRequest | OtherRequest] = []
    while reader:
        status_type = reader.uint(1)
        if status_type in (OCSP, OCSP_MULTI):
            item = reader.inner(2, "CertificateStatusRequestItemV2")
            items.append(_decode_ocsp_request(item, status_type))
            item.end()
        else:
            items.append(OtherRequest(status_type, reader.vector(2)))
    return tuple(items)


def _encode_item(item: StatusRequest | OtherRequest) -> bytes:
    known = item.status_type in (OCSP, OCSP_MULTI)
    if isinstance(item, OtherRequest):
        if known:
            raise ValueError("The types ocsp and ocsp_multi take a StatusRequest.")
        body = item.body
    else:
        if not known:
            raise ValueError(f"A StatusRequest has the type ocsp or ocsp_multi, not {item.status_type}.")
        body = _encode_ocsp_request(item)
    return item.status_type.to_bytes(1, "big") + vector(body, 2)


def _encode_ocsp_request(request: StatusRequest) -> bytes:
    responder_ids = b"".join(vector(responder_id, 2, least=1) for responder_id in request.responder_ids)
    return vector(responder_ids, 2) + vector(request.extensions, 2)


def _decode_ocsp_request(reader: Reader, status_type: int) -> StatusRequest:
    listed = reader.inner(2, "responder_id_list")
    responder_ids = []
    while listed:
        responder_ids.append(listed.vector(2, least=1))
    return StatusRequest(status_type, tuple(responder_ids), reader.vector(2))


def encode_certificate_status(status: CertificateStatus) -> bytes:
    """The body of a CertificateStatus message, or of status_request in a CertificateEntry."""
    if status.status_type == OCSP:
        (response,) = status.responses
        return bytes([OCSP]) + vector(response, 3, least=1)
    if status.status_type == OCSP_MULTI:
        return bytes([OCSP_MULTI]) + vector(b"".join(vector(each, 3) for each in status.responses), 3, least=1)
    raise ValueError(f"The status type {status.status_type} is not known.")


def decode_certificate_status(
    body: bytes, *, allowed: Collection[int] = (OCSP,), what: str = "CertificateStatus"
) -> CertificateStatus:
    """Read a CertificateStatus whose type was asked for.

    Another type is answered with bad_certificate_status_response, which is there for an answer of no use
    (RFC 6066 §8); an empty `ocsp` response breaks its grammar.
    """
    reader = Reader(body, what)
    status_type = reader.uint(1)
    if status_type not in allowed:
        raise WireError(
            f"{what} has the status type {status_type}, which nobody asked for.",
            Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
        )
    if status_type == OCSP_MULTI:
        listed = reader.inner(3, "ocsp_response_list", least=1)
        responses = []
        while listed:
            responses.append(listed.vector(3))
    else:
        responses = [reader.vector(3, least=1)]
    reader.end()
    return CertificateStatus(status_type, tuple(responses))


def encode_extensions(extensions: Iterable[tuple[int, bytes]]) -> bytes:
    """An extension block with its length (RFC 9846 §4.3)."""
    return vector(b"".join(number.to_bytes(2, "big") + vector(body, 2) for number, body in extensions), 2)


def decode_extensions(reader: Reader, what: str) -> dict[int, bytes]:
    """An extension block by number. A number that stands twice is an illegal_parameter (RFC 9846 §4.3)."""
    block = reader.vector(2)
    extensions: dict[int, bytes] = {}
    position, end = 0, len(block)
    while position < end:
        # Written out, as the Reader's methods are: every ServerHello comes this way.
        number = int.from_bytes(block[position : position + 2], "big")
        body = position + 4
        position = body + int.from_bytes(block[position + 2 : body], "big")
        if body > end or position > end:
            raise WireError(f"The extensions of {what} end early, in the one that begins as {number}.")
        if number in extensions:
            raise WireError(f"{what} holds extension {number} twice.", Alert.ILLEGAL_PARAMETER)
        extensions[number] = block[body:position]
    return extensions


def encode_certificate_tls13(entries: Sequence[CertificateEntry]) -> bytes:
    """The body of a server's Certificate message in TLS 1.3."""
    listed = (vector(entry.certificate, 3, least=1) + encode_extensions(entry.extensions) for entry in entries)
    return b"\0" + vector(b"".join(listed), 3, least=1)


def decode_certificate_tls13(body: bytes, offered: Collection[int] = (STATUS_REQUEST,)) -> tuple[CertificateEntry, ...]:
    """Read a server's Certificate message in TLS 1.3.

    `offered` are the extension numbers of the ClientHello: an entry may hold no other (unsupported_extension,
    RFC 9846 §4.3), and never status_request_v2 (§4.5.1.1). The list is never empty (§4.5.1.3).
    """
    reader = Reader(body, "Certificate")
    if reader.vector(1):
        raise WireError("A server's Certificate has a certificate_request_context.", Alert.ILLEGAL_PARAMETER)
    listed = reader.inner(3, "certificate_list", least=1)
    reader.end()
    entries: list[CertificateEntry] = []
    while listed:
        certificate = listed.vector(3, least=1)
        extensions = decode_extensions(listed, f"CertificateEntry {len(entries)}")
        for number in extensions:
            if number == STATUS_REQUEST_V2:
                raise WireError("A CertificateEntry holds status_request_v2.", Alert.ILLEGAL_PARAMETER)
            if number not in offered:
                raise WireError(
                    f"A CertificateEntry holds extension {number}, which was not offered.", Alert.UNSUPPORTED_EXTENSION
                )
        entries.append(CertificateEntry(certificate, tuple(extensions.items())))
    return tuple(entries)


def encode_certificate_tls12(certificates: Iterable[bytes]) -> bytes:
    """The body of a server's Certificate message in TLS 1.2 (RFC 5246 §7.4.2)."""
    return vector(b"".join(vector(certificate, 3, least=1) for certificate in certificates), 3, least=1)


def decode_certificate_tls12(body: bytes) -> tuple[bytes, ...]:
    """Read a server's Certificate message in TLS 1.2: the certificates in DER, never none (RFC 5246 §7.4.2)."""
    reader = Reader(body, "Certificate")
    listed = reader.inner(3, "certificate_list", least=1)
    reader.end()
    certificates = []
    while listed:
        certificates.append(listed.vector(3, least=1))
    return tuple(certificates)
