"""Real servers that begin in clear, and a real proxy: reached, and refused for the staple that they do not send."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import free_port
from strict_client import both_loops

from certtools.chain import to_pem
from mustaple.core.errors import NetworkError
from mustaple.core.verdict import Code
from mustaple.net.client import check
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from certtools.authority import Authority, Issued
    from mustaple.core.verdict import ChainVerdict

    Ask = Callable[..., ChainVerdict]

POSTGRESQL = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nothing"), key=lambda path: path.parts[-2])
SLOW = 60.0  # seconds that a server has to come up


@pytest.fixture(scope="module")
def options(root: Authority, at: datetime) -> dict[str, Any]:
    return {"ca": root.certificate, "at": at, "wait": SLOW}


@pytest.fixture(scope="module")
def home(leaf: Issued) -> Iterator[Path]:
    """A folder that servers which give up being root can read, with `chain.pem` and `key.pem`."""
    with tempfile.TemporaryDirectory(prefix="mustaple-peers-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "chain.pem").write_bytes(to_pem(leaf.chain[:-1]))
        (folder / "key.pem").write_bytes(leaf.key_pem())
        yield folder


@contextlib.contextmanager
def _running(*command: object, **more: Any) -> Iterator[None]:
    """The server in the foreground, ended at the end."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*map(str, command)], **{**quiet, **more}) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _reaches(ask: Ask, protocol: str, port: int, options: dict[str, Any]) -> None:
    """Accepted by who asks for no staple, and refused, for that alone, by who does."""
    verdict = ask("localhost", port, "ignore", starttls=protocol, **options)
    assert verdict.accepted
    verdict = ask("localhost", port, "must-staple", starttls=protocol, **options)
    assert [reason.code for reason in verdict.all_reasons] == [Code.PROMISE_BROKEN]


# --- OpenLDAP


@pytest.fixture(scope="module")
def slapd(home: Path) -> Iterator[int]:
    port = free_port()
    (home / "slapd.conf").write_text(
        f"pidfile {home}/slapd.pid\nTLSCertificateFile {home}/chain.pem\nTLSCertificateKeyFile {home}/key.pem\n"
    )
    with _running("slapd", "-d", "0", "-h", f"ldap://127.0.0.1:{port}", "-f", home / "slapd.conf"):
        yield port


@pytest.mark.peer("slapd")
@both_loops
def test_openldap_is_reached(slapd: int, options: dict[str, Any], ask: Ask) -> None:
    _reaches(ask, "ldap", slapd, options)


@pytest.mark.peer("slapd")
def test_openldap_without_a_certificate_refuses(home: Path, options: dict[str, Any]) -> None:
    port = free_port()
    (home / "bare.conf").write_text(f"pidfile {home}/bare.pid\n")
    with (
        _running("slapd", "-d", "0", "-h", f"ldap://127.0.0.1:{port}", "-f", home / "bare.conf"),
        pytest.raises(NetworkError, match="refuses STARTTLS: 'unsupported extended operation'"),
    ):
        check("localhost", port, starttls="ldap", **options)


# --- Dovecot


@pytest.fixture(scope="module")
def dovecot(home: Path) -> Iterator[dict[str, int]]:
    ports = {"imap": free_port(), "pop3": free_port()}
    (home / "dovecot.conf").write_text(
        f"base_dir = {home}/dovecot\nlog_path = /dev/null\nlisten = 127.0.0.1\nprotocols = imap pop3\n"
        f"ssl = yes\nssl_cert = <{home}/chain.pem\nssl_key = <{home}/key.pem\n"
        "passdb {\n  driver = static\n  args = nopassword=y\n}\n"
        + "".join(
            f"service {name}-login {{\n  inet_listener {name} {{\n    port = {port}\n  }}\n"
            f"  inet_listener {name}s {{\n    port = 0\n  }}\n}}\n"
            for name, port in ports.items()
        )
    )
    with _running("dovecot", "-F", "-c", home / "dovecot.conf"):
        yield ports


@pytest.mark.peer("dovecot")
@both_loops
@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_dovecot_is_reached(dovecot: dict[str, int], options: dict[str, Any], ask: Ask, protocol: str) -> None:
    _reaches(ask, protocol, dovecot[protocol], options)


