"""`mustaple check` with many targets: lists, standard input, the ways to a server, a bar, and input of no use."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from clear_servers import HONEST, clear_server
from commands import MUSTAPLE, free_port
from proxies import TunnelProxy
from ten_endpoints import Talker, drip, web_page

from certtools.chain import to_pem
from certtools.forge import Revoked, crl
from mustaple.cli.app import run as mustaple
from mustaple.net import check_many
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued

Said = pytest.CaptureFixture[str]


@pytest.fixture
def server(leaf: Issued, staple: bytes) -> Iterator[StaplingServer]:
    """A server with a good staple for the leaf."""
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as running:
        yield running


@pytest.fixture
def trust(root: Authority, tmp_path: Path, at: datetime) -> list[str]:
    """The options that make the fixed moment and the test root count, and the promise of the leaf alone."""
    file = tmp_path / "root.pem"
    file.write_bytes(to_pem([root.certificate]))
    return ["--ca", str(file), "--at", at.isoformat(), "--policy", "must-staple", "--timeout", "30s"]


def results(said: Said) -> list[dict[str, Any]]:
    """What the JSON on stdout says of each target."""
    found: list[dict[str, Any]] = json.loads(said.readouterr().out)["results"]
    return found


# --- where targets come from


def test_targets_come_from_arguments_lists_and_standard_input(
    server: StaplingServer, trust: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    port = server.port
    (tmp_path / "one").write_text(f"# ours\nlocalhost:{port} sni=127.0.0.1  # by address\n")
    (tmp_path / "two").write_text(f"other.example connect=127.0.0.1:{port}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"127.0.0.1:{port}\n".encode())))
    lists = ["--targets", str(tmp_path / "one"), "--targets", str(tmp_path / "two")]
    assert mustaple(["check", f"localhost:{port}", "-", *lists, *trust, "--json"]) == 1
    assert [(each["target"], each["code"]) for each in results(capsys)] == [
        (f"localhost:{port}", None),
        (f"localhost:{port} sni=127.0.0.1", None),
        (f"other.example connect=127.0.0.1:{port}", "name-mismatch"),
        (f"127.0.0.1:{port}", None),
    ]


def test_a_list_may_come_through_a_pipe_and_standard_input_by_its_option(
    server: StaplingServer, trust: list[str]
) -> None:
    command = [*MUSTAPLE, "check", "--targets", "-", *trust, "--format", "json"]
    done = subprocess.run(command, input=f"localhost:{server.port}\n".encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["summary"]["targets"] == 1


def test_a_target_that_is_listed_again_is_checked_once(
    server: StaplingServer, trust: list[str], tmp_path: Path, capsys: Said
) -> None:
    target = f"localhost:{server.port}"
    (tmp_path / "list").write_text(f"{target}\n" * 3)
    assert mustaple(["check", target, "--targets", str(tmp_path / "list"), *trust, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "mustaple: 3 targets are listed again; each is checked once\n"
    assert [each["target"] for each in json.loads(said.out)["results"]] == [target]
    server.next_record()
    assert len(server.records) == 1


# --- ways to a server


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3", "ldap", "xmpp", "postgres"])
def test_starttls_by_option_and_by_line(
    protocol: str, server: StaplingServer, trust: list[str], tmp_path: Path, capsys: Said
) -> None:
    name = "postgresql" if protocol == "postgres" else protocol
    with clear_server(HONEST[name], server.port) as clear:
        target = f"localhost:{clear.port}"
        assert mustaple(["check", target, *trust, "--starttls", protocol]) == 0
        (tmp_path / "list").write_text(f"{target} starttls={protocol}\n")
        assert mustaple(["check", "--targets", str(tmp_path / "list"), *trust]) == 0
        server.staple = None
        assert mustaple(["check", target, *trust, "--starttls", protocol]) == 1
    assert f"refused: localhost:{clear.port}" in capsys.readouterr().out


def test_a_server_that_lies_about_starttls_is_3(server: StaplingServer, trust: list[str], capsys: Said) -> None:
    lie = HONEST["smtp"].instead(-1, b"220 go ahead\r\n220 and take this as if TLS had said it\r\n")
    with clear_server(lie, server.port) as clear:
        assert mustaple(["check", f"localhost:{clear.port}", *trust, "--starttls", "smtp"]) == 3
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"no-answer: localhost:{clear.port}\n")
    assert len(said.out.splitlines()) == 2
    assert not server.records


def test_the_way_may_go_through_a_proxy(server: StaplingServer, trust: list[str], capsys: Said) -> None:
    with TunnelProxy() as proxy:
        assert mustaple(["check", f"localhost:{server.port}", *trust, "--proxy", proxy.url]) == 0
        assert proxy.asked
    assert mustaple(["check", f"localhost:{server.port}", *trust, "--proxy", proxy.url]) == 3
    assert "connection refused" in capsys.readouterr().out


def test_who_does_not_answer_is_asked_again_if_told_so(trust: list[str], capsys: Said) -> None:
    asked = []

    def refuse(client: Any, over: threading.Event) -> None:
        asked.append(1)
        web_page(client, over)

    with Talker(refuse) as talker:
        target = f"127.0.0.1:{talker.port}"
        assert mustaple(["check", target, *trust]) == 3
        assert len(asked) == 1
        assert mustaple(["check", target, *trust, "--retries", "2"]) == 3
        assert len(asked) == 4


# --- other evidence, warnings


def test_a_crl_from_a_file_revokes(
    server: StaplingServer,
    leaf: Issued,
    intermediate: Authority,
    at: datetime,
    trust: list[str],
    tmp_path: Path,
    capsys: Said,
) -> None:
    target, file = f"localhost:{server.port}", tmp_path / "crl.der"
    entry = Revoked(leaf.certificate.serial_number, at)
    for revoked, code in (((), 0), ((entry,), 1)):
        day = timedelta(days=1)
        file.write_bytes(crl(intermediate, revoked, this_update=at - day, next_update=at + day, number=1))
        assert mustaple(["check", target, *trust, "--policy", "hard-fail", "--crl", str(file)]) == code
    assert "revoked" in capsys.readouterr().out
    assert mustaple(["check", target, *trust, "--crl", str(file)]) == 2
    assert "takes no CRL as evidence" in capsys.readouterr().err


def test_a_warning_fails_only_what_was_told_to_fail(server: StaplingServer, trust: list[str], capsys: Said) -> None:
    target = f"localhost:{server.port}"
    assert mustaple(["check", target, *trust, "--warn-before", "1h"]) == 0
    assert "warning" not in capsys.readouterr().out
    assert mustaple(["check", target, *trust, "--warn-before", "10d"]) == 0
    assert "warning: the staple of CN=localhost dies in 3 d 23 h" in capsys.readouterr().out
    assert mustaple(["check", target, *trust, "--warn-before", "10d", "--fail-on-warning"]) == 1
    assert mustaple(["check", target, *trust, "--warn-before", "1h", "--fail-on-warning"]) == 0
    assert mustaple(["check", target, *trust, "--warn-before", "10d", "--report-only"]) == 0


# --- where the report goes


def test_a_report_goes_into_a_file_whole(
    server: StaplingServer, trust: list[str], tmp_path: Path, capsys: Said
) -> None:
    report = tmp_path / "report.json"
    report.write_text("what was there before")
    target = f"localhost:{server.port}"
    assert mustaple(["check", target, *trust, "--ca", "/nowhere", "--json", "--output", str(report)]) == 2
    assert report.read_text() == "what was there before"
    assert mustaple(["check", target, *trust, "--json", "--output", str(report)]) == 0
    assert json.loads(report.read_text())["summary"]["exit_code"] == 0
    assert capsys.readouterr().out == ""
    assert mustaple(["check", target, *trust, "--json", "--output", "-"]) == 0
    assert len(results(capsys)) == 1


def _under_terminal(arguments: list[str], *, stdout_too: bool) -> tuple[int, bytes, bytes]:
    """The exit code, what came on stdout, and what came on the terminal that stderr is."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [*MUSTAPLE, *arguments]
    stdout = theirs if stdout_too else subprocess.PIPE
    shown = bytearray()

    def watch() -> None:
        try:
            while piece := os.read(ours, 4096):
                shown.extend(piece)
        except OSError:
            pass  # the terminal has been hung up

    with subprocess.Popen(command, stdin=theirs, stdout=stdout, stderr=theirs, env=environment) as process:
        os.close(theirs)
        watching = threading.Thread(target=watch)
        watching.start()
        said = process.stdout.read() if process.stdout is not None else b""
        code = process.wait(60)
        watching.join(60)
    os.close(ours)
    return code, said, bytes(shown)


