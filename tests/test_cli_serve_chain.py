"""`mustaple serve --staple chain`: a staple for every certificate, each on its own, for a strict client."""

from __future__ import annotations

import json
import queue
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from commands import CA, ROOT, Folder, Running, run, running

from certtools.authority import Authority
from certtools.ca_dir import CaDir
from certtools.chain import Link, to_pem
from certtools.forge import CertificateStatus, answer, sign, single
from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Status
from mustaple.net.chain_keeper import ChainKeeper
from mustaple.net.exchange import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABOVE = "CN=cli CA"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Both certificates name an OCSP URL."""
    return Folder(tmp_path, above=True)


@contextmanager
def serving(folder: Folder, *options: str, responder: bool = True) -> Iterator[tuple[Running, str]]:
    """A server with these options, and where it is."""
    with running("serve", folder.path, "--port", 0, *options) as server:
        if not responder:
            yield server, server.ready().split()[2].removeprefix("https://127.0.0.1:").rstrip("/")
            return
        with running("responder", folder.path) as answering:
            answering.ready()
            yield server, server.ready().split()[2].removeprefix("https://127.0.0.1:").rstrip("/")


def check(folder: Folder, port: str, policy: str = "strict") -> tuple[int, dict[str, Any]]:
    """The exit code and the verdict of the strict client."""
    target = f"localhost:{port}"
    options = ("--ca", folder.path / "root.pem", "--policy", policy, "--wait", "20s", "--timeout", "30s", "--json")
    done = run("check", target, *options)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout)["results"][0]["verdict"]


def staples(verdict: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The status of each certificate, and what carried its evidence."""
    return [(each["status"], [evidence["origin"] for evidence in each["evidence"]]) for each in verdict["certificates"]]


@pytest.mark.requirement("RFC6961-2.2-2")
@pytest.mark.parametrize(
    ("version", "carrier"),
    [("1.2", "TLS 1.2 CertificateStatus (ocsp_multi), response {}"), ("1.3", "TLS 1.3 Certificate, entry {}")],
)
def test_a_staple_for_every_certificate_is_accepted(folder: Folder, version: str, carrier: str) -> None:
    with serving(folder, "--staple", "chain", "--tls", version) as (server, port):
        code, verdict = check(folder, port)
        assert (code, verdict["outcome"]) == (0, "accepted")
        assert verdict["protocol"] == f"TLSv{version}"
        assert staples(verdict) == [("good", [carrier.format(0)]), ("good", [carrier.format(1)])]
        assert server.end() == 0


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_staple_for_the_leaf_alone_is_refused_and_names_the_intermediate(folder: Folder, version: str) -> None:
    with serving(folder, "--staple", "leaf", "--tls", version) as (server, port):
        code, verdict = check(folder, port)
        assert (code, verdict["outcome"]) == (1, "refused")
        assert [status for status, _ in staples(verdict)] == ["good", "missing"]
        (reason,) = verdict["reasons"]
        assert reason["code"] == "no-staple"
        assert ABOVE in reason["detail"]
        assert server.end() == 0


def test_each_staple_is_refreshed_and_a_revocation_is_stapled_for_whom_it_befell(folder: Folder) -> None:
    with serving(folder, "--staple", "chain") as (server, port):
        assert check(folder, port)[0] == 0
        with CaDir.open(folder.path) as ca:
            ca.revoke(folder.link.issuer, None, datetime.now(UTC))
        assert check(folder, port)[0] == 0, "nothing was fetched since"
        server.process.send_signal(signal.SIGHUP)
        assert f"{ABOVE}: stapling revoked, until" in server.says("stapling revoked")
        code, verdict = check(folder, port)
        assert code == 1
        assert [status for status, _ in staples(verdict)] == ["good", "revoked"]
        assert server.end() == 0


def test_a_server_without_its_responder_says_so_of_each_certificate(folder: Folder) -> None:
    with serving(folder, "--staple", "chain", responder=False) as (server, port):
        said = {server.says("stapling nothing").split(": ")[1] for _ in range(2)}
        assert said == {"CN=localhost", ABOVE}
        assert check(folder, port)[0] == 1
        with running("responder", folder.path) as responder:
            responder.ready()
            server.process.send_signal(signal.SIGHUP)
            for _ in range(2):
                server.says("stapling good")
            assert check(folder, port)[0] == 0
        assert server.end(signal.SIGINT) == 0


