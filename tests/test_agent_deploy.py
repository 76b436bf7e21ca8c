"""Deployments change in one step, are checked by a real handshake, undone where they fail, and never serve the dead."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from certtools.authority import Authority
from certtools.forge import good
from mustaple.agent.deploy.command import ExecDeployer, ExecDeployment
from mustaple.agent.deploy.contract import DeployError, Site
from mustaple.agent.deploy.files import FilesDeployer, FilesDeployment
from mustaple.agent.deploy.running import run
from mustaple.agent.deploy.verify import verify
from mustaple.agent.deploy.versions import VersionedFolder
from mustaple.agent.desire import Desired, desired
from mustaple.agent.entry import Entry
from mustaple.agent.events import Kind, Severity
from mustaple.agent.handover import Target, hand_over
from mustaple.core.ocsp import judge
from mustaple.net.server import StaplingServer
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.net.store import Staple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certtools.authority import Issued
    from certtools.chain import Link

NOW = datetime.now(UTC)
ROOT = Authority.root("deploy root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=9))
CA = ROOT.intermediate("deploy CA", ocsp_urls=["http://one.test/"])


def site_of(issued: Issued, name: str = "site", key: Path | None = None) -> Site:
    return Site(name, issued.as_chain(), issued.chain_pem(), key)


def staples_of(issued: Issued) -> tuple[bytes, bytes]:
    leaf, ca = issued.as_chain().links
    return good(leaf, CA, NOW), good(ca, ROOT, NOW)


LEAF = CA.leaf(["localhost", "127.0.0.1"])
SITE, STAPLES = site_of(LEAF), staples_of(LEAF)
OTHER = CA.leaf(["localhost"])


def test_everything_a_server_needs_is_there_in_one_folder(tmp_path: Path) -> None:
    key = tmp_path / "site.key"
    key.write_bytes(LEAF.key_pem())
    FilesDeployer(tmp_path / "live").deploy(replace(SITE, key=key), STAPLES)
    live = tmp_path / "live"
    assert (live / "chain.pem").read_bytes() == SITE.pem
    assert (live / "leaf.der").read_bytes() == (live / "chain.pem.ocsp").read_bytes() == STAPLES[0]
    assert (live / "staple-1.der").read_bytes() == STAPLES[1]
    assert (live / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (live / "ocsp_multi.bin").read_bytes()[:1] == b"\x02"


def test_a_new_certificate_and_its_staple_appear_in_the_same_moment(tmp_path: Path) -> None:
    """RFC 7633 §4.3.2: at no moment is one there without the other."""
    deployer = FilesDeployer(tmp_path / "live")
    deployer.deploy(SITE, STAPLES)
    pairs = {(SITE.pem, STAPLES[0]), (site_of(OTHER).pem, other := staples_of(OTHER)[0])}
    stop, mixed = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            version = os.open(tmp_path / "live", os.O_RDONLY)  # as a server opens the folder it is told of
            try:
                pem = Path(f"/proc/self/fd/{version}/chain.pem").read_bytes()
                if (pem, Path(f"/proc/self/fd/{version}/leaf.der").read_bytes()) not in pairs:
                    mixed.append(pem)
            except FileNotFoundError:
                pass  # this version is history: it was opened before it was taken away
            finally:
                os.close(version)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(30):
        deployer.deploy(site_of(OTHER), (other, None))
        deployer.deploy(SITE, STAPLES)
    stop.set()
    reader.join()
    assert not mixed


def test_a_withdrawn_staple_is_gone_and_the_chain_stays(tmp_path: Path) -> None:
    deployer = FilesDeployer(tmp_path / "live")
    deployer.deploy(SITE, STAPLES)
    deployer.withdraw(SITE)
    assert [each.name for each in (tmp_path / "live").iterdir()] == ["chain.pem"]


def test_rollback_brings_back_what_was_there_before(tmp_path: Path) -> None:
    deployer = FilesDeployer(tmp_path / "live")
    deployer.deploy(SITE, STAPLES)
    deployer.deploy(site_of(OTHER), staples_of(OTHER))
    deployer.rollback(SITE)
    assert (tmp_path / "live/leaf.der").read_bytes() == STAPLES[0]
    deployer.rollback(SITE)
    assert (tmp_path / "live/leaf.der").read_bytes() == STAPLES[0], "once is enough"
    first = FilesDeployer(tmp_path / "new")
    first.deploy(SITE, STAPLES)
    first.rollback(SITE)
    assert not (tmp_path / "new").exists()


def test_the_command_runs_after_a_change_and_not_without_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f'echo "$MUSTAPLE_NAME $(ls $MUSTAPLE_DIRECTORY | wc -l)" >>{log}']
    for _ in range(2):
        FilesDeployer(tmp_path / "live", command).deploy(SITE, STAPLES)
    assert log.read_text() == "site 6\n"


def test_the_command_runs_again_where_it_failed_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f"echo x >>{log}; test -e {tmp_path}/well || {{ echo no server; exit 3; }}"]
    with pytest.raises(DeployError, match=r"sh ended with 3: no server"):
        FilesDeployer(tmp_path / "live", command).deploy(SITE, STAPLES)
    (tmp_path / "well").touch()
    FilesDeployer(tmp_path / "live", command).deploy(SITE, STAPLES)
    FilesDeployer(tmp_path / "live", command).deploy(SITE, STAPLES)
    assert log.read_text() == "x\nx\n"


def test_no_more_than_two_versions_are_kept(tmp_path: Path) -> None:
    folder = VersionedFolder(tmp_path / "live")
    (tmp_path / ".live.dead").mkdir()  # left by a process that was killed
    for number in range(5):
        folder.replace({"a": (b"%d" % number, 0o644)})
    assert folder.read("a") == b"4"
    assert len([each for each in tmp_path.iterdir() if each.is_dir() and not each.is_symlink()]) == 2


def test_somebody_elses_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live/mine").touch()
    with pytest.raises(DeployError, match="not as a link that this agent made"):
        FilesDeployer(tmp_path / "live").deploy(SITE, STAPLES)
    assert [each.name for each in (tmp_path / "live").iterdir()] == ["mine"]


def test_a_command_is_told_what_to_do_and_finds_the_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f'echo "$MUSTAPLE_ACTION $MUSTAPLE_NAME" $(ls $MUSTAPLE_DIRECTORY) >>{log}'
    deployer = ExecDeployer(["sh", "-c", script])
    deployer.deploy(SITE, (STAPLES[0], None))
    deployer.withdraw(SITE)
    deployer.deploy(SITE, STAPLES)
    deployer.rollback(SITE)
    all_of_one = "chain.pem chain.pem.ocsp leaf.der ocsp_multi.bin staple-0.der"
    assert log.read_text().splitlines() == [
        f"deploy site {all_of_one}",
        "withdraw site chain.pem",
        f"deploy site {all_of_one} staple-1.der",
        "rollback site chain.pem",
    ]


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"sh did not end within 0\.5 s"):
        run(["sh", "-c", "sleep 600 & sleep 600"], 0.5)
    with pytest.raises(DeployError, match="cannot be run: No such file"):
        run(["/no/such/command"], 5)


def test_a_server_that_serves_what_it_was_given_is_found_to_do_so() -> None:
    with StaplingServer(LEAF.chain[:-1], LEAF.key, STAPLES[0]) as server:
        settings = FilesDeployment(kind="files", directory=Path("x"), verify=f"localhost:{server.port}", patience=0.5)
        verify(settings, SITE, STAPLES)
        with pytest.raises(DeployError, match="serves no staple for CN=deploy CA"):
            verify(settings.model_copy(update={"serves": "chain"}), SITE, STAPLES)
        with pytest.raises(DeployError, match="serves another staple for CN=localhost"):
            verify(settings, SITE, staples_of(LEAF))
        with pytest.raises(DeployError, match="serves another certificate"):
            verify(settings, site_of(OTHER), staples_of(OTHER))
        with pytest.raises(DeployError, match="still staples for CN=localhost"):
            verify(settings, SITE, (None, None))


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_of_either_version_is_looked_at_with_its_whole_chain(version: str) -> None:
    with ChainStaplingServer(LEAF.chain[:-1], LEAF.key, lambda: STAPLES, minimum=version, maximum=version) as server:
        settings = FilesDeployment(
            kind="files", directory=Path("x"), verify=f"127.0.0.1:{server.port}", serves="chain", patience=2
        )
        verify(settings, SITE, STAPLES)


def test_a_server_that_is_not_there_is_no_success() -> None:
    with StaplingServer(LEAF.chain[:-1], LEAF.key) as server:
        port = server.port
    settings = ExecDeployment(kind="exec", command=["true"], verify=f"127.0.0.1:{port}", patience=0.3)
    with pytest.raises(DeployError, match="does not answer in TLS"):
        verify(settings, SITE, STAPLES)


def give(site: Site, staples: Sequence[bytes | None]) -> Desired:
    return Desired(site, tuple(staples), settled=True)


def test_what_is_not_served_is_rolled_back_reported_and_tried_again(tmp_path: Path) -> None:
    with StaplingServer(LEAF.chain[:-1], LEAF.key, None) as server:
        settings = FilesDeployment(
            kind="files", directory=tmp_path / "live", verify=f"localhost:{server.port}", patience=0.3
        )
        target = Target(settings, settings.deployer("site"), first=True)
        event = hand_over(target, give(SITE, STAPLES), NOW)
        assert (event.kind, event.severity) == (Kind.NOT_DEPLOYED, Severity.ERROR)
        assert "serves no staple for CN=localhost; rolled back" in event.message
        assert not (tmp_path / "live").exists()
        assert not target.wants(give(SITE, STAPLES), NOW)
        assert target.retry_at is not None
        assert target.wants(give(SITE, STAPLES), target.retry_at)
        server.staple = STAPLES[0]
        assert hand_over(target, give(SITE, STAPLES), NOW).kind is Kind.DEPLOYED
        assert (tmp_path / "live/leaf.der").exists()


def test_a_dead_staple_never_comes_back_by_a_rollback(tmp_path: Path) -> None:
    settings = FilesDeployment(kind="files", directory=tmp_path / "live")
    target = Target(settings, settings.deployer("site"))
    assert hand_over(target, give(SITE, STAPLES), NOW).kind is Kind.DEPLOYED

    def refuse(*_: object) -> None:
        raise DeployError("it serves something else")

    # The leaf's has died since, the CA's lives: what was there before holds a dead one.
    event = hand_over(target, give(SITE, (None, STAPLES[1])), NOW, refuse)
    assert event.kind is Kind.NOT_DEPLOYED
    assert not (tmp_path / "live/leaf.der").exists()
    event = hand_over(target, give(SITE, (None, None)), NOW, refuse)
    assert event.severity is Severity.CRITICAL
    assert not (tmp_path / "live/staple-1.der").exists()


def entries(*links: Link, staples: Sequence[bytes | None], settled: bool = True) -> dict[bytes, Entry]:
    found = {}
    for link, body in zip(links, staples, strict=True):
        staple = Staple(body, judge(body, link, NOW), "http://one.test/", NOW) if body is not None else None
        obliged = link.issuer == CA.certificate
        entry = Entry(link, (), (), None, 0.0, NOW + timedelta(days=9), obliged, NOW, staple, settled=settled)
        found[link.fingerprint] = entry
    return found


@pytest.mark.requirement("RFC7633-4.3.2-1")
def test_a_new_must_staple_certificate_waits_for_its_staple_and_the_old_one_serves_on() -> None:
    old, new = SITE, site_of(OTHER)
    links = [*old.chain.links, new.chain.links[0]]
    without = entries(*links, staples=[*STAPLES, None])
    held = desired(new, old, without)
    assert held is not None
    assert (held.site, held.staples) == (old, STAPLES)
    body = staples_of(OTHER)[0]
    together = desired(new, old, entries(*links, staples=[*STAPLES, body]))
    assert together is not None
    assert (together.site, together.staples) == (new, (body, STAPLES[1]))
    assert desired(new, None, without) is None, "with none before it nothing is deployed"


def test_a_certificate_without_a_promise_waits_only_until_it_is_known_what_there_is() -> None:
    plain = site_of(CA.leaf(["localhost"], features=None))
    links = plain.chain.links
    unsettled = desired(plain, None, entries(*links, staples=[None, None], settled=False))
    assert unsettled is None
    settled = desired(plain, None, entries(*links, staples=[None, STAPLES[1]]))
    assert settled is not None
    assert settled.staples == (None, STAPLES[1])


def test_a_chain_that_promises_extension_17_waits_for_every_staple() -> None:
    whole = site_of(issued := CA.leaf(["localhost"], features=(5, 17)))
    links, bodies = whole.chain.links, staples_of(issued)
    assert desired(whole, None, entries(*links, staples=[bodies[0], None])) is None
    assert desired(whole, None, entries(*links, staples=bodies)) is not None


def test_what_is_served_already_loses_what_died_promise_or_not() -> None:
    found = desired(SITE, SITE, entries(*SITE.chain.links, staples=[None, None]))
    assert found is not None
    assert found.staples == (None, None)


def test_nothing_is_taken_away_before_it_is_known_that_there_is_nothing() -> None:
    settings = ExecDeployment(kind="exec", command=["true"])
    target = Target(settings, settings.deployer("site"))
    assert not target.wants(Desired(SITE, (None, None), settled=False), NOW)
    assert target.wants(Desired(SITE, (None, None), settled=True), NOW)
    target.given = give(SITE, STAPLES)
    assert target.wants(Desired(SITE, (None, STAPLES[1]), settled=False), NOW), "but what has died goes at once"
