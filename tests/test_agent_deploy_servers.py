"""nginx, lighttpd, hitch and gnutls-serv staple what they are given, no more than that, or it is undone and said."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deploy_house import Certificate, free_port, give, running, target, unprivileged, wait_for_file

from mustaple.agent.deploy.gnutls import GnutlsDeployment
from mustaple.agent.deploy.hitch import HitchDeployment
from mustaple.agent.deploy.lighttpd import LighttpdDeployment
from mustaple.agent.deploy.nginx import NginxDeployment
from mustaple.agent.deploy.verify import verify
from mustaple.agent.events import Kind, Severity
from mustaple.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.agent.deploy.contract import Deployment
    from mustaple.agent.handover import Target

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log info; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port} ssl; include {folder}/live/*.conf; location / {{ return 200 "well"; }} }}
}}
"""
LIGHTTPD = """
server.document-root = "{folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.pid-file = "{folder}/pid"
server.errorlog = "{folder}/error.log"
server.modules = ("mod_openssl")
ssl.engine = "enable"
ssl.pemfile = "{folder}/live/chain.pem"
ssl.privkey = "{folder}/live/key.pem"
ssl.stapling-file = "{folder}/live/leaf.der"
"""
HITCH = """
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:9"
workers = 1
daemon = off
user = "{user}"
pem-file = "{folder}/site.pem"
ocsp-dir = "{folder}/ocsp"
"""
# A server that reads its files when it starts, and somebody who starts it again.
GNUTLS = """
cd {folder}
while :; do
  set --
  for staple in live/staple-*.der; do test ! -s "$staple" || set -- "$@" --ocsp-response "$staple"; done
  gnutls-serv --quiet --http --port {port} --x509keyfile live/key.pem --x509certfile live/chain.pem "$@" &
  echo $! >new.pid && mv new.pid pid
  wait $!
done
"""
CONFIGURATIONS = {"nginx": NGINX, "lighttpd": LIGHTTPD, "hitch": HITCH, "gnutls": GNUTLS}
SIGNALS = {"nginx": "HUP", "lighttpd": "USR1", "hitch": "HUP"}
BEHIND = files("mustaple.lab.grade_server") / "programs" / "behind.py"


class House:
    """One of the servers, with the deployment for it; the agent writes certificate and key too."""

    def __init__(self, server: str, folder: Path) -> None:
        self.server, self.folder, self.port = server, folder, free_port()
        self.old, self.new = Certificate(folder, "old"), Certificate(folder, "new")
        self.live, self.ocsp = folder / "live", folder / "ocsp"
        self.ocsp.mkdir()
        folder.chmod(0o755)
        words = {"folder": folder, "port": self.port, "user": unprivileged()}
        (folder / "configuration").write_text(CONFIGURATIONS[server].format(**words))
        self._stack = ExitStack()

    def start(self) -> None:
        configuration = str(self.folder / "configuration")
        command = {
            "nginx": ["nginx", "-e", f"{self.folder}/error.log", "-c", configuration],
            "lighttpd": ["lighttpd", "-D", "-f", configuration],
            "hitch": ["hitch", f"--config={configuration}", f"--pidfile={self.folder}/pid"],
            "gnutls": [sys.executable, str(BEHIND), str(self.port), "sh", configuration],
        }[self.server]
        self._stack.enter_context(running(command, self.folder, self.port))
        wait_for_file(self.folder / "pid")

    def stop(self) -> None:
        self._stack.close()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "pid").unlink()

    def settings(self, **more: Any) -> Deployment:
        common = {"verify": f"localhost:{self.port}", "patience": 8, **more}
        told = common if {"pid_file", "reload"} & common.keys() else common | {"pid_file": self.folder / "pid"}
        if self.server == "nginx":
            return NginxDeployment(kind="nginx", directory=self.live, **told)
        if self.server == "lighttpd":
            return LighttpdDeployment(kind="lighttpd", directory=self.live, **told)
        if self.server == "hitch":
            return HitchDeployment(kind="hitch", pem=self.folder / "site.pem", ocsp_dir=self.ocsp, **told)
        pid = self.folder / "pid"
        # One that ended by itself reads the files before or after: only one that runs surely does so after.
        restart = ["sh", "-c", f"test ! -e {pid} || until kill $(cat {pid}) 2>/dev/null; do sleep 0.02; done"]
        common.pop("may_be_down", None)
        return GnutlsDeployment(kind="gnutls", directory=self.live, reload=restart, serves="chain", **common)

    def target(self, **more: Any) -> Target:
        return target(self.settings(**more))

    def staples(self) -> list[bytes]:
        """The staples that lie where the server looks for them."""
        folder = self.ocsp if self.server == "hitch" else self.live
        return [each.read_bytes() for each in folder.iterdir() if each.suffix == ".der" or len(each.name) == 32]