@pytest.mark.peer("dovecot")
def test_dovecot_is_not_what_it_is_not(dovecot: dict[str, int], options: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match=r"does not speak SMTP: it said '\* OK"):
        check("localhost", dovecot["imap"], starttls="smtp", **options)
    with pytest.raises(NetworkError, match=r"does not speak IMAP: it said '\+OK"):
        check("localhost", dovecot["pop3"], starttls="imap", **options)


# --- PostgreSQL


@pytest.fixture(scope="module")
def postgresql(home: Path) -> Iterator[int]:
    port, folder = free_port(), home / "postgresql"
    folder.mkdir(mode=0o700)
    own = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()  # it does not run as root
    shutil.copy(home / "key.pem", folder.with_suffix(".key"))
    folder.with_suffix(".key").chmod(0o600)
    if own:
        for path in (folder, folder.with_suffix(".key")):
            shutil.chown(path, "postgres")
    make = (*own, POSTGRESQL / "initdb", "--no-sync", "--auth=trust", "-D", folder)
    subprocess.run([*map(str, make)], check=True, capture_output=True, cwd="/")
    told = {
        "ssl": "on",
        "ssl_cert_file": home / "chain.pem",
        "ssl_key_file": folder.with_suffix(".key"),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
    }
    settings = [text for name, value in told.items() for text in ("-c", f"{name}={value}")]
    with _running(*own, POSTGRESQL / "postgres", "-D", folder, "-p", port, *settings, cwd="/"):
        yield port


@pytest.mark.peer("postgresql")
@both_loops
def test_postgresql_is_reached(postgresql: int, options: dict[str, Any], ask: Ask) -> None:
    _reaches(ask, "postgresql", postgresql, options)


# --- SMTP: aiosmtpd, which is Python's


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@both_loops
@pytest.mark.parametrize("offers", [True, False])
def test_aiosmtpd_is_reached(home: Path, options: dict[str, Any], ask: Ask, offers: bool) -> None:
    import ssl

    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "chain.pem", home / "key.pem")
    controller = Controller(Sink(), "127.0.0.1", free_port(), tls_context=context if offers else None)
    controller.start()
    try:
        if offers:
            _reaches(ask, "smtp", controller.port, options)
        else:
            with pytest.raises(NetworkError, match="does not offer STARTTLS in SMTP"):
                ask("localhost", controller.port, starttls="smtp", **options)
    finally:
        controller.stop()


# --- Prosody


@pytest.mark.peer("prosody")
@both_loops
def test_prosody_is_reached(home: Path, options: dict[str, Any], ask: Ask) -> None:
    port = free_port()
    (home / "prosody.cfg.lua").write_text(
        f"""
        run_as_root = true
        daemonize = false
        pidfile = "{home}/prosody.pid"
        data_path = "{home}/prosody"
        modules_enabled = {{ "tls"; }}
        modules_disabled = {{ "s2s"; }}
        c2s_interfaces = {{ "127.0.0.1" }}
        c2s_ports = {{ {port} }}
        c2s_direct_tls_ports = {{}}
        s2s_ports = {{}}
        ssl = {{ certificate = "{home}/chain.pem"; key = "{home}/key.pem"; }}
        log = {{ error = "*console"; }}
        VirtualHost "localhost"
        """
    )
    with _running("prosody", "-F", "--config", home / "prosody.cfg.lua"):
        _reaches(ask, "xmpp", port, options)


# --- through tinyproxy


@pytest.mark.peer("tinyproxy")
@both_loops
def test_tinyproxy_opens_a_tunnel_to_who_may(
    home: Path, leaf: Issued, staple: bytes, options: dict[str, Any], ask: Ask
) -> None:
    port = free_port()
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        (home / "tinyproxy.conf").write_text(
            f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nConnectPort {server.port}\nBasicAuth user secret\n"
        )
        with _running("tinyproxy", "-d", "-c", home / "tinyproxy.conf"):
            proxy = f"http://user:secret@127.0.0.1:{port}"
            assert ask("localhost", server.port, "must-staple", proxy=proxy, **options).accepted
            assert server.next_record().server_name == "localhost"
            with pytest.raises(NetworkError, match="does not connect to localhost:1: 403"):
                ask("localhost", 1, proxy=proxy, **options)
            with pytest.raises(NetworkError, match="asks for a user and a password: 407"):
                ask("localhost", server.port, proxy=f"http://127.0.0.1:{port}", **options)
            with pytest.raises(NetworkError, match=r"does not connect to .*: 401 'Unauthorized'"):
                ask("localhost", server.port, proxy=proxy.replace("secret", "wrong"), **options)
