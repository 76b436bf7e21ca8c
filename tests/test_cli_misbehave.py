"""`mustaple responder --misbehave` and `mustaple serve --case` as processes, and what they do not take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from commands import Folder, run, running

from certtools.chain import load_certificates
from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status
from mustaple.lab.misbehaviour import BEHAVIOURS
from mustaple.net.client import check
from mustaple.net.fetch import fetch_ocsp

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def status(folder: Folder) -> Status:
    return judge(fetch_ocsp(folder.link).body, folder.link, datetime.now(UTC)).status


def test_the_responder_misbehaves_and_is_told_otherwise_while_it_runs(folder: Folder) -> None:
    options = ("--misbehave", "revoked@every=2", "--control", 0)
    with running("responder", folder.path, *options) as responder:
        line = responder.ready()
        control = line.partition("control at ")[2].split()[0]
        assert [status(folder) for _ in range(4)] == [Status.GOOD, Status.REVOKED] * 2
        assert "misbehaving: revoked@every=2 HTTP 200" in responder.says("misbehaving")
        assert httpx.get(control, trust_env=False).json()["requests"] == 4
        changed = httpx.put(control, json={"misbehave": ["reset"]}, trust_env=False)
        assert changed.json()["misbehave"] == ["reset"]
        with pytest.raises(NetworkError):
            status(folder)
        assert httpx.put(control, json={"misbehave": ["nonsense"]}, trust_env=False).status_code == 400
        httpx.put(control, json={"misbehave": []}, trust_env=False)
        assert status(folder) is Status.GOOD
        assert responder.end() == 0


def test_the_misbehaviours_are_listed() -> None:
    listed = run("responder", "--list-misbehaviours")
    assert listed.returncode == 0
    names = [line.split()[0].partition("=")[0] for line in listed.stdout.splitlines()]
    assert names == list(BEHAVIOURS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--misbehave", "slwo"), "there is no misbehaviour 'slwo'; is it slow?"),
        (("--misbehave", "slow@after=x"), "@after=x is no condition"),
        (("--misbehave", "slow", "--host", "0.0.0.0"), "add --i-know"),
        (("--misbehave", "slow", "--host", "0.0.0.0", "--expose"), "add --i-know"),
        (("--control", 0, "--host", "0.0.0.0"), "add --i-know"),
        (("--i-know",), "--i-know is for --misbehave and --control"),
    ],
)
def test_the_responder_says_in_one_line_what_it_does_not_do(
    folder: Folder, options: tuple[object, ...], words: str
) -> None:
    ended = run("responder", folder.path, *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_server_misbehaves(folder: Folder) -> None:
    with running("serve", folder.path, "--misbehave", "revoked@every=2", "--port", 0, "--staple", "chain") as server:
        line = server.ready()
        assert "misbehaving" in line
        port = int(line.split()[2].rstrip(",/").rpartition(":")[2])
        ca, address = folder.leaf.as_chain().top, ("127.0.0.1", port)
        verdicts = [check("localhost", port, "strict", ca=ca, address=address) for _ in range(2)]
        assert [len(verdict.all_reasons) for verdict in verdicts] == [0, 1]
        assert "alert 113" in server.says("refused")
        assert server.end() == 0


def test_the_server_is_told_otherwise_while_it_runs(folder: Folder) -> None:
    with running("serve", folder.path, "--control", 0, "--port", 0, "--staple", "chain") as server:
        line = server.ready()
        control = line.partition("control at ")[2].split()[0]
        port = int(line.split()[2].rstrip(",/").rpartition(":")[2])

        def codes() -> list[str]:
            ca, address = folder.leaf.as_chain().top, ("127.0.0.1", port)
            return [
                reason.code.value for reason in check("localhost", port, "strict", ca=ca, address=address).all_reasons
            ]

        assert codes() == []
        assert httpx.put(control, json={"misbehave": ["revoked"]}, trust_env=False).json()["misbehave"] == ["revoked"]
        assert codes() == ["revoked"]
        assert httpx.put(control, json={"misbehave": ["http-500"]}, trust_env=False).status_code == 400
        assert codes() == ["revoked"]
        httpx.put(control, json={"misbehave": []}, trust_env=False)
        assert codes() == []
        assert server.end() == 0


def test_the_server_becomes_another_case_while_it_runs(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    options = ("--case", "control/all-well", "--ca-out", root, "--port", 0, "--control", 0)
    with running("serve", *options) as server:
        line = server.ready()
        control = line.partition("control at ")[2].split()[0]
        port = int(line.split()[2].rstrip("/").rpartition(":")[2])
        (trusted,) = load_certificates(root.read_bytes())

        def codes() -> list[str]:
            verdict = check("localhost", port, "strict", ca=trusted, address=("127.0.0.1", port))
            return [reason.code.value for reason in verdict.all_reasons][:1]

        assert codes() == []
        told = httpx.put(control, json={"case": "freshness/expired"}, trust_env=False)
        assert told.json() == httpx.get(control, trust_env=False).json() == {"case": "freshness/expired"}
        assert codes() == ["expired"]
        for wrong in ("freshness/none-such", "depth/trusted-leaf", 7):
            assert httpx.put(control, json={"case": wrong}, trust_env=False).status_code == 400
        assert codes() == ["expired"]
        assert server.end() == 0


@pytest.mark.parametrize(("case", "code"), [("freshness/expired", "expired"), ("control/all-well", None)])
def test_a_case_is_served_from_no_directory(tmp_path: Path, case: str, code: str | None) -> None:
    root = tmp_path / "root.pem"
    with running("serve", "--case", case, "--ca-out", root, "--port", 0) as server:
        line = server.ready()
        assert f"is {case}; trust {root}" in line
        port = int(line.split()[2].rstrip("/").rpartition(":")[2])
        (trusted,) = load_certificates(root.read_bytes())
        for name in ("localhost", f"{case.replace('/', '-')}.localhost"):
            verdict = check(name, port, "strict", ca=trusted, address=("127.0.0.1", port))
            assert [reason.code.value for reason in verdict.all_reasons][:1] == ([code] if code else [])
        if code:
            assert "alert 113" in server.says("refused")
        assert server.end() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a directory, or a --case"),
        (("d", "--misbehave", "slow", "--staple", "none"), "with --misbehave the staple is leaf or chain"),
        (("d", "--ca-out", "x.pem"), "--ca-out is for --case"),
        (("d", "--i-know"), "--i-know for that, --misbehave and --control"),
        (("--case", "freshness/expired", "--misbehave", "slow"), "--case takes no --misbehave"),
        (("--case", "freshness/expird"), "is it freshness/expired"),
        (("d", "--case", "freshness/expired"), "--case takes no directory"),
        (("--case", "freshness/expired", "--tls", "1.2"), "--case takes no --tls"),
        (("--case", "freshness/expired", "--staple", "none"), "--case takes no --staple"),
        (("--case", "freshness/expired", "--host", "0.0.0.0"), "add --i-know"),
        (("--case", "freshness/expired", "--ca-out", "/nowhere/x.pem"), "cannot write the root certificate"),
    ],
)
def test_the_server_says_in_one_line_what_it_does_not_do(arguments: tuple[str, ...], words: str) -> None:
    ended = run("serve", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert ended.stderr.count("\n") == 1
