"""What the corpus says of a case holds over sockets too: real servers send it, and both engines judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509

from mustaple.lab.cases import FAMILIES, World, cases
from mustaple.lab.cases.handshake import TLS13
from mustaple.lab.cases.setup import BOTH
from mustaple.net.client import check
from mustaple.net.stapling_server import ChainStaplingServer
from mustaple.report.cases_run import found_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.lab.cases import Case, Setup

# Every third case of a family: all of them take half a minute, and each was seen to hold once.
STEP: Final = 3
HONEST: Final = [family for family in FAMILIES if family not in {"wire12", "wire13"}]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def verdicts(case: Case, setup: Setup) -> Iterator[tuple[str, str, str, str]]:
    """What `strict`, which asks nobody but the server, makes of the case by each engine that can speak as it says."""
    chain = [x509.load_der_x509_certificate(each) for each in setup.sent]
    with ChainStaplingServer(chain, setup.key, list(setup.staples)) as server:
        for protocol in setup.protocols:
            engines = ["openssl"] if protocol == TLS13 else []
            engines += ["rfc6961"] if protocol == TLS13 or setup.offered == BOTH else []
            for engine in engines:
                verdict = check(
                    setup.name,
                    server.port,
                    "strict",
                    ca=setup.trusted,
                    address=(server.host, server.port),
                    at=setup.at,
                    engine=engine,
                    maximum=protocol,
                )
                yield case.id, protocol, engine, found_words(verdict)[0]


@pytest.mark.parametrize("family", HONEST)
def test_a_real_server_meets_the_same_verdict(family: str, world: World) -> None:
    tried = []
    for case in cases([family])[::STEP]:
        setup = case.setup(world)
        found = list(verdicts(case, setup))
        assert [each for each in found if each[3] != str(case.expected["strict"])] == []
        tried += found
    assert {each[2] for each in tried} == {"openssl", "rfc6961"}
    assert {each[1] for each in tried} == {"TLSv1.2", "TLSv1.3"}