def test_a_bar_stands_on_the_terminal_and_nowhere_else(
    server: StaplingServer, trust: list[str], tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(f"localhost:{server.port}\n127.0.0.1:{server.port}\n")
    arguments = ["check", "--targets", str(tmp_path / "list"), *trust]
    code, said, shown = _under_terminal(arguments, stdout_too=False)
    assert code == 0
    assert b"checking" in shown
    assert b"2/2" in shown
    assert b"\x1b" not in said
    assert b"checking" not in said
    assert said.count(b"accepted  ") == 2

    code, _, shown = _under_terminal(arguments, stdout_too=True)
    assert (code, shown.count(b"accepted  ")) == (0, 2)
    # a document that goes to the terminal itself is not torn by a bar, and one target needs none
    _, _, shown = _under_terminal([*arguments, "--json"], stdout_too=True)
    assert json.loads(shown)["summary"]["targets"] == 2
    _, _, shown = _under_terminal(["check", f"localhost:{server.port}", *trust], stdout_too=True)
    assert b"\x1b" not in shown


def test_a_fault_of_our_own_is_4_and_the_other_targets_are_checked(
    server: StaplingServer,
    trust: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Said,
) -> None:
    honest = check_many.areach

    async def faulty(plan: Any, target: Any, *rest: Any) -> Any:
        if target.host == "127.0.0.1":
            raise ZeroDivisionError("a fault")
        return await honest(plan, target, *rest)

    monkeypatch.setattr(check_many, "areach", faulty)
    targets = [f"{host}:{server.port}" for host in ("127.0.0.1", "localhost", "other.example")]
    given = [*targets, "--connect", f"127.0.0.1:{server.port}", *trust]
    assert mustaple(["check", *given, "--json"]) == 4
    endings = {each["target"]: (each["ending"], each["problem"]) for each in results(capsys)}
    assert endings == {
        targets[0]: ("internal-error", "ZeroDivisionError: a fault"),
        targets[1]: ("accepted", None),
        targets[2]: ("refused", None),
    }
    over_time = ["--report-only", "--every", "100ms", "--for", "50ms", "--json"]
    place = given.index("--at")
    assert mustaple(["check", *given[:place], *given[place + 2 :], *over_time]) == 4
    assert json.loads(capsys.readouterr().out)["fault"] == 1


# --- input of no use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no target to check"),
        (["-"], "there is no target to check"),
        (["my host:443"], "'my host:443' is not HOST:PORT"),
        (["localhost:443 sni=x"], "is not HOST:PORT"),
        (["localhost", "--policy", "stern"], "no policy is called 'stern'; there are ignore, soft-fail"),
        (["localhost", "--policy", "wrong.toml"], "no key is called 'deepth'; did you mean depth?"),
        (["localhost", "--policy", "absent.toml"], "No such file"),
        (["localhost", "--starttls", "gopher"], "it is for smtp, imap, pop3, ldap, xmpp, postgresql"),
        (["localhost", "--proxy", "gopher://x"], "The proxy is not the URL of an HTTP proxy"),
        (["localhost", "--expect", "maybe"], "write accepted, refused, or refused:CODE"),
        (["localhost", "--expect", "refused:revokd"], "did you mean revoked?"),
        (["localhost", "--warn-before", "soon"], "'soon' is not a span of time"),
        (["localhost", "--fail-on-warning"], "--fail-on-warning needs --warn-before"),
        (["localhost", "--json", "--format", "junit"], "--json is --format json"),
        (["localhost", "--format", "xml"], "'xml' is not one of 'text', 'json'"),
        (["localhost", "--at-once", "0"], "greater than or equal to 1"),
        (["localhost", "--retries", "-1"], "greater than or equal to 0"),
        (["localhost", "--output", "absent/report"], "cannot write the report absent/report: No such file"),
        (["localhost", "--output", "folder"], "cannot write the report folder: it is a folder"),
        (["localhost", "--crl", "wrong.toml", "--policy", "hard-fail"], "not a CRL that can be used"),
        (["localhost", "b.example", "--cert", "absent.pem"], "absent.pem"),
        (["--targets", "absent"], "cannot read the list of targets absent: No such file"),
        (["--targets", "folder"], "cannot read the list of targets folder: Is a directory"),
        (["--targets", "empty"], "there is no target to check"),
        (["--targets", "binary"], "binary, line 1: this is not text"),
        (["--targets", "spaces"], "spaces, line 2: 'host:443' after 'my' is no option of a target"),
        (["--targets", "twice"], "twice, line 2: localhost is listed twice, with different expectations"),
    ],
)
def test_input_of_no_use_is_2_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    (tmp_path / "folder").mkdir()
    (tmp_path / "wrong.toml").write_text('deepth = "leaf"\n')
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "spaces").write_text("# a list\nmy host:443\n")
    (tmp_path / "twice").write_text("localhost expect=accepted\nlocalhost expect=refused\n")
    before = sorted(tmp_path.rglob("*"))
    assert mustaple(["check", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert said in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_server_that_drips_has_no_longer_than_the_timeout(trust: list[str], capsys: Said) -> None:
    with Talker(drip) as talker:
        assert mustaple(["check", f"127.0.0.1:{talker.port}", *trust, "--timeout", "0.5s"]) == 3
    assert f"127.0.0.1:{talker.port} did not answer within 0.5 s" in capsys.readouterr().out


def _run_measured(arguments: list[str]) -> tuple[int, int]:
    """The exit code and the most memory it had, in KiB."""
    with subprocess.Popen([*MUSTAPLE, *arguments], stdin=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_maxrss


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is the loopback on Linux alone")
def test_ten_thousand_targets_most_of_them_dead(server: StaplingServer, trust: list[str], tmp_path: Path) -> None:
    port = free_port()
    dead = [f"127.{1 + number // 50_000}.{number // 250 % 200}.{1 + number % 250}:{port}" for number in range(9_990)]
    alive = [f"name-{number}.example connect=127.0.0.1:{server.port} sni=localhost" for number in range(10)]
    lines = [*dead[:3_000], *alive, *dead[3_000:]]
    memory = {}
    for count in (3_010, 10_000):
        file, report = tmp_path / f"{count}.list", tmp_path / f"{count}.json"
        file.write_text("\n".join(lines[:count]))
        code, memory[count] = _run_measured(
            ["check", "--targets", str(file), *trust, "--json", "--output", str(report)]
        )
        document = json.loads(report.read_text())
        assert code == document["summary"]["exit_code"] == 3
        assert document["summary"]["endings"] == {
            "accepted": 10,
            "refused": 0,
            "no-answer": count - 10,
            "internal-error": 0,
        }
        assert [each["target"] for each in document["results"]] == lines[:count]
    assert memory[10_000] < memory[3_010] * 1.5