def peers(server: str) -> tuple[pytest.MarkDecorator, ...]:
    if server == "gnutls":
        return (pytest.mark.peer("gnutls-serv", "network namespace"),)
    return (pytest.mark.peer(server),)


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    # pytest's own folders are closed to the user that a server becomes.
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        made = House(request.param, Path(folder))
        yield made
        made.stop()


every_server = pytest.mark.parametrize(
    "house", [pytest.param(each, marks=peers(each)) for each in CONFIGURATIONS], indirect=True
)
signalled = pytest.mark.parametrize(
    "house", [pytest.param(each, marks=peers(each)) for each in CONFIGURATIONS if each != "gnutls"], indirect=True
)


@every_server
def test_staples_are_there_at_the_first_handshake_after_each_deployment_and_over_a_restart(house: House) -> None:
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    to = house.target()
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    assert give(to, house.old.site, house.old.staples(1)).kind is Kind.DEPLOYED, "the next staple"
    assert give(to, house.new.site, house.new.staples()).kind is Kind.DEPLOYED, "the next certificate"
    house.stop()
    house.start()
    assert give(house.target(), house.new.site, house.new.staples()).kind is Kind.DEPLOYED


@every_server
def test_what_is_withdrawn_is_served_no_more(house: House) -> None:
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    to = house.target()
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    event = give(to, house.old.site, (None, None))
    assert (event.kind, event.message.endswith("has no staple any more")) == (Kind.DEPLOYED, True), event.message
    assert house.staples() == []
    assert give(to, house.old.site, house.old.staples(1)).kind is Kind.DEPLOYED, "and it can have one again"


