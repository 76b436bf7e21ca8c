"""Fixtures for tests of TLS clients and servers; nothing but this file is loaded until a test asks for one.

    def test_my_client_refuses_a_revoked_server(stapling_server):
        server = stapling_server("revoked")
        with pytest.raises(ConnectionError):
            my_client.get(server.url, ca=server.ca_file)
        assert server.next_record().application_data == b""

pytest finds it by its entry point; `-p no:mustaple` leaves it out.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

# Imported within the fixtures: this module is loaded in every run of whoever has mustaple installed, and before
# coverage begins to measure.
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.lab.stand import CorpusServer, MustStapleAuthority, NamedServer, StrictClient, ToldResponder


class MakesServers(Protocol):
    """What `stapling_server` is."""

    def __call__(self, case: str = "good", *, names: tuple[str, ...] = (), **how: Any) -> NamedServer | CorpusServer:
        """A running server in this situation."""


@pytest.fixture(scope="session")
def must_staple_authority(tmp_path_factory: pytest.TempPathFactory) -> MustStapleAuthority:
    """A root and a CA whose certificates promise a staple: `ca_file`, `root`, `ca`, `issue(name)`, `response(how)`."""
    from mustaple.lab.stand import MustStapleAuthority

    return MustStapleAuthority(tmp_path_factory.mktemp("must-staple"))


@pytest.fixture
def ocsp_responder(must_staple_authority: MustStapleAuthority) -> Iterator[ToldResponder]:
    """An OCSP responder that runs: `url`, `tell(issued, "revoked")`, `log.recent`.

    In a test that asks for it, the certificates of `stapling_server` name it, and it answers as their case says.
    """
    from mustaple.lab.stand import ToldResponder

    with ToldResponder(must_staple_authority) as responder:
        yield responder


@pytest.fixture
def stapling_server(
    request: pytest.FixtureRequest, must_staple_authority: MustStapleAuthority
) -> Iterator[MakesServers]:
    """Makes TLS servers by case: `good`, `no-staple`, `revoked`, `expired`, `unknown`, `bad-signature` and many more.

    `stapling_server("revoked").url` answers HTTP until the test ends. `names` are those in its certificate, localhost
    by default; `minimum` and `maximum` are "1.2" or "1.3". Every case of the corpus is there by its id, as
    `freshness/expired` (`mustaple cases list`). A case that there is not is an InputError.
    """
    from mustaple.lab.stand import serve_case

    responder = request.getfixturevalue("ocsp_responder") if "ocsp_responder" in request.fixturenames else None
    with ExitStack() as running:

        def make(case: str = "good", *, names: tuple[str, ...] = (), **how: Any) -> NamedServer | CorpusServer:
            server = serve_case(case, must_staple_authority, names, responder, **how)
            running.enter_context(server)
            return server

        yield make


@pytest.fixture
def strict_client(must_staple_authority: MustStapleAuthority) -> StrictClient:
    """The strict client, which trusts `must_staple_authority`: `check(host, port, policy).accepted`, `connect(…)`."""
    from mustaple.lab.stand import StrictClient

    return StrictClient(must_staple_authority)
