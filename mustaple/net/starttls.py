"""The plaintext before TLS in six protocols: ask for TLS, and take nothing but a plain yes for it.

A server that refuses, lies, speaks something else or does not come to an end is a NetworkError that says so. Nothing
that was said before TLS is believed after it.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from xml.sax.saxutils import quoteattr

from mustaple.core.errors import InputError, NetworkError
from mustaple.net.prelude import MAX_BYTES, Prelude, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Steps = Generator[None, None, None]


class StartTLS(enum.StrEnum):
    """The protocols that begin in clear."""

    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"
    LDAP = "ldap"
    XMPP = "xmpp"
    POSTGRESQL = "postgresql"

    @classmethod
    def _missing_(cls, value: object) -> StartTLS | None:
        """PostgreSQL by the name that `openssl s_client` has for it."""
        return cls.POSTGRESQL if value == "postgres" else None

    @property
    def port(self) -> int:
        """The port where it is usually spoken."""
        return _SPOKEN[self].port


def starttls_named(name: StartTLS | str) -> StartTLS:
    """The protocol of that name; InputError where there is none."""
    try:
        return StartTLS(name)
    except ValueError:
        raise InputError(f"STARTTLS is not known for {str(name)!r}; it is for {', '.join(StartTLS)}.") from None


def starttls(protocol: StartTLS, domain: str) -> Prelude:
    """The conversation up to TLS, without I/O. `domain` is the name asked for, which XMPP says in clear."""
    spoken = _SPOKEN[protocol]
    return Prelude(spoken.title, lambda prelude: spoken.script(prelude, domain))


def _refused(said: bytes) -> NetworkError:
    return NetworkError(f"the server refuses STARTTLS: {shown(said)}")


def _foreign(prelude: Prelude, said: bytes) -> NetworkError:
    return NetworkError(f"the server does not speak {prelude.protocol}: it said {shown(said)}")


# --- SMTP (RFC 5321, RFC 3207)


class _Reply(NamedTuple):
    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> bytes:
        return b"%d %s" % (self.code, b" / ".join(self.lines))


_SMTP_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


def _smtp(prelude: Prelude, _domain: str) -> Steps:
    prelude.waiting_for = "a greeting in SMTP"
    greeting = yield from _smtp_reply(prelude)
    if greeting.code != 220:
        raise NetworkError(f"the server does not serve: {shown(greeting.text)}")
    # An address literal: the client has no name that a server could look up (RFC 5321 §4.1.4).
    prelude.say(b"EHLO [127.0.0.1]\r\n", waiting_for="an answer to EHLO")
    offer = yield from _smtp_reply(prelude)
    if offer.code != 250:
        raise NetworkError(f"the server refuses EHLO: {shown(offer.text)}")
    if b"STARTTLS" not in {line.strip().upper() for line in offer.lines[1:]}:
        raise NetworkError("the server does not offer STARTTLS in SMTP")
    prelude.say(b"STARTTLS\r\n", waiting_for="an answer to STARTTLS")
    answer = yield from _smtp_reply(prelude)
    if answer.code != 220:
        raise _refused(answer.text)
    prelude.agreed()


def _smtp_reply(prelude: Prelude) -> Generator[None, None, _Reply]:
    """One reply, of one line or several, each with the same code (RFC 5321 §4.2.1)."""
    lines: list[bytes] = []
    code = b""
    while True:
        line = yield from prelude.line()
        found = _SMTP_LINE.fullmatch(line)
        if found is None or (code and found[1] != code):
            raise _foreign(prelude, line)
        code = found[1]
        lines.append(found[3] or b"")
        if found[2] != b"-":
            return _Reply(int(code), tuple(lines))


# --- IMAP (RFC 9051 §6.2.1) and POP3 (RFC 2595 §4)


def _imap(prelude: Prelude, _domain: str) -> Steps:
    prelude.waiting_for = "a greeting in IMAP"
    greeting = yield from prelude.line()
    if not greeting.upper().startswith(b"* OK"):
        if greeting.upper().startswith(b"* PREAUTH"):  # nobody may ask for TLS any more (RFC 9051 §11.1)
            raise NetworkError("the server takes the client as logged in already, and so leaves no way to STARTTLS")
        if greeting.upper().startswith(b"* BYE"):
            raise NetworkError(f"the server does not serve: {shown(greeting)}")
        raise _foreign(prelude, greeting)
    # A server may say things of its own accord (RFC 9051 §7).
    prelude.say(b"a1 STARTTLS\r\n", waiting_for="an answer to STARTTLS", unasked=True)
    while True:
        line = yield from prelude.line()
        tag, _, rest = line.partition(b" ")
        if tag == b"a1":
            break
        if tag != b"*":
            raise _foreign(prelude, line)
    if rest[:3].upper().rstrip() != b"OK":
        raise _refused(rest)
    prelude.agreed()


def _pop3(prelude: Prelude, _domain: str) -> Steps:
    prelude.waiting_for = "a greeting in POP3"
    for word in (b"", b"STLS\r\n"):
        if word:
            prelude.say(word, waiting_for="an answer to STLS")
        line = yield from prelude.line()
        if line[:4].upper() == b"-ERR" and word:
            raise _refused(line)
        if line[:4].upper() == b"-ERR":
            raise NetworkError(f"the server does not serve: {shown(line)}")
        if line[:3].upper() != b"+OK":
            raise _foreign(prelude, line)
    prelude.agreed()


# --- LDAP (RFC 4511 §4.14)

# LDAPMessage { messageID 1, extendedReq { requestName 1.3.6.1.4.1.1466.20037 } }
_LDAP_REQUEST: Final = bytes.fromhex("301d 02 01 01 77 18 80 16") + b"1.3.6.1.4.1.1466.20037"
_INTEGER: Final = (0, 2)
_ENUMERATED: Final = (0, 10)
_EXTENDED_RESPONSE: Final = (1, 24)


def _ldap(prelude: Prelude, _domain: str) -> Steps:
    prelude.say(_LDAP_REQUEST, waiting_for="an answer to StartTLS")
    head = yield from prelude.exactly(2)
    if head[0] != 0x30 or head[1] in {0x80, 0xFF}:  # a SEQUENCE of definite length (RFC 4511 §5.1)
        raise _foreign(prelude, head + prelude.unread)
    length = head[1]
    if length > 0x80:
        more = yield from prelude.exactly(length - 0x80)
        head += more
        length = int.from_bytes(more, "big")
    if length > MAX_BYTES:
        raise _foreign(prelude, head + prelude.unread)
    body = yield from prelude.exactly(length)
    result, said = _ldap_result(prelude, head + body)
    if result != 0:
        raise _refused(said or b"result code %d" % result)
    prelude.agreed()


def _ldap_result(prelude: Prelude, message: bytes) -> tuple[int, bytes]:
    """The result code and the diagnostic message of an ExtendedResponse (RFC 4511 §4.1.9, §4.12)."""
    try:
        ((_, inside),) = _elements(message)
        (number, identifier), (tag, response) = _elements(inside)[:2]
        (kind, code), _, (_, diagnostic) = _elements(response)[:3]
    except ValueError:
        raise _foreign(prelude, message) from None
    # Message 0 is the server's notice that it ends the connection, and says why (§4.4.1).
    if number != _INTEGER or identifier not in {b"\0", b"\1"} or tag != _EXTENDED_RESPONSE or kind != _ENUMERATED:
        raise _foreign(prelude, message)
    if identifier == b"\0":
        raise _refused(diagnostic or b"the server ends the connection")
    return int.from_bytes(code, "big"), diagnostic


def _elements(content: bytes) -> list[tuple[tuple[int, int], bytes]]:
    """The BER elements that follow one another: class and number of the tag, and the content. ValueError otherwise."""
    # A slow import, and LDAP is rare.
    from asn1crypto.parser import parse

    found = []
    while content:
        class_, _, number, head, inside, trailer = parse(content)
        found.append(((class_, number), inside))
        content = content[len(head) + len(inside) + len(trailer) :]
    return found


# --- XMPP (RFC 6120 §5)

_STREAM: Final = "http://etherx.jabber.org/streams"
_TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
_XMPP_BYTES: Final = 1 << 14  # it is parsed anew as it grows


def _xmpp(prelude: Prelude, domain: str) -> Steps:
    head = f"<?xml version='1.0'?><stream:stream to={quoteattr(domain)} version='1.0' xml:lang='en'"
    prelude.say(f"{head} xmlns='jabber:client' xmlns:stream='{_STREAM}'>".encode(), waiting_for="features in XMPP")
    features = yield from _xmpp_element(prelude, 0)
    if features.name != f"{_STREAM} features":
        raise _refused(features.text)
    if f"{_TLS} starttls" not in features.children:
        raise NetworkError("the server does not offer STARTTLS in XMPP")
    starttls = f"<starttls xmlns='{_TLS}'/>".encode()
    prelude.say(starttls, waiting_for="an answer to starttls", unasked=True)  # the whole stream is there still
    answer = yield from _xmpp_element(prelude, 1)
    if answer.name != f"{_TLS} proceed":
        raise _refused(answer.text)
    yield from prelude.exactly(answer.end)
    prelude.agreed()


class _Element(NamedTuple):
    """A child of the stream: its name with its namespace, its children's, what it says; where it ends in the stream."""

    name: str
    children: tuple[str, ...]
    text: bytes
    end: int


