"""What the benchmarks share: one chain with staples, and a table of the ratios printed at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from peers import pytest_runtest_setup

from certtools.authority import Authority
from certtools.forge.ocsp import good

if TYPE_CHECKING:
    from collections.abc import Callable

    from certtools.authority import Issued
    from certtools.chain import Chain

__all__ = ["pytest_runtest_setup"]

_RATIOS = pytest.StashKey[list[tuple[str, float, str]]]()


class Stapled(NamedTuple):
    """A chain of three with an honest staple for the leaf and the intermediate."""

    root: Authority
    ca: Authority
    leaf: Issued
    chain: Chain
    staples: tuple[bytes, bytes]
    at: datetime


@pytest.fixture(scope="session")
def stapled() -> Stapled:
    """EC P-256 throughout, valid now."""
    at = datetime.now(UTC).replace(microsecond=0)
    root = Authority.root(not_before=at - timedelta(days=30), not_after=at + timedelta(days=300))
    ca = root.intermediate()
    leaf = ca.leaf(["localhost", "127.0.0.1"])
    chain = leaf.as_chain()
    return Stapled(root, ca, leaf, chain, (good(chain.links[0], ca, at), good(chain.links[1], root, at)), at)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, float, str], None]:
    """Note a ratio and its limit for the table at the end."""
    rows = request.config.stash.setdefault(_RATIOS, [])

    def note(what: str, ratio: float, limit: str) -> None:
        rows.append((what, ratio, limit))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the ratios of this run."""
    rows = config.stash.get(_RATIOS, [])
    if not rows:
        return
    terminalreporter.section("ratios, measured in this run")
    for what, ratio, limit in rows:
        terminalreporter.write_line(f"{what:<72} {ratio:6.2f} ×   limit {limit}")