def test_a_certificate_that_names_no_responder_has_no_staple_and_the_others_have(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with serving(folder, "--staple", "chain") as (server, port):
        assert server.says(ABOVE).endswith("stapling nothing: the certificate names no OCSP URL")
        code, verdict = check(folder, port)
        assert code == 1
        assert [status for status, _ in staples(verdict)] == ["good", "missing"]
        assert check(folder, port, "must-staple")[0] == 0


@pytest.mark.parametrize("inside", [True, False], ids=["in chain.pem", "in the CA directory"])
def test_the_root_is_found_where_it_is_and_not_sent(folder: Folder, *, inside: bool) -> None:
    root = folder.path / "root.pem"
    trusted = root.rename(folder.path / "trusted.pem")
    if inside:
        (folder.path / "chain.pem").write_bytes(folder.leaf.chain_pem(root=True))
        root.write_bytes(b"not looked at")
    with serving(folder, "--staple", "chain", "--tls", "1.2") as (_, port):
        trusted.replace(root)
        code, verdict = check(folder, port)
        assert (code, len(verdict["certificates"])) == (0, 2)


def test_a_leaf_right_below_the_root_is_the_whole_chain(tmp_path: Path) -> None:
    folder = Folder(tmp_path, ROOT)
    with serving(folder, "--staple", "chain", "--tls", "1.2") as (_, port):
        code, verdict = check(folder, port)
        assert (code, len(verdict["certificates"])) == (0, 1)


# bad input


def one_line(folder: Folder, words: str) -> None:
    done = run("serve", folder.path, "--port", 0, "--staple", "chain")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_a_chain_that_names_no_responder_at_all_is_one_line(tmp_path: Path) -> None:
    one_line(Folder(tmp_path, ocsp=False), "no certificate of the chain names an OCSP URL")


def test_a_root_that_is_nowhere_is_one_line(folder: Folder) -> None:
    (folder.path / "root.pem").unlink()
    (folder.path / "ca").rename(folder.path / "gone")
    one_line(folder, "cannot read the root certificate")


def test_another_root_is_one_line(folder: Folder) -> None:
    now = datetime.now(UTC)
    rogue = Authority.root("rogue", not_before=now - timedelta(days=1), not_after=now + timedelta(days=9))
    (folder.path / "root.pem").write_bytes(to_pem([rogue.certificate]))
    one_line(folder, "no certificate here signed 'CN=cli CA'")


# the keeper below it


class Script:
    """Answers for each certificate in turn; the last one again and again."""

    def __init__(self, answers: dict[Link, list[bytes | None]]) -> None:
        self._answers = answers
        self._lock = threading.Lock()

    def __call__(self, link: Link, **_: object) -> Fetched:
        with self._lock:
            left = self._answers[link]
            body = left.pop(0) if len(left) > 1 else left[0]
        if body is None:
            raise NetworkError("http://responder.test/ is down.")
        return Fetched(body, "http://responder.test/", "GET", 200, {}, 0.0)


def links() -> tuple[Link, Link]:
    above = ROOT.intermediate("cli CA", ocsp_urls=["http://responder.test/"])
    leaf = above.leaf(["localhost"], ocsp_urls=["http://responder.test/"]).as_chain()
    ISSUERS.update({leaf.links[0]: above, leaf.links[1]: ROOT})
    return leaf.links[0], leaf.links[1]


ISSUERS: dict[Link, Authority] = {}


def response(link: Link, lives: float = 3600.0) -> bytes:
    at = datetime.now(UTC)
    said = single(link, at, status=CertificateStatus.GOOD, next_update=at + timedelta(seconds=lives))
    return sign(answer([said], ISSUERS[link]), ISSUERS[link])


def test_a_staple_past_its_time_is_dropped_and_the_others_stay() -> None:
    leaf, above = links()
    script = Script({leaf: [response(leaf)], above: [response(above, lives=3), None]})
    told: queue.Queue[str] = queue.Queue()
    with ChainKeeper((leaf, above), fetch=script, on_change=told.put) as keeper:
        assert keeper.start(30)
        assert all(keeper.staples())
        while not told.get(timeout=30).startswith(f"{ABOVE}: stapling nothing"):
            pass
        first, second = keeper.staples()
        assert second is None
        assert first is not None
        assert judge(first, leaf, datetime.now(UTC)).status is Status.GOOD


def test_the_wait_for_the_first_staples_is_bounded_and_one_that_is_there_serves() -> None:
    leaf, above = links()
    with ChainKeeper((leaf, above), fetch=Script({leaf: [response(leaf)], above: [None]})) as keeper:
        assert not keeper.start(1)
        keeper.refresh()
        assert keeper.staples()[1] is None
    with ChainKeeper((Link(CA.certificate, ROOT.certificate),)) as silent:
        assert not silent.start(30), "it names no URL, so nothing is waited for"
        assert silent.staples() == (None,)