@every_server
def test_what_is_not_served_is_rolled_back_and_reported(house: House) -> None:
    """Its configuration looks elsewhere, as after a wrong path: here the agent writes where nobody reads."""
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    assert give(house.target(), house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    wrong = target(_elsewhere(house))
    event = give(wrong, house.old.site, house.old.staples(1))
    assert (event.kind, event.severity) == (Kind.NOT_DEPLOYED, Severity.ERROR)
    assert "serves another staple for CN=localhost; rolled back" in event.message
    assert give(house.target(), house.old.site, house.old.staples()).kind is Kind.DEPLOYED, "what was there serves on"


def _elsewhere(house: House) -> Deployment:
    other = house.folder / "elsewhere"
    other.mkdir()
    paths = {"directory": other / "live"}
    if house.server == "hitch":
        paths = {"ocsp_dir": other}
    return house.settings(patience=1).model_copy(update=paths)


@every_server
def test_a_server_that_refuses_what_it_was_given_serves_on_what_was_there_before(house: House) -> None:
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    to = house.target(patience=3)
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    # With the same CA's staple: where one of those is missing nothing is brought back.
    event = give(to, house.new.site, (b"no response", house.old.staples()[1]))
    assert (event.kind, event.severity) == (Kind.NOT_DEPLOYED, Severity.ERROR)
    assert event.message.endswith("; rolled back"), event.message
    verify(house.settings(), house.old.site, house.old.staples())
    event = give(to, house.new.site, (house.new.staples()[0], house.old.staples()[1]))
    assert event.kind is Kind.DEPLOYED, event.message


@every_server
def test_a_key_that_is_another_certificates_is_given_to_nobody(house: House) -> None:
    """As when one of two files is renewed already: some servers end when they are made to read that."""
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    event = give(house.target(), replace(house.new.site, key=house.old.key), house.new.staples())
    assert event.message.endswith(f"{house.old.key} is not the key of CN=localhost")
    assert give(house.target(), house.old.site, house.old.staples()).kind is Kind.DEPLOYED


@signalled
def test_a_server_that_does_not_run_is_reported_unless_it_may_be_down(house: House) -> None:
    said = f"{house.server} does not run: there is no process of {house.folder / 'pid'}"
    event = give(house.target(verify=None), house.old.site, house.old.staples())
    assert (event.kind, said in event.message) == (Kind.NOT_DEPLOYED, True), event.message
    (house.folder / "pid").write_text(f"{os.getpid()}\n")
    event = give(house.target(verify=None), house.old.site, house.old.staples())
    assert f"process {os.getpid()}" in event.message, "nobody else is sent a signal that would end him"
    (house.folder / "pid").write_text("none\n")
    event = give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    assert event.message.endswith("pid holds no process number")
    (house.folder / "pid").unlink()
    event = give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    assert event.kind is Kind.DEPLOYED


@signalled
def test_what_the_server_did_not_take_up_it_is_told_again(house: House) -> None:
    """A withdrawal is never undone, so that the next attempt finds the files as they should be."""
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    deaf = house.folder / "deaf"
    command = ["sh", "-c", f"test -e {deaf} || kill -{SIGNALS[house.server]} $(cat {house.folder}/pid)"]
    to = house.target(reload=command, patience=1)
    assert give(to, house.old.site, house.old.staples()).kind is Kind.DEPLOYED
    deaf.touch()
    event = give(to, house.old.site, (None, None))
    assert (event.kind, event.severity) == (Kind.NOT_DEPLOYED, Severity.CRITICAL)
    deaf.unlink()
    assert give(to, house.old.site, (None, None)).kind is Kind.DEPLOYED


@signalled
def test_a_reload_that_failed_is_tried_again_and_one_that_did_not_is_not(house: House) -> None:
    log = house.folder / "log"
    command = ["sh", "-c", f"echo x >>{log}; test -e {house.folder}/well || {{ echo no server; exit 3; }}"]
    event = give(house.target(verify=None, reload=command), house.old.site, house.old.staples())
    assert event.message.endswith("sh ended with 3: no server")
    (house.folder / "well").touch()
    for _ in range(2):
        assert (
            give(house.target(verify=None, reload=command), house.old.site, house.old.staples()).kind is Kind.DEPLOYED
        )
    assert log.read_text() == "x\nx\n"


@pytest.mark.parametrize("house", [pytest.param("hitch", marks=peers("hitch"))], indirect=True)
def test_the_workers_of_hitch_see_the_next_staple_without_a_reload(house: House) -> None:
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    reloads = house.folder / "reloads"
    command = ["sh", "-c", f"echo x >>{reloads}; kill -HUP $(cat {house.folder}/pid)"]
    to = house.target(reload=command)
    assert give(to, house.old.site, house.old.staples(1)).kind is Kind.DEPLOYED
    assert not reloads.exists()


@pytest.mark.parametrize("house", [pytest.param("hitch", marks=peers("hitch"))], indirect=True)
def test_what_hitch_fetched_by_itself_is_withdrawn_too(house: House) -> None:
    give(house.target(verify=None, may_be_down=True), house.old.site, house.old.staples())
    house.start()
    to = house.target()
    (name,) = (each for each in house.ocsp.iterdir() if len(each.name) == 32)
    assert give(to, house.old.site, (None, None)).kind is Kind.DEPLOYED
    name.write_bytes(house.old.staples(1)[0])
    verify(house.settings(), house.old.site, house.old.staples(1))
    assert give(house.target(), house.old.site, (None, None)).kind is Kind.DEPLOYED


@pytest.mark.parametrize("house", [pytest.param("nginx", marks=peers("nginx"))], indirect=True)
def test_nginx_is_told_of_no_file_that_is_not_there(house: House) -> None:
    to = house.target(verify=None, may_be_down=True)
    give(to, house.old.without_key, house.old.staples())
    snippet = (house.live / "site.conf").read_text().splitlines()
    assert snippet[1:] == ["ssl_stapling on;", f'ssl_stapling_file "{house.live}/leaf.der";']
    give(to, house.old.without_key, (None, None))
    assert (house.live / "site.conf").read_text().splitlines()[1:] == []


def test_a_folder_that_nginx_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    for name in ('a"b', "a$b", "a;}\n"):
        settings = NginxDeployment(kind="nginx", directory=tmp_path / name, pid_file=Path("pid"))
        with pytest.raises(InputError, match="nginx cannot be told of"):
            settings.deployer("site")


@pytest.mark.peer("setpriv")
@pytest.mark.peer("root")  # nobody else can start another user's process
def test_a_signal_that_is_not_allowed_is_reported_as_such(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from mustaple.agent.deploy.reloading import signal_server\n"
        "try: signal_server(Path(sys.argv[1]), signal.SIGHUP, 'sleep')\n"
        "except Exception as error: print(error)\n"
    )
    pid_file = tmp_path / "pid"
    powerless = ["setpriv", "--bounding-set", "-kill", sys.executable, "-c", script, str(pid_file)]
    with subprocess.Popen(["sleep", "60"], user="nobody") as somebody:
        try:
            pid_file.write_text(f"{somebody.pid}\n")
            done = subprocess.run(powerless, capture_output=True, text=True, timeout=60, check=True)
        finally:
            somebody.kill()
    assert done.stdout == f"sleep cannot be told, by {pid_file}: Operation not permitted; or name a command, `reload`\n"
