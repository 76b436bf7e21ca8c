"""The words before TLS in six protocols: real servers that then staple, and servers that refuse, lie or never end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from clear_servers import HONEST, XMPP_FEATURES, XMPP_HEAD, XMPP_TLS, AsyncServer, Dialogue, Hear, clear_server
from hypothesis import given
from hypothesis import strategies as st
from strict_client import both_loops

from mustaple.core.errors import InputError, NetworkError
from mustaple.core.verdict import Code
from mustaple.net.aclient import aconnect
from mustaple.net.client import connect
from mustaple.net.prelude import MAX_BYTES, MAX_LINE, MAX_LINES, Prelude, shown
from mustaple.net.server import StaplingServer
from mustaple.net.starttls import StartTLS, starttls, starttls_named

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from certtools.authority import Authority, Issued
    from mustaple.core.verdict import ChainVerdict

    Ask = Callable[..., ChainVerdict]

SHORT = 0.5  # seconds that a test gives a server that will not answer
PROTOCOLS = tuple(HONEST)
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@pytest.fixture(scope="module")
def options(root: Authority, at: datetime) -> dict[str, Any]:
    return {"ca": root.certificate, "at": at}


# --- servers that keep their word


@both_loops
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("piece", [1, 1 << 16])
def test_tls_follows_the_words_before_it(
    stapling: StaplingServer, options: dict[str, Any], ask: Ask, protocol: str, piece: int
) -> None:
    with clear_server(HONEST[protocol], stapling.port, piece=piece) as server:
        verdict = ask("localhost", server.port, "must-staple", starttls=protocol, **options)
        assert stapling.next_record().server_name == "localhost"
    assert verdict.accepted
    assert verdict.checked


@both_loops
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_staples_nothing_after_them_is_refused(
    leaf: Issued, options: dict[str, Any], ask: Ask, protocol: str
) -> None:
    with (
        StaplingServer(leaf.chain[:-1], leaf.key) as stapling,
        clear_server(HONEST[protocol], stapling.port) as server,
    ):
        verdict = ask("localhost", server.port, "must-staple", starttls=protocol, **options)
        assert [reason.code for reason in verdict.all_reasons] == [Code.PROMISE_BROKEN]
        assert stapling.next_record().alert == 113


def test_data_goes_over_tls_afterwards(stapling: StaplingServer, options: dict[str, Any]) -> None:
    async def asynchronously(port: int) -> bytes:
        async with await aconnect("localhost", port, "must-staple", starttls="smtp", **options) as connection:
            await connection.send(REQUEST)
            return b"".join([piece async for piece in _pieces(connection)])

    with clear_server(HONEST["smtp"], stapling.port) as server:
        with connect("localhost", server.port, "must-staple", starttls="smtp", **options) as connection:
            connection.sendall(REQUEST)
            page = b"".join(iter(connection.recv, b""))
        assert page.startswith(b"HTTP/1.1 200")
        assert asyncio.run(asynchronously(server.port)) == page


async def _pieces(connection: Any) -> Any:
    while piece := await connection.recv():
        yield piece


def test_ports_and_names_of_the_protocols() -> None:
    assert {each.value: each.port for each in StartTLS} == {
        "smtp": 25,
        "imap": 143,
        "pop3": 110,
        "ldap": 389,
        "xmpp": 5222,
        "postgresql": 5432,
    }
    assert starttls_named("smtp") is StartTLS.SMTP
    with pytest.raises(InputError, match="smtp, imap, pop3"):
        starttls_named("ftp")


@both_loops
def test_an_unknown_protocol_is_an_input_error(ask: Ask, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'gopher'"):
        ask("localhost", 1, starttls="gopher", **options)


# --- servers that do not: the name of the case, the protocol, where the dialogue turns, what is said, the error

LINE = b"x" * (MAX_LINE + 10)
SMTP, IMAP, POP3, LDAP, XMPP, POSTGRESQL = (HONEST[name] for name in PROTOCOLS)
WRONG: dict[str, tuple[str, Dialogue, str]] = {
    # it refuses
    "smtp 554": ("smtp", SMTP.instead(0, b"554 no\r\n"), "does not serve: '554 no'"),
    "smtp refuses EHLO": ("smtp", SMTP.instead(2, b"502 what\r\n"), "refuses EHLO: '502 what'"),
    "smtp does not offer": ("smtp", SMTP.instead(2, b"250-m\r\n250 SIZE 1\r\n"), "does not offer STARTTLS in SMTP"),
    "smtp named STARTTLS": ("smtp", SMTP.instead(2, b"250 STARTTLS\r\n"), "does not offer STARTTLS in SMTP"),
    "smtp refuses": ("smtp", SMTP.instead(-1, b"454 not\r\n"), "refuses STARTTLS: '454 not'"),
    "imap refuses": ("imap", IMAP.instead(-1, b"a1 BAD never\r\n"), "refuses STARTTLS: 'BAD never'"),
    "imap logged in": ("imap", IMAP.instead(0, b"* PREAUTH hello\r\n"), "no way to STARTTLS"),
    "imap is busy": ("imap", IMAP.instead(0, b"* BYE busy\r\n"), "does not serve"),
    "pop3 refuses": ("pop3", POP3.instead(-1, b"-ERR never\r\n"), "refuses STARTTLS: '-ERR never'"),
    "pop3 is busy": ("pop3", POP3.instead(0, b"-ERR busy\r\n"), "does not serve"),
    "ldap refuses": (
        "ldap",
        LDAP.instead(-1, bytes.fromhex("3011 020101 780c 0a0102 0400 0405") + b"never"),
        "refuses STARTTLS: 'never'",
    ),
    "ldap refuses without a word": (
        "ldap",
        LDAP.instead(-1, bytes.fromhex("300c 020101 7807 0a0134 0400 0400")),
        "refuses STARTTLS: 'result code 52'",
    ),
    "ldap ends": (
        "ldap",
        LDAP.instead(-1, bytes.fromhex("300f 020100 780a 0a0134 0400 0403") + b"bye"),
        "refuses STARTTLS: 'bye'",
    ),
    "xmpp does not offer": ("xmpp", XMPP.instead(1, XMPP_HEAD + b"<stream:features/>"), "does not offer STARTTLS"),
    "xmpp offers another": (
        "xmpp",
        XMPP.instead(1, XMPP_HEAD + b"<stream:features><starttls xmlns='x'/></stream:features>"),
        "does not offer STARTTLS",
    ),
    "xmpp error": ("xmpp", XMPP.instead(1, XMPP_HEAD + b"<stream:error>no</stream:error>"), "refuses STARTTLS: '<str"),
    "xmpp refuses": ("xmpp", XMPP.instead(-1, b"<failure " + XMPP_TLS + b"/>"), "refuses STARTTLS: .<failure"),
    "postgresql refuses": ("postgresql", POSTGRESQL.instead(-1, b"N"), "refuses TLS"),
    "postgresql is of old": ("postgresql", POSTGRESQL.instead(-1, b"Esorry\0"), "refuses STARTTLS: 'Esorry"),
    # it agrees, and goes on in clear: what an attacker on the way puts in
    "smtp goes on": ("smtp", SMTP.instead(-1, b"220 go\r\n250 injected\r\n"), r"went on in clear.*250 injected"),
    "imap goes on": ("imap", IMAP.instead(-1, b"a1 OK go\r\n* OK injected\r\n"), "went on in clear"),
    "pop3 goes on": ("pop3", POP3.instead(-1, b"+OK go\r\n+OK injected\r\n"), "went on in clear"),
    "ldap goes on": ("ldap", LDAP.instead(-1, LDAP.steps[-1] * 2), "went on in clear"),
    "xmpp goes on": ("xmpp", XMPP.instead(-1, XMPP.steps[-1] + b"<message/>"), "went on in clear"),
    "xmpp goes on with a space": ("xmpp", XMPP.instead(-1, XMPP.steps[-1] + b" "), "went on in clear"),
    "xmpp goes on in TLS": ("xmpp", XMPP.instead(-1, XMPP.steps[-1] + b"\x16\x03\x03"), "went on in clear"),
    "postgresql goes on": ("postgresql", POSTGRESQL.instead(-1, b"SE"), "went on in clear"),
    # it answers what nobody has asked
    "smtp ahead": ("smtp", SMTP.instead(0, b"220 a\r\n250 b\r\n"), "before it was asked: '250 b"),
    "smtp far ahead": ("smtp", SMTP.instead(2, b"250-a\r\n250 STARTTLS\r\n220 go\r\n"), "before it was asked: '220 go"),
    "pop3 ahead": ("pop3", POP3.instead(0, b"+OK a\r\n+OK b\r\n"), "before it was asked"),
    # it never ends
    "smtp long line": ("smtp", SMTP.instead(0, b"220 " + LINE), "a line of more than 8192 bytes"),
    "smtp greets for ever": ("smtp", SMTP.instead(0, b"220-a\r\n" * (MAX_LINES + 1)), "over 128 lines"),
    "smtp offers for ever": ("smtp", SMTP.instead(2, b"250-A\r\n" * (MAX_LINES + 1)), "over 128 lines"),
    "imap for ever": ("imap", IMAP.instead(-1, b"* OK a\r\n" * (MAX_LINES + 1)), "over 128 lines"),
    "imap too much": ("imap", IMAP.instead(-1, (b"* " + LINE[:4000] + b"\r\n") * 20), "more than 65536 bytes"),
    "ldap too long": ("ldap", LDAP.instead(-1, bytes.fromhex("3084 7fffffff")), "does not speak LDAP"),
    "xmpp for ever": ("xmpp", XMPP.instead(1, XMPP_HEAD + b"<a>" * 8000), "more than 16384 bytes in XMPP"),
    # it is something else
    "smtp is imap": ("smtp", Dialogue((b"* OK hello\r\n",), tls=False), r"does not speak SMTP: it said '\* OK hello'"),
    "smtp is ssh": ("smtp", Dialogue((b"SSH-2.0-x\r\n",), tls=False), "does not speak SMTP: it said 'SSH-2.0-x'"),
    "smtp of two minds": ("smtp", SMTP.instead(2, b"250-a\r\n550 b\r\n"), "does not speak SMTP"),
    "imap is smtp": ("imap", Dialogue((b"220 hello\r\n",), tls=False), "does not speak IMAP: it said '220 hello'"),
    "imap answers another": ("imap", IMAP.instead(-1, b"a2 OK go\r\n"), "does not speak IMAP: it said 'a2 OK go'"),
    "pop3 is imap": ("pop3", Dialogue((b"* OK hello\r\n",), tls=False), "does not speak POP3"),
    "ldap is http": ("ldap", LDAP.instead(-1, b"HTTP/1.1 400 no\r\n\r\n"), "does not speak LDAP: it said 'HTTP/1.1"),
    "ldap of indefinite length": ("ldap", LDAP.instead(-1, b"\x30\x80\x02\x01\x01\0\0"), "does not speak LDAP"),
    "ldap cut": ("ldap", LDAP.instead(-1, bytes.fromhex("3005 020101 78 05")), "does not speak LDAP"),
    "ldap of another message": (
        "ldap",
        LDAP.instead(-1, bytes.fromhex("300c 020102 7807 0a0100 0400 0400")),
        "does not speak LDAP",
    ),
    "ldap of another kind": (
        "ldap",
        LDAP.instead(-1, bytes.fromhex("300c 020101 6107 0a0100 0400 0400")),
        "does not speak LDAP",
    ),
    "xmpp is html": ("xmpp", XMPP.instead(1, b"<html><body>"), "does not speak XMPP: it said '<html>"),
    "xmpp is http": ("xmpp", XMPP.instead(1, b"HTTP/1.1 400 <no>\r\n\r\n"), "does not speak XMPP: it said 'HTTP"),
    "xmpp has entities": (
        "xmpp",
        XMPP.instead(1, b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>" + XMPP_HEAD[21:]),
        "does not speak XMPP",
    ),
    "xmpp goes wrong": ("xmpp", XMPP.instead(-1, b"<proceed></failure>"), "does not speak XMPP"),
    "postgresql is mysql": ("postgresql", POSTGRESQL.instead(-1, b"J\0\0\0\n8.0"), "does not speak PostgreSQL"),
}
WRONG |= {
    f"{name} is TLS at once": (
        name,
        Dialogue(
            (*(s for s in HONEST[name].steps[:1] if isinstance(s, Hear)), b"\x15\x03\x03\x00\x02\x02\x32"), tls=False
        ),
        "speaks TLS at once, and not",
    )
    for name in PROTOCOLS
}


@both_loops
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_is_one_clear_error(options: dict[str, Any], ask: Ask, case: str) -> None:
    protocol, dialogue, error = WRONG[case]
    with clear_server(dialogue) as server, pytest.raises(NetworkError, match=error) as caught:
        ask("localhost", server.port, starttls=protocol, timeout=5.0, **options)
    assert str(caught.value).startswith(f"localhost:{server.port}: ")
    assert "\n" not in str(caught.value)


@both_loops
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_ends_in_the_middle_is_told_of(options: dict[str, Any], ask: Ask, protocol: str) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = HONEST[protocol].steps[0]
        if isinstance(step, Hear):
            await reader.readuntil(step.end)

    with (
        AsyncServer(play) as server,
        pytest.raises(NetworkError, match=r"closed the connection instead of (an?|features) "),
    ):
        ask("localhost", server.port, starttls=protocol, **options)


@both_loops
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_says_nothing_is_waited_for_no_longer_than_asked(
    options: dict[str, Any], ask: Ask, protocol: str
) -> None:
    with (
        clear_server(Dialogue((), tls=False)) as server,
        pytest.raises(NetworkError, match=r"did not answer within 0\.5 s: .* did not come") as caught,
    ):
        ask("localhost", server.port, starttls=protocol, timeout=SHORT, **options)
    assert ("greeting" in str(caught.value)) is (protocol in {"smtp", "imap", "pop3"})


@both_loops
def test_a_server_that_drips_has_no_longer_than_the_deadline(options: dict[str, Any], ask: Ask) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.05)

    with AsyncServer(play) as server, pytest.raises(NetworkError, match=r"within 0\.5 s: a greeting in SMTP"):
        ask("localhost", server.port, starttls="smtp", timeout=SHORT, **options)


# --- without any socket


def _talk(protocol: str, piece: int, limit: int | None = None) -> Prelude:
    """What comes of the honest dialogue in such pieces, up to so many bytes."""
    prelude = starttls(StartTLS(protocol), "localhost")
    for step in HONEST[protocol].steps:
        if isinstance(step, Hear):
            assert prelude.to_send().startswith(step.start)
            continue
        said = step[:limit]
        for start in range(0, len(said), piece):
            prelude.receive(said[start : start + piece])
        if limit is not None:
            limit -= len(said)
            if not limit:
                break
    return prelude


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_same_bytes_in_any_pieces_come_to_the_same(protocol: str) -> None:
    for piece in (1, 2, 3, 7, 1000):
        prelude = _talk(protocol, piece)
        assert prelude.done
        assert prelude.unread == b""
    total = sum(len(step) for step in HONEST[protocol].steps if isinstance(step, bytes))
    for length in range(1, total):
        assert not _talk(protocol, 5, length).done


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_an_end_or_a_network_error(protocol: str, pieces: list[bytes]) -> None:
    prelude = starttls(StartTLS(protocol), "localhost")
    with suppress(NetworkError):
        for piece in pieces:
            if prelude.done:
                break
            prelude.receive(piece)


def test_the_name_in_xmpp_cannot_break_out_of_its_attribute() -> None:
    prelude = starttls(StartTLS.XMPP, "a'\"><evil/>")
    assert b"<evil" not in prelude.to_send()


def test_what_a_peer_said_is_shown_short_and_printable() -> None:
    assert shown(b"a\r\n\x1b[31m\xff") == r"'a\r\n\x1b[31m�'"
    assert len(shown(b"x" * 10_000)) < 130


def test_no_more_than_the_limit_is_kept() -> None:
    prelude = starttls(StartTLS.XMPP, "localhost")
    with pytest.raises(NetworkError, match=f"more than {MAX_BYTES} bytes"):
        prelude.receive(XMPP_HEAD + XMPP_FEATURES + b"x" * MAX_BYTES)
