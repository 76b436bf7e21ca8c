"""What many tests share: one fixed moment, and one authority with a chain below it.

Add here only what is shared.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest
from peers import pytest_runtest_setup  # noqa: F401  pytest finds the hook here

from certtools.authority import Authority, Issued
from certtools.ca_dir import CaDir
from certtools.chain import Chain, Link
from certtools.forge import Scene, good
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
OCSP_URL: Final = "http://127.0.0.1:2560"


@pytest.fixture(scope="session")
def at() -> datetime:
    """The moment at which everything is judged: 2026-06-01 12:00 UTC."""
    return AT


@pytest.fixture(scope="session")
def root() -> Authority:
    """An EC root, valid a month before AT and ten years after."""
    return Authority.root("test root", not_before=AT - timedelta(days=30), not_after=AT + timedelta(days=3650))


@pytest.fixture(scope="session")
def intermediate(root: Authority) -> Authority:
    """The CA below the root, which issues the leaves."""
    return root.intermediate("test CA", ocsp_urls=[OCSP_URL])


@pytest.fixture(scope="session")
def leaf(intermediate: Authority) -> Issued:
    """A must-staple certificate for localhost and 127.0.0.1."""
    return intermediate.leaf(["localhost", "127.0.0.1"], ocsp_urls=[OCSP_URL])


@pytest.fixture(scope="session")
def chain(leaf: Issued) -> Chain:
    """Leaf → test CA → test root; `chain.links[0]` is the leaf's."""
    return leaf.as_chain()


@pytest.fixture(scope="session")
def other(intermediate: Authority) -> Issued:
    """Another must-staple certificate of the same CA, for other.example."""
    return intermediate.leaf(["other.example"], ocsp_urls=[OCSP_URL])


@pytest.fixture(scope="session")
def rogue() -> Authority:
    """An authority that nobody trusts."""
    return Authority.root("rogue root", not_before=AT - timedelta(days=30), not_after=AT + timedelta(days=3650))


@pytest.fixture(scope="session")
def scene(chain: Chain, intermediate: Authority, other: Issued, rogue: Authority) -> Scene:
    """The leaf on trial at AT, for `certtools.forge.MUTATIONS`."""
    return Scene(
        link=chain.links[0],
        issuer=intermediate,
        other=Link(other.certificate, intermediate.certificate),
        rogue=rogue,
        at=AT,
    )


@pytest.fixture(scope="session")
def staple(chain: Chain, intermediate: Authority) -> bytes:
    """A good response for the leaf at AT, signed by its issuer."""
    return good(chain.links[0], intermediate, AT)


@pytest.fixture(scope="module")
def stapling(leaf: Issued, staple: bytes) -> Iterator[StaplingServer]:
    """A server that has that staple for the leaf."""
    with StaplingServer(leaf.chain[:-1], leaf.key, staple) as server:
        yield server


@pytest.fixture(scope="session")
def honest(chain: Chain, intermediate: Authority, root: Authority) -> tuple[bytes, bytes]:
    """A good response for the leaf and one for its CA."""
    return good(chain.links[0], intermediate, AT), good(chain.links[1], root, AT)


@pytest.fixture(scope="session")
def above(chain: Chain, root: Authority, rogue: Authority) -> Scene:
    """The intermediate on trial at AT."""
    sibling = root.intermediate("another CA").as_chain().links[0]
    return Scene(link=chain.links[1], issuer=root, other=sibling, rogue=rogue, at=AT)


@pytest.fixture
def ca_folder(tmp_path: Path) -> Path:
    """Where `ca_dir` is made: the folder `ca` in what stands for `mustaple issue --out d`."""
    (tmp_path / "d").mkdir()
    return tmp_path / "d" / "ca"


@pytest.fixture
def ca_dir(ca_folder: Path, intermediate: Authority) -> Iterator[CaDir]:
    """An open CA directory of the root and the intermediate."""
    with CaDir.create(ca_folder, intermediate, {"ocsp_url": OCSP_URL}) as made:
        yield made


@pytest.fixture
def recorded(ca_dir: CaDir) -> Issued:
    """A certificate for localhost in its register."""
    issued = ca_dir.issuing.leaf(["localhost"])
    ca_dir.record(issued.certificate)
    return issued


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this test fetches goes through no proxy that this machine's environment names."""
    monkeypatch.setenv("no_proxy", "*")