def _xmpp_element(prelude: Prelude, number: int) -> Generator[None, None, _Element]:
    """The child of the stream that has this number, once it is whole."""
    known = 0
    while True:
        stream = prelude.unread
        if b">" in stream[known:]:
            found = _xmpp_elements(prelude, stream, number + 1)
            if len(found) > number:
                return found[number]
        if len(stream) > _XMPP_BYTES:
            raise NetworkError(f"the server said more than {_XMPP_BYTES} bytes in XMPP before TLS")
        known = len(stream)
        yield


def _xmpp_elements(prelude: Prelude, stream: bytes, enough: int) -> list[_Element]:
    """The children of the stream that are whole; after `enough` of them anything may come."""
    # A document type is not XMPP's (§11.1), and its entities cannot hurt: it ends the parsing.
    from xml.parsers import expat

    parser = expat.ParserCreate("utf-8", " ")
    found: list[_Element] = []
    path: list[str] = []
    children: list[str] = []
    inside: list[str] = []  # whatever the child holds
    starts: list[int] = []

    def opened(name: str, _attributes: Any) -> None:
        if not path and name != f"{_STREAM} stream":
            raise _foreign(prelude, stream)
        path.append(name)
        if len(path) == 2:
            children.clear()
            inside.clear()
            starts.append(parser.CurrentByteIndex)
        else:
            inside.append(name)
            if len(path) == 3:
                children.append(name)

    def closed(name: str) -> None:
        path.pop()
        if len(path) == 1:
            # The place is that of the end tag, but that after it where the one tag is both.
            place = parser.CurrentByteIndex
            both = not inside and stream[:place].endswith(b"/>")
            end = place if both else stream.index(b">", place) + 1
            found.append(_Element(name, tuple(children), stream[starts[-1] : end], end))

    def typed(*_: Any) -> None:
        raise _foreign(prelude, stream)

    parser.StartElementHandler = opened
    parser.EndElementHandler = closed
    parser.CharacterDataHandler = inside.append
    parser.StartDoctypeDeclHandler = typed
    try:
        parser.Parse(stream)
    except expat.ExpatError:
        if len(found) < enough:
            raise _foreign(prelude, stream) from None
    return found


