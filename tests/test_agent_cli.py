"""`mustaple agent` and `run-once` as programs: events, status, metrics, health, signals, alarms, systemd."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import Folder, free_port, run, running
from prometheus_client.parser import text_string_to_metric_families

from mustaple.net.responder import ResponderServer

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parent.parent / "examples/systemd/mustaple-agent.service"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, above=True)


@contextmanager
def responding(folder: Folder) -> Iterator[ResponderServer]:
    with ResponderServer.of_directory(folder.path) as server:
        yield server


def config(folder: Folder, text: str = "") -> Path:
    file = folder.path / "agent.toml"
    file.write_text(
        f'store = "kept"\nrescan = "200ms"\nsettle = "100ms"\n{text}\n[refresh]\nfirst_backoff = "100ms"\n'
        '[[chain]]\nname = "site"\ncertificates = ["chain.pem"]\nissuers = ["root.pem"]\nkey = "key.pem"\n'
        '[[chain.deploy]]\nkind = "files"\ndirectory = "live"\n'
    )
    return file


def get(port: int, path: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_run_once_fetches_deploys_and_ends_and_status_shows_it(folder: Folder) -> None:
    file = config(folder)
    with responding(folder):
        done = run("run-once", file)
    assert done.returncode == 0, done.stderr
    assert "info: CN=localhost: stapling good, until" in done.stderr
    assert (folder.path / "live/leaf.der").exists()
    shown = run("agent", "status", file)
    assert shown.returncode == 0
    heading, *rows = shown.stdout.splitlines()
    assert heading.split("  ")[0] == "certificate"
    assert any(row.startswith("CN=localhost (must-staple)  good") for row in rows)
    state = json.loads(run("agent", "status", file, "--json").stdout)
    assert {row["status"] for row in state["certificates"]} == {"good"}
    assert state["targets"][0]["staples"] == 2
    again = run("agent", file, "--once")
    assert again.returncode == 0, "nothing is due, so nobody is asked, and nobody is missed"


def test_run_once_says_by_its_exit_code_what_is_wrong(folder: Folder) -> None:
    file = config(folder)
    assert run("run-once", file).returncode == 3, "nobody is there"
    folder.revoke()
    shutil.rmtree(folder.path / "kept")
    with responding(folder):
        done = run("run-once", file)
    assert done.returncode == 1
    assert "critical: CN=localhost: REVOKED: revoked " in done.stderr
    assert not (folder.path / "live").exists()


def test_wrong_usage_is_told_in_one_line(folder: Folder) -> None:
    assert run("agent", "status").stderr == "mustaple: name the configuration: mustaple agent status CONFIG\n"
    nothing = run("agent", "status", config(folder))
    assert (nothing.returncode, "has not run yet" in nothing.stderr) == (2, True)
    bad = run("run-once", config(folder, "stor = 1"))
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "stor: there is no such key; did you mean store?" in bad.stderr
    assert json.loads(run("agent", "schema").stdout)["$id"] == "urn:mustaple-agent:1"


def test_the_agent_runs_shows_itself_and_ends_in_order(folder: Folder) -> None:
    port = free_port()
    file = config(folder, f'listen = "127.0.0.1:{port}"\nlog = "json"')
    with running("agent", file) as agent:
        agent.says("metrics at")
        failed = json.loads(agent.says('"failed"'))
        assert (failed["severity"], failed["subject"]) == ("error", "CN=localhost")
        with responding(folder):
            stapled = json.loads(agent.says('"deployed"'))
            assert "2 of 2 staples" in stapled["message"] or "1 of 2 staples" in stapled["message"]
            metrics = wait_for_staples(port)
            assert {sample.labels["certificate"] for sample in metrics["mustaple_agent_staple_dies_seconds"]} == {
                "CN=localhost",
                "CN=cli CA",
            }
            assert all(0 < sample.value <= 86_400 for sample in metrics["mustaple_agent_staple_dies_seconds"])
            status, health = get(port, "/health")
            assert (status, json.loads(health)["status"]) == (200, "ok")
            assert json.loads(get(port, "/status")[1])["format"] == "mustaple agent state"
            assert get(port, "/else")[0] == 404
        second = run("run-once", file)
        assert (second.returncode, "another agent uses" in second.stderr) == (2, True)
        assert agent.end() == 0
    assert json.loads((folder.path / "kept/state.json").read_text())["certificates"][0]["status"] == "good"


def wait_for_staples(port: int) -> dict[str, list[Any]]:
    """The metrics, once both certificates are seen to be good."""
    while True:
        page = get(port, "/metrics")[1].decode()
        metrics = {family.name: family.samples for family in text_string_to_metric_families(page)}
        good = [each for each in metrics.get("mustaple_agent_certificates", []) if each.labels["status"] == "good"]
        if sum(each.value for each in good) == 2:
            return metrics


def test_a_renewal_is_picked_up_by_itself_and_sighup_forgets_back_offs(folder: Folder) -> None:
    file = config(folder)
    file.write_text(file.read_text().replace('first_backoff = "100ms"', 'first_backoff = "1h"'))
    with running("agent", file) as agent:
        agent.says("waits for its staple")
        with responding(folder):
            agent.process.send_signal(signal.SIGHUP)
            agent.says("files ")
            before = (folder.path / "live/chain.pem").read_bytes()
            renewed = new_leaf(folder)
            (folder.path / "chain.pem").write_bytes(renewed)
            agent.says("site: renewed in")
            agent.says("files ")
        assert (folder.path / "live/chain.pem").read_bytes() == renewed != before
        assert agent.end(signal.SIGINT) == 0


def new_leaf(folder: Folder) -> bytes:
    """A new certificate for the same key, on the CA's register."""
    from certtools.ca_dir import CaDir

    with CaDir.open(folder.path) as ca:
        issued = ca.issuing.leaf(["localhost"], key=folder.leaf.key, ocsp_urls=[folder.url])
        ca.record(issued.certificate)
        return issued.chain_pem()


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        with running("agent", config(folder)) as agent:
            assert listener.recv(1000).startswith(b"READY=1")
            assert listener.recv(1000) == b"WATCHDOG=1"
            assert agent.end() == 0
            said = b""
            while said != b"STOPPING=1":
                said = listener.recv(1000)
                assert said in {b"WATCHDOG=1", b"STOPPING=1"}


def test_alarms_reach_the_operators_command(folder: Folder) -> None:
    log = folder.path / "alarms"
    script = f'echo "$MUSTAPLE_EVENT $MUSTAPLE_SEVERITY $MUSTAPLE_SUBJECT" >>{log}'
    file = config(folder)
    file.write_text(file.read_text() + f"[alarm]\ncommand = {json.dumps(['sh', '-c', script])}\n")
    folder.revoke()
    with responding(folder):
        run("run-once", file)
    assert "revoked critical CN=localhost" in log.read_text().splitlines()


@pytest.mark.peer("systemd-analyze")
def test_the_unit_is_one_that_systemd_takes_and_its_sandbox_is_tight(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/mustaple", "/bin/true"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert UNIT.name not in verified.stderr, verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-300:]
