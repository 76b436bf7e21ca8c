"""One question over HTTP as a value without I/O: what to send, which answers to take, when to give up."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from mustaple.core.errors import InputError, NetworkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certtools.chain import Link

OCSP_REQUEST: Final = "application/ocsp-request"  # RFC 6960 App. A.1 and C.1
OCSP_RESPONSE: Final = "application/ocsp-response"
MAX_OCSP_BYTES: Final = 64 * 1024
MAX_GET_URL: Final = 255  # bytes, scheme and host included (RFC 9919 §6, before it RFC 5019 §5)
MAX_URL: Final = 2048  # characters of an address in a certificate; honest ones have some 30
MAX_REDIRECTS: Final = 3
NONCE_BYTES: Final = 32  # RFC 9654 §2.1: clients should send 32; 1 to 128 are allowed
MAX_NONCE_BYTES: Final = 128

_CACHING: Final = frozenset({"age", "cache-control", "date", "etag", "expires", "last-modified", "retry-after"})
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')  # RFC 9110 §8.8.3, without bytes beyond ASCII
_SAME_AGAIN: Final = frozenset({301, 302, 307, 308})  # 303 sends to a page about the answer, not to the answer
_NO_GET_HERE: Final = frozenset({405, 501})


class RetryLaterError(NetworkError):
    """A refusal that says when to come back: `retry_after` is the header as it came (RFC 9110 §10.2.3)."""

    def __init__(self, message: str, retry_after: str) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back, not judged: `body` is DER if the server is honest.

    `url` is the address that was asked, as the certificate names it; `redirects` are those it led to. `headers`
    are the ones that matter to caches (RFC 9111), names in lower case. `elapsed` is in seconds.
    """

    body: bytes
    url: str
    method: str
    status_code: int
    headers: Mapping[str, str]
    elapsed: float
    redirects: tuple[str, ...] = ()

    @property
    def not_modified(self) -> bool:
        """Whether the server says that the answer of the ETag asked with is still its answer; `body` is empty."""
        return self.status_code == HTTPStatus.NOT_MODIFIED


