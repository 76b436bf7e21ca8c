"""Servers that take no file, pointed at the agent: a staple on the first handshake while the CA's responder is down."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caching_house import Place, has_staples
from commands import ROOT, free_port, running

from certtools.ca_dir import CaDir
from certtools.chain import to_pem
from mustaple.agent.config import read_config
from mustaple.core.verdict import Code
from mustaple.net.client import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mustaple.core.verdict import ChainVerdict

EXAMPLES = Path(__file__).parent.parent / "examples/caching-responder"
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
MODULES = "/usr/lib/apache2/modules"
APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
Listen 127.0.0.1:{port}
User {user}
Group {group}
Define APACHE_RUN_DIR {folder}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so
LoadModule ssl_module {modules}/mod_ssl.so
StartServers 1
DocumentRoot {folder}/htdocs
SSLSessionCache none
{stapling}
<VirtualHost 127.0.0.1:{port}>
  SSLEngine on
  SSLUseStapling on
  SSLCertificateFile {folder}/chain.pem
  SSLCertificateKeyFile {folder}/key.pem
</VirtualHost>
"""
CADDY = """
{{
  admin unix//{folder}/admin.sock
  auto_https off
  storage file_system {folder}/caddy
}}
https://localhost:{port} {{
  bind 127.0.0.1
  tls {folder}/chain.pem {folder}/key.pem
  respond "hello"
}}
"""


@contextmanager
def serving(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[None]:
    """A server in the foreground, from when it listens on."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    program = shutil.which(command[0], path=SBIN)
    assert program is not None
    log = folder / "output.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**kept, "HOME": str(folder), **environment},
        )
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def apache(place: Place) -> Iterator[int]:
    """Apache with the stapling of our example, but for the port."""
    root = os.geteuid() == 0
    user = "nobody" if root else pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    stapling = (EXAMPLES / "apache.conf").read_text().replace(":2560", f":{place.port}")
    port = free_port()
    (place.path / "htdocs").mkdir(exist_ok=True)
    filled = APACHE.format(folder=place.path, port=port, user=user, group=group, modules=MODULES, stapling=stapling)
    (place.path / "httpd.conf").write_text(filled)
    with serving(["apache2", "-DFOREGROUND", "-f", str(place.path / "httpd.conf")], port, place.path):
        yield port


@contextmanager
def caddy(place: Place) -> Iterator[int]:
    """Caddy with a proxy for http, as in our example."""
    port = free_port()
    (place.path / "Caddyfile").write_text(CADDY.format(folder=place.path, port=port))
    command = ["caddy", "run", "--config", str(place.path / "Caddyfile"), "--adapter", "caddyfile"]
    proxy = f"http://127.0.0.1:{place.port}"
    with serving(command, port, place.path, HTTP_PROXY=proxy, XDG_DATA_HOME=str(place.path / "xdg")):
        yield port


class Named(Place):
    """A place whose CA's responder has a name that nobody resolves: a proxy is asked for it, or nobody.

    Go's clients, and so Caddy, ask no proxy for what is on loopback. The agent has Caddy reload at each change, as in
    our example: by itself it would go on with a staple that is dead.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, top='responder = "http://127.0.0.1:PORT/"')
        port = free_port()
        script = "test ! -S admin.sock || exec caddy reload --force --address unix//$PWD/admin.sock --adapter caddyfile"
        reload = json.dumps(["sh", "-c", f"cd {path}; {script} --config Caddyfile"])
        deploy = f'[[chain.deploy]]\nkind = "exec"\ncommand = {reload}\n'
        self.config.write_text(self.config.read_text().replace("PORT", str(port)) + deploy)
        url = "http://ocsp.mustaple.invalid/"
        issuer = ROOT.intermediate("named CA", ocsp_urls=[url])
        leaf = issuer.leaf(["localhost"], ocsp_urls=[url])
        shutil.rmtree(path / "ca")
        with CaDir.create(path / "ca", issuer, {"ocsp_url": f"http://127.0.0.1:{port}/"}) as ca:
            ca.record(leaf.certificate)
        (path / "chain.pem").write_bytes(leaf.chain_pem())
        (path / "key.pem").write_bytes(leaf.key_pem())
        (path / "leaf.pem").write_bytes(to_pem([leaf.certificate]))
        self.folder.leaf = leaf


def shake(port: int) -> ChainVerdict:
    return check("localhost", port, "must-staple", ca=ROOT.certificate, address=("127.0.0.1", port))


def codes(verdict: ChainVerdict) -> list[Code]:
    return [reason.code for reason in verdict.all_reasons]


SERVERS: Mapping[str, tuple[Callable[[Place], contextlib.AbstractContextManager[int]], type[Place]]] = {
    "apache2": (apache, Place),
    "caddy": (caddy, Named),
}
each_server = pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.peer(name)) for name in SERVERS])


@each_server
def test_a_staple_on_the_first_handshake_and_over_a_restart_while_the_responder_is_down(
    tmp_path: Path, name: str
) -> None:
    server, kind = SERVERS[name]
    place = kind(tmp_path)
    tmp_path.chmod(0o711)
    with running("agent", place.config) as agent:
        with place.responding():
            has_staples(agent)
        for _ in range(2):
            with server(place) as port:
                verdict = shake(port)
            assert verdict.accepted, verdict.all_reasons
            shutil.rmtree(tmp_path / "caddy", ignore_errors=True)  # what it has kept itself
        assert json.loads(agent.says('"asked"'))["answered"] == "good"


@each_server
def test_without_a_good_staple_it_staples_none_and_no_dead_one(tmp_path: Path, name: str) -> None:
    server, kind = SERVERS[name]
    place = kind(tmp_path)
    tmp_path.chmod(0o711)
    with running("agent", place.config) as agent:
        with place.responding(valid_for=timedelta(seconds=8)):
            has_staples(agent)
        with server(place) as port:
            assert shake(port).accepted
            for _ in range(2):
                agent.says('"died"')
            while codes(shake(port)) != [Code.PROMISE_BROKEN]:  # until Caddy has reloaded
                assert name == "caddy"
        shutil.rmtree(tmp_path / "caddy", ignore_errors=True)
        with server(place) as port:
            assert codes(shake(port)) == [Code.PROMISE_BROKEN]
        assert json.loads(agent.says('"tryLater"'))["severity"] == "warning"


def test_the_example_is_a_configuration_and_says_where_the_servers_look() -> None:
    config = read_config(EXAMPLES / "agent.toml")
    assert config.caching_responder is not None
    assert config.caching_responder.forward == []
    for file in ("apache.conf", "caddy.conf"):
        assert f"http://{config.caching_responder.listen}" in (EXAMPLES / file).read_text()