# --- PostgreSQL (protocol 3.0, SSLRequest)

_SSL_REQUEST: Final = bytes.fromhex("00000008 04d2162f")


def _postgresql(prelude: Prelude, _domain: str) -> Steps:
    prelude.say(_SSL_REQUEST, waiting_for="an answer to SSLRequest")
    answer = yield from prelude.exactly(1)
    if answer == b"N":
        raise NetworkError("the server refuses TLS: it has none, or none for this client")
    if answer == b"E":
        raise _refused(answer + prelude.unread)
    if answer != b"S":
        raise _foreign(prelude, answer + prelude.unread)
    prelude.agreed()


class _Spoken(NamedTuple):
    title: str
    port: int
    script: Callable[[Prelude, str], Steps]


_SPOKEN: Final = {
    StartTLS.SMTP: _Spoken("SMTP", 25, _smtp),
    StartTLS.IMAP: _Spoken("IMAP", 143, _imap),
    StartTLS.POP3: _Spoken("POP3", 110, _pop3),
    StartTLS.LDAP: _Spoken("LDAP", 389, _ldap),
    StartTLS.XMPP: _Spoken("XMPP", 5222, _xmpp),
    StartTLS.POSTGRESQL: _Spoken("PostgreSQL", 5432, _postgresql),
}
