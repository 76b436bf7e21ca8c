"""Inspect a TLS server: what it staples for each certificate in both versions, whoever trusts it or not."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.chain import to_pem
from certtools.forge import MUTATIONS
from mustaple.cli.app import run
from mustaple.core.wire import encode_certificate_tls12, vector
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.forge import Scene

    Server = StaplingServer | ChainStaplingServer

TLS13, TLS12 = "TLS 1.3 Certificate, entry {}", "TLS 1.2 CertificateStatus (ocsp_multi), response {}"


class Said(NamedTuple):
    """How the command ended, and its two streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def inspect(at: datetime, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Inspect this target at AT."""

    def call(target: str, *arguments: str | Path) -> Said:
        code = run(["inspect", target, "--at", at.isoformat(), *map(str, arguments)])
        return Said(code, *capfd.readouterr())

    return call


@pytest.fixture
def facts(inspect: Callable[..., Said], trusted: Path) -> Callable[..., dict[str, Any]]:
    """What `inspect --json` says of a server on this port, the test root trusted."""

    def call(server: Server, *arguments: str | Path) -> dict[str, Any]:
        said = inspect(f"localhost:{server.port}", "--json", "--ca", trusted, *arguments)
        assert said.code == 0, said.err
        assert said.err == ""
        value: dict[str, Any] = json.loads(said.out)
        return value

    return call


@pytest.fixture
def trusted(root: Authority, tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(to_pem([root.certificate]))
    return path


def carried(handshake: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    """What carried the staple of each certificate, and as what it was judged."""
    return [(each["carrier"], (each["judgement"] or {}).get("status")) for each in handshake["certificates"]]


def test_every_staple_is_shown_in_both_versions(
    inspect: Callable[..., Said],
    facts: Callable[..., dict[str, Any]],
    leaf: Issued,
    honest: tuple[bytes, bytes],
    trusted: Path,
) -> None:
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, honest) as server:
        found = facts(server)
        said = inspect(f"localhost:{server.port}", "--ca", trusted).out
    assert found["path_problem"] is None
    for handshake, protocol, offered, carrier in zip(
        found["handshakes"], ("TLSv1.3", "TLSv1.2"), ([5], [5, 17]), (TLS13, TLS12), strict=True
    ):
        assert (handshake["protocol"], handshake["offered"], handshake["problem"]) == (protocol, offered, None)
        assert carried(handshake) == [(carrier.format(place), "good") for place in (0, 1)]
        assert [each["promised"] for each in handshake["certificates"]] == [True, False]
    assert [each["subject"] for each in found["documents"]] == ["CN=localhost", "CN=test CA"]
    assert said.startswith(f"localhost:{server.port}: its path is trusted\nTLS 1.3, asked by extension 5 (engine")
    assert "  CN=localhost: good, as promised\n    TLS 1.3 Certificate, entry 0: from 2026-06-01" in said
    assert f"    {TLS12.format(1)}: from 2026-06-01" in said
    assert "must-staple [5]: to a client that takes staples, its server owes\n" in said


def test_what_is_not_stapled_is_said_of_the_certificate_that_lacks_it(
    inspect: Callable[..., Said], facts: Callable[..., dict[str, Any]], leaf: Issued, staple: bytes, trusted: Path
) -> None:
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        tls13, tls12 = facts(server)["handshakes"]
        assert carried(tls13) == [(TLS13.format(0), "good"), (None, None)]
        assert carried(tls12) == [("TLS 1.2 CertificateStatus", "good"), (None, None)]
        server.staple = None
        said = inspect(f"localhost:{server.port}", "--ca", trusted).out
    assert said.count("  CN=localhost: nothing stapled, though a good staple is promised\n") == 2
    assert said.count("  CN=test CA: nothing stapled\n") == 2


def test_a_promise_for_the_chain_is_owed_by_every_certificate(
    facts: Callable[..., dict[str, Any]], root: Authority, intermediate: Authority
) -> None:
    whole = intermediate.leaf(["localhost"], features=(5, 17))
    with ChainStaplingServer((*whole.chain[:-1], root.certificate), whole.key) as server:
        for handshake in facts(server)["handshakes"]:
            assert [each["promised"] for each in handshake["certificates"]] == [True, True, False], "no root is stapled"
            assert not any(each["kept"] for each in handshake["certificates"])


def test_each_staple_is_judged_for_its_own_certificate(
    facts: Callable[..., dict[str, Any]], leaf: Issued, honest: tuple[bytes, bytes], scene: Scene
) -> None:
    for staples, statuses in (
        (honest, ["good", "good"]),
        (honest[::-1], ["unusable", "unusable"]),
        ((MUTATIONS["revoked"](scene), honest[1]), ["revoked", "good"]),
        ((None, honest[1]), [None, "good"]),
    ):
        with ChainStaplingServer(leaf.chain[:-1], leaf.key, staples) as server:
            for handshake in facts(server)["handshakes"]:
                assert [status for _, status in carried(handshake)] == statuses


def test_a_stale_staple_says_since_when_and_why(
    inspect: Callable[..., Said], leaf: Issued, scene: Scene, trusted: Path
) -> None:
    stale = MUTATIONS["expired"](scene)
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, [stale, None]) as server:
        said = inspect(f"localhost:{server.port}", "--ca", trusted).out
    assert "CN=localhost: unusable, though a good staple is promised\n" in said
    assert ": STALE for " in said
    assert "    expired: " in said


def test_a_staple_that_no_library_takes_is_still_shown(
    inspect: Callable[..., Said], leaf: Issued, honest: tuple[bytes, bytes], trusted: Path
) -> None:
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, [b"garbage", honest[1]]) as server:
        said = inspect(f"localhost:{server.port}", "--ca", trusted)
    assert said.code == 0
    tls13, tls12 = said.out.split("TLS 1.2, asked")
    assert (
        "CN=localhost: unusable, though a good staple is promised\n    TLS 1.3 Certificate, entry 0: 7 bytes" in tls13
    )
    assert "  then: " in tls13, "OpenSSL ends the handshake over it"
    assert "  then: " not in tls12


def test_a_root_that_nobody_trusts_is_said_and_stops_nothing(
    inspect: Callable[..., Said], rogue: Authority, tmp_path: Path, leaf: Issued, honest: tuple[bytes, bytes]
) -> None:
    (tmp_path / "rogue.pem").write_bytes(to_pem([rogue.certificate]))
    (tmp_path / "issuer.pem").write_bytes(to_pem([leaf.chain[-1]]))
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, honest) as server:
        target = f"localhost:{server.port}"
        said = inspect(target, "--ca", tmp_path / "rogue.pem")
        named = inspect(target, "--ca", tmp_path / "rogue.pem", "--issuer", tmp_path / "issuer.pem")
        by_default = inspect(target)
    assert (said.code, named.code, by_default.code) == (0, 0, 0)
    for each in (said, named, by_default):
        assert each.out.startswith(f"{target}: its path is not trusted (")
        assert "  CN=localhost: good, as promised\n" in each.out
    assert "  CN=test CA: a staple that nobody can judge without the certificate that signed it" in said.out
    assert "  CN=test CA: good\n" in named.out, "who signed it is told, and still not trusted"


def test_a_version_that_is_not_spoken_is_said(inspect: Callable[..., Said], leaf: Issued, staple: bytes) -> None:
    for version, silent in (("1.2", "TLS 1.3"), ("1.3", "TLS 1.2")):
        with StaplingServer(leaf.chain[:-1], leaf.key, staple, minimum=version, maximum=version) as server:
            said = inspect(f"localhost:{server.port}")
        assert said.code == 0
        assert said.out.count("  nothing seen: ") == 1
        assert said.out.index("nothing seen") > said.out.index(f"\n{silent}, asked")
        assert said.out.count("CN=localhost: good") == 1


def test_the_server_sees_a_name_and_a_polite_end(
    inspect: Callable[..., Said], leaf: Issued, honest: tuple[bytes, bytes]
) -> None:
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, honest) as server:
        assert inspect("localhost:1", "--connect", f"127.0.0.1:{server.port}").code == 0
        for _ in range(2):
            record = server.next_record()
            assert (record.server_name, record.ended.value, record.alert) == ("localhost", "completed", None)


# a file, a server, or neither


def test_a_file_that_is_there_wins(
    inspect: Callable[..., Said],
    leaf: Issued,
    staple: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        target = f"localhost:{server.port}"
        assert inspect(target).out.startswith(f"{target}: ")
        (tmp_path / target).write_bytes(to_pem([leaf.certificate]))
        assert inspect(target).out.startswith("Certificate: CN=localhost\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere.pem",), "cannot read the file nowhere.pem"),
        (("localhost:0",), "cannot read the file localhost:0"),
        (("root.pem", "--ca", "root.pem"), "a file takes --issuer"),
        (("root.pem", "--connect", "localhost:1"), "a file takes --issuer"),
        (("localhost:1", "--ca", "nowhere.pem"), "nowhere.pem cannot be read"),
        (("localhost:1", "--timeout", "soon"), "not a span of time"),
    ],
)
def test_what_is_of_no_use_is_one_line(
    inspect: Callable[..., Said],
    trusted: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(trusted.parent)
    one_line(inspect(*arguments), 2, words)


def test_nobody_there_is_3(inspect: Callable[..., Said]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    one_line(inspect(f"localhost:{port}"), 3, f"localhost:{port}: connection refused")


@contextmanager
def answering(*, data: bytes | None) -> Iterator[int]:
    """A port where everybody gets these bytes and the end, or nothing at all until the end; its number."""
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        taken = []
        while not done.is_set():
            peer, _ = listener.accept()
            taken.append(peer)
            if data is not None:
                with suppress(OSError):  # the client may have heard enough
                    peer.recv(65536)
                    peer.sendall(data)
                    peer.shutdown(socket.SHUT_WR)
        for peer in taken:
            peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        with socket.create_connection(listener.getsockname()) as last:
            last.sendall(b"the end")
            thread.join(30)
        listener.close()


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", bytes(100)], ids=["HTTP", "none", "zeros"])
def test_what_is_no_tls_is_3(inspect: Callable[..., Said], data: bytes) -> None:
    with answering(data=data) as port:
        one_line(inspect(f"localhost:{port}"), 3, f"localhost:{port}: ")


def test_silence_is_3(inspect: Callable[..., Said]) -> None:
    with answering(data=None) as port:
        one_line(inspect(f"localhost:{port}", "--timeout", "0.5s"), 3, "the server did not answer within 0.5 s")


def one_line(said: Said, code: int, words: str) -> None:
    assert said.code == code, said
    assert words in said.err
    assert len(said.err.splitlines()) == 1, said.err
    assert said.out == ""


def test_a_flood_is_3(inspect: Callable[..., Said]) -> None:
    hello = b"\x03\x03" + bytes(32) + b"\0\xc0\x2b\0"
    messages = b"\x02" + vector(hello, 3) + b"\x0b" + vector(encode_certificate_tls12([bytes(1 << 20)]), 3)
    parts = (messages[start : start + 16384] for start in range(0, len(messages), 16384))
    with answering(data=b"".join(b"\x16\x03\x03" + vector(part, 2) for part in parts)) as port:
        one_line(inspect(f"localhost:{port}"), 3, "the server's flight is longer than 1048576 bytes")


# hostile certificates


def test_a_certificate_that_cannot_be_read_is_said(
    inspect: Callable[..., Said], leaf: Issued, honest: tuple[bytes, bytes], trusted: Path
) -> None:
    with ChainStaplingServer(leaf.chain[:-1], leaf.key, honest) as server:
        credentials = server._credentials
        credentials.certificates = (credentials.certificates[0], b"\x30\x03\x02\x01\x05")
        said = inspect(f"localhost:{server.port}", "--ca", trusted)
    assert said.code == 0, said.err
    assert "its path is not trusted (" in said.out
    assert "  a certificate that cannot be read: a staple that nobody can judge" in said.out


def test_a_broken_feature_list_promises_nothing_and_is_said(
    inspect: Callable[..., Said], leaf: Issued, staple: bytes, trusted: Path
) -> None:
    der, promise = leaf.certificate.public_bytes(Encoding.DER), bytes.fromhex("06082b0601050507011804053003020105")
    assert promise in der
    broken = x509.load_der_x509_certificate(der.replace(promise, promise[:-3] + b"\x0c\x01\x35"))
    with StaplingServer((broken, *leaf.chain[1:-1]), leaf.key, staple) as server:
        said = inspect(f"localhost:{server.port}", "--ca", trusted)
    assert said.code == 0, said.err
    assert "promised" not in said.out
    assert "TLS Feature: The TLS Feature extension is malformed" in said.out
    assert "its path is not trusted (cert signature failure" in said.out