def ocsp_request(link: Link, algorithm: hashes.HashAlgorithm | None = None, nonce: bytes | None = None) -> bytes:
    """The OCSPRequest for one certificate, DER (RFC 6960 §4.1.1).

    SHA-1 names the issuer in the CertID unless `algorithm` says otherwise: every responder knows it, while RFC 9919
    §3.1.1 asks new clients for SHA-256. It only names; nothing rests on its strength. Raises InputError for a nonce
    that is not 1 to 128 bytes long (RFC 9654 §2.1).
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        link.subject,
        link.issuer,
        hashes.SHA1() if algorithm is None else algorithm,
    )
    if nonce is not None:
        if not 1 <= len(nonce) <= MAX_NONCE_BYTES:
            raise InputError(f"A nonce has 1 to {MAX_NONCE_BYTES} bytes, not {len(nonce)} (RFC 9654 §2.1).")
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


@dataclass(slots=True)
class Exchange:
    """One request, its redirects and its answer. Feed it `head()` and `feed()`; then `finish()` is what was fetched.

    `method`, `url`, `headers` and `content` are what to send next. Every refusal is a NetworkError whose one
    sentence names the address.

    `etag` is that of an answer already here: a GET then asks only for another one (RFC 9110 §13.1.2). With
    `bypass_caches` proxies are told not to answer themselves (RFC 9919 §7.2). With `same_host` a redirect is followed
    only to the host and port that the certificate names, or to its https: whoever answers cannot have us ask others.
    """

    asked: str
    what: str
    media_type: str | None
    max_bytes: int
    request: bytes | None = None
    etag: str | None = None
    bypass_caches: bool = False
    same_host: bool = False
    method: str = "GET"
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    _status: int = 0
    _kept: dict[str, str] = field(default_factory=dict)
    # One that grows, so that a large CRL is never there twice.
    _body: io.BytesIO = field(default_factory=io.BytesIO)
    _size: int = 0
    _redirects: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._check(self.asked, self.asked)
        # Compression would let a small answer unpack into a large one, and DER gains nothing by it.
        self.headers = {"Accept": self.media_type or "*/*", "Accept-Encoding": "identity", "User-Agent": "mustaple"}
        if self.etag is not None and _ENTITY_TAG.fullmatch(self.etag):
            self.headers["If-None-Match"] = self.etag
        if self.bypass_caches:
            self.headers["Cache-Control"] = "no-cache"
        self.url = self.asked
        if self.request is not None:
            get = get_url(self.asked, self.request)
            if get is None:
                self._post()
            else:
                self.url = get

    def _post(self) -> None:
        self.method = "POST"
        self.url = self.asked
        self.content = self.request
        self.headers["Content-Type"] = OCSP_REQUEST
        self.headers.pop("If-None-Match", None)  # to a POST it would mean another thing

    @property
    def name(self) -> str:
        """The address as errors show it: printable, and short."""
        return shown(self.asked)

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take the status line and the headers (names in lower case): True to read the body, False to ask again."""
        if status in _SAME_AGAIN and headers.get("location"):
            self._redirect(headers["location"])
            return False
        if status in _NO_GET_HERE and self.method == "GET" and self.request is not None:
            self._post()  # GET is for the responder to offer or not (RFC 6960 App. A.1)
            return False
        self._status = status
        self._kept = {name: value for name, value in headers.items() if name in _CACHING}
        if status == HTTPStatus.NOT_MODIFIED and "If-None-Match" in self.headers:
            return True
        if status != HTTPStatus.OK:
            raise self._refused(status, headers.get("retry-after"))
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise NetworkError(f"{self.name} answered in an encoding that nobody asked for.")
        said = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.media_type is not None and said != self.media_type:
            raise NetworkError(f"{self.name} answered with {shown(said) or 'no content type'}, not {self.media_type}.")
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self.max_bytes:
            raise self._oversized()
        return True

    def _refused(self, status: int, retry_after: str | None) -> NetworkError:
        said = f"{self.name} answered HTTP {status}{_phrase(status)}, not {self.what}."
        return NetworkError(said) if retry_after is None else RetryLaterError(said, retry_after)

    def _redirect(self, location: str) -> None:
        target = urljoin(self.url, location)
        if len(self._redirects) == MAX_REDIRECTS:
            raise NetworkError(f"{self.name} redirects more than {MAX_REDIRECTS} times.")
        self._check(target, f"{self.name}, redirecting to {shown(target)},")
        if self.same_host and not _same_host(self.asked, target):
            raise NetworkError(f"{self.name} redirects to {shown(target)}, which is another host or port.")
        self._redirects.append(target)
        self.url = target

    @staticmethod
    def _check(url: str, name: str) -> None:
        fault = url_fault(url)
        if fault is not None:
            raise NetworkError(fault.format(shown(name)))

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(chunk)
        if self._size > self.max_bytes:
            raise self._oversized()
        self._body.write(chunk)

    def _oversized(self) -> NetworkError:
        return NetworkError(f"{self.name} answered with more than {self.max_bytes:,} bytes, too many for {self.what}.")

    def finish(self, elapsed: float) -> Fetched:
        """What was fetched, once the body has ended; `elapsed` is in seconds."""
        if not self._size and self._status != HTTPStatus.NOT_MODIFIED:
            raise NetworkError(f"{self.name} answered with nothing.")
        body = self._body.getvalue()
        return Fetched(body, self.asked, self.method, self._status, self._kept, elapsed, tuple(self._redirects))


def get_url(base: str, request: bytes) -> str | None:
    """The URL that asks by GET (RFC 6960 App. A.1), or None where it takes a POST.

    That is a URL of more than 255 bytes (RFC 9919 §6), and one with a query, which a path cannot be added to.
    """
    if urlsplit(base).query:
        return None
    url = f"{base.rstrip('/')}/{quote(base64.b64encode(request).decode(), safe='')}"
    return url if len(url.encode()) <= MAX_GET_URL else None


def url_fault(url: str) -> str | None:
    """Why no request should go to this address, with `{}` for its name; None where one may.

    A certificate may hold any text. Only http and https, no user or password, and no more than MAX_URL characters.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # a property that raises
    except ValueError:
        return "{} is not a URL."
    if parts.scheme.lower() not in {"http", "https"}:
        return "{} is not an http or https URL."
    if len(url) > MAX_URL:
        return f"{{}} is a URL of {len(url):,} characters, where {MAX_URL:,} are allowed."
    if parts.username is not None or parts.password is not None:
        host = repr(parts.hostname).replace("{", "{{").replace("}", "}}")
        return f"The URL at {host} holds a user name or password, which is not sent."
    if not parts.hostname or any(not character.isprintable() or character == " " for character in url):
        return "{} is not a URL that can be asked."
    return None


def _same_host(asked: str, target: str) -> bool:
    """Whether a redirect stays with the host and port asked, or goes to the https of that host."""
    one, other = urlsplit(asked), urlsplit(target)
    ports = {"http": 80, "https": 443}
    before, after = one.port or ports[one.scheme.lower()], other.port or ports[other.scheme.lower()]
    https = (other.scheme.lower(), after) == ("https", 443)
    return one.hostname == other.hostname and (before == after or (before == 80 and https))


def shown(text: str) -> str:
    """A text from a certificate or a peer as errors show it: printable, and short."""
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= 120 else printable[:117] + "..."


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
