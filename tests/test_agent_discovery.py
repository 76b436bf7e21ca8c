"""Chains are found in files, globs and folders, renewals are taken in, and half-written files are left until whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from agent_house import DAY, ROOT

from certtools.chain import to_pem
from mustaple.agent.config_model import ChainTable
from mustaple.agent.discovery import GRACE, Discovery, Scan

if TYPE_CHECKING:
    from pathlib import Path

CA = ROOT.intermediate("agent CA", ocsp_urls=["http://one.test/"])
SETTLE = 2.0


def pem(name: str = "site.test", *, root: bool = True) -> bytes:
    return CA.leaf([name], ocsp_urls=["http://one.test/"]).chain_pem(root=root)


class Watch:
    """A discovery and the seconds that have passed for it."""

    def __init__(self, *patterns: Path, **table: object) -> None:
        made = ChainTable.model_validate({"certificates": list(map(str, patterns)), **table})
        self.discovery = Discovery([made], timedelta(seconds=SETTLE))
        self.elapsed = 1000.0

    def scan(self, after: float = 0.0) -> Scan:
        self.elapsed += after
        # By the wall's clock all files are new: what counts is that they stay as they are.
        return self.discovery.scan(datetime.now(UTC) - DAY, self.elapsed)

    def settled(self) -> Scan:
        self.scan()
        return self.scan(SETTLE)


def test_files_globs_and_folders_are_looked_at(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "live" / name).mkdir(parents=True)
        (tmp_path / "live" / name / "fullchain.pem").write_bytes(pem(name))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/c.crt").write_bytes(pem("c"))
    (tmp_path / "folder/root.pem").write_bytes(to_pem([ROOT.certificate]))
    (tmp_path / "folder/c.key").write_bytes(b"no certificate")
    (tmp_path / "d.pem").write_bytes(pem("d"))
    watch = Watch(tmp_path / "live/*/fullchain.pem", tmp_path / "folder", tmp_path / "d.pem")
    scan = watch.settled()
    assert sorted(scan.found) == ["a", "b", "c", "d"]
    assert not scan.problems
    assert all(len(each.site.chain.links) == 2 for each in scan.found.values())


def test_the_issuers_complete_a_chain_and_are_not_sent(tmp_path: Path) -> None:
    (tmp_path / "site.pem").write_bytes(pem(root=False))
    (tmp_path / "roots.pem").write_bytes(to_pem([ROOT.certificate]))
    bare = Watch(tmp_path / "site.pem").settled().found
    whole = Watch(tmp_path / "site.pem", issuers=[str(tmp_path / "roots.pem")]).settled().found
    (one,), (two,) = bare.values(), whole.values()
    assert (len(one.site.chain.links), len(two.site.chain.links)) == (1, 2)
    assert two.site.pem == (tmp_path / "site.pem").read_bytes()


def test_a_new_file_counts_when_it_has_stayed_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "site.pem"
    file.write_bytes(pem())
    watch = Watch(file)
    assert watch.scan().unsettled
    assert not watch.scan(SETTLE / 2).found
    assert list(watch.scan(SETTLE / 2).found) == [tmp_path.name]
    old = Discovery([ChainTable(certificates=[str(file)])], timedelta(seconds=SETTLE))
    assert old.scan(datetime.now(UTC) + DAY, 0.0).found, "one that was old before the agent was started counts at once"


def test_a_renewal_is_taken_in_and_until_then_the_old_one_counts(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(pem())
    watch = Watch(file)
    before = watch.settled().found["x"].site
    file.write_bytes(pem())
    assert watch.scan(1).found["x"].site == before
    assert watch.scan(SETTLE).found["x"].site != before


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.999])
def test_a_half_written_file_is_left_until_it_is_whole(tmp_path: Path, part: float) -> None:
    file, new = tmp_path / "x.pem", pem()
    file.write_bytes(pem())
    watch = Watch(file)
    before = watch.settled().found["x"].site
    file.write_bytes(new[: int(len(new) * part)])
    for _ in range(3):
        scan = watch.scan(SETTLE)
    assert scan.found["x"].site == before
    assert str(file) in scan.problems
    file.write_bytes(new)
    watch.scan(1)
    scan = watch.scan(SETTLE)
    assert scan.found["x"].site.pem == to_pem(scan.found["x"].site.chain.certificates)
    assert scan.found["x"].site != before
    assert not scan.problems


def test_a_file_that_is_written_for_a_while_is_not_read_meanwhile(tmp_path: Path) -> None:
    file, new = tmp_path / "x.pem", pem()
    watch = Watch(file)
    for end in range(len(new) // 5, len(new), len(new) // 5):
        file.write_bytes(new[:end])
        assert not watch.scan(SETTLE * 0.9).found
        assert str(file) not in watch.scan(0).problems
    file.write_bytes(new)
    watch.scan(0.1)
    assert watch.scan(SETTLE).found


def test_a_file_that_is_gone_is_kept_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(pem())
    watch = Watch(file)
    watch.settled()
    file.unlink()
    scan = watch.scan(1)
    assert "x" in scan.found
    assert scan.problems
    assert "x" in watch.scan(GRACE - 1).found
    assert "x" not in watch.scan(2).found


def test_symbolic_links_that_are_turned_are_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.pem").write_bytes(pem())
    (tmp_path / "now").symlink_to("one")
    watch = Watch(tmp_path / "now/x.pem")
    before = watch.settled().found["x"].site
    (tmp_path / "now").unlink()
    (tmp_path / "now").symlink_to("two")
    watch.scan(1)
    assert watch.scan(SETTLE).found["x"].site != before


NO_CHAIN = {
    "empty": (b"", "no certificate"),
    "garbage": (b"garbage", "no certificate"),
    "no issuer": (to_pem([CA.leaf(["x"]).certificate]), "is not with it"),
    "too large": (bytes(1024 * 1024 + 1), "larger than"),
}


@pytest.mark.parametrize(("data", "said"), NO_CHAIN.values(), ids=NO_CHAIN)
def test_what_holds_no_chain_is_said_and_found_nowhere(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(data)
    scan = Watch(file).settled()
    assert not scan.found
    assert said in scan.problems[str(file)]


def test_two_of_the_same_name_get_names_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.pem").write_bytes(pem())
    names = list(Watch(tmp_path / "*/x.pem").settled().found)
    assert len(names) == 2
    assert all(name.startswith("x-") for name in names)


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    scan = Watch(tmp_path / "none.pem").settled()
    assert scan.problems == {str(tmp_path / "none.pem"): "there is no such file"}
