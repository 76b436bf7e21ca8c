"""wolfSSL and ours, both ways, in TLS 1.2: staples for every certificate by ocsp_multi (RFC 6961)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from stacks import Program, compile_c
from staples import WRONG, Site, ToldResponder

from mustaple.core.verdict import Status
from mustaple.net.server import Ended
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("gcc", "libwolfssl")

BAD_STATUS = "REFUSED -406 "  # BAD_CERTIFICATE_STATUS_ERROR
NO_STATUS = "REFUSED -366 "  # OCSP_CERT_UNKNOWN


@pytest.fixture(scope="module")
def responder() -> Iterator[ToldResponder]:
    with ToldResponder() as running:
        yield running


@pytest.fixture(scope="module", params=["ec-p256", "rsa-2048"])
def site(request: pytest.FixtureRequest, responder: ToldResponder) -> Site:
    return Site(key=request.param, ocsp_urls=(responder.url,))


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wolfssl")
    root, _, _ = site.write(folder)
    authority = site.authority.certificate.public_bytes(Encoding.PEM)
    (folder / "issuers.pem").write_bytes(root.read_bytes() + authority)
    return folder


# its client, our server


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Program]:
    with Program([*compile_c("wolfssl_client.c", folder, "wolfssl"), folder / "root.pem"]) as running:
        yield running


@pytest.fixture
def server(site: Site) -> Iterator[ChainStaplingServer]:
    with ChainStaplingServer(site.sent, site.leaf.key) as running:
        yield running


@pytest.mark.requirement("RFC6961-2.2-1", "RFC6961-2.2-2")
def test_its_client_takes_a_staple_for_every_certificate(
    client: Program, server: ChainStaplingServer, site: Site
) -> None:
    server.staples = site.good
    assert client.ask(str(server.port)) == "ACCEPTED TLSv1.2"
    record = server.next_record()
    assert (record.ended, record.carrier, record.sent) == (Ended.SERVED, "ocsp_multi", site.good)
    assert record.offered == {17}


# It passes over an empty response, unless it is told that all are empty: the others' are as good as there.
@pytest.mark.parametrize("what", [what for what in WRONG if what != "CA dropped"])
def test_its_client_refuses_with_one_thing_changed(
    client: Program, server: ChainStaplingServer, site: Site, what: str
) -> None:
    server.staples = site.wrong[what]
    assert client.ask(str(server.port)).startswith(BAD_STATUS)
    record = server.next_record()
    assert (record.ended, record.alert, record.carrier) == (Ended.REFUSED, 113, "ocsp_multi")


def test_its_client_refuses_a_list_longer_than_the_chain(
    client: Program, server: ChainStaplingServer, site: Site
) -> None:
    leaf, authority = site.good
    server.staples = (leaf, authority, authority)
    assert client.ask(str(server.port)).startswith(BAD_STATUS)
    assert server.next_record().alert == 113


def test_its_client_refuses_a_server_that_staples_nothing(
    client: Program, server: ChainStaplingServer, site: Site
) -> None:
    server.staples = (None, None)
    assert client.ask(str(server.port)).startswith(NO_STATUS)
    record = server.next_record()
    assert (record.carrier, record.completed) == (None, False)


@pytest.mark.parametrize("length", [1, 2], ids=["short", "empty"])
def test_its_client_takes_no_staple_for_the_ca_where_ours_refuses(
    client: Program, server: ChainStaplingServer, site: Site, length: int
) -> None:
    server.staples = site.wrong["CA dropped"][:length]
    assert client.ask(str(server.port)) == "ACCEPTED TLSv1.2"
    assert server.next_record().carrier == "ocsp_multi"
    assert site.visit(server.port, engine="rfc6961", maximum="TLSv1.2").codes == ["no-staple"]
    assert server.next_record().alert == 113


# its server, which asks our responder, and our client


@pytest.fixture(scope="module")
def wolf_server(folder: Path) -> Iterator[Program]:
    files = [folder / "chain.pem", folder / "key.pem", folder / "issuers.pem"]
    with Program([*compile_c("wolfssl_server.c", folder, "wolfssl"), *files]) as running:
        yield running


@pytest.mark.requirement("RFC6961-2.2-2", "RFC6961-2.2-4")
def test_its_server_gives_a_staple_for_every_certificate(
    wolf_server: Program, responder: ToldResponder, site: Site
) -> None:
    responder.tell(site, site.good)
    with wolf_server.serving("one") as served:
        visit = site.visit(served.port, engine="rfc6961", maximum="TLSv1.2")
    assert served.said == "SERVED TLSv1.2"
    assert visit.verdict.accepted, visit.codes
    carried = "TLS 1.2 CertificateStatus (ocsp_multi), response {}"
    assert visit.evidence == [(Status.GOOD, carried.format(place)) for place in range(2)]
    assert visit.page.endswith(b"wolfSSL")


# A responder that fails it can crash this version, so only answers that it passes on are tried.
@pytest.mark.parametrize(("what", "place"), [("leaf revoked", 0), ("CA revoked", 1)])
def test_what_its_server_gives_is_refused_where_one_is_revoked(
    wolf_server: Program, responder: ToldResponder, site: Site, what: str, place: int
) -> None:
    responder.tell(site, site.wrong[what])
    with wolf_server.serving("one") as served:
        visit = site.visit(served.port, engine="rfc6961", maximum="TLSv1.2")
    assert served.said.startswith("FAILED")
    assert visit.codes == ["revoked"]
    assert [status for status, _ in visit.evidence][place] is Status.REVOKED


def test_openssl_gets_its_servers_staple_for_the_leaf_alone(
    wolf_server: Program, responder: ToldResponder, site: Site
) -> None:
    responder.tell(site, site.good)
    for policy, codes in (("must-staple", []), ("strict", ["no-staple"])):
        with wolf_server.serving("one") as served:
            visit = site.visit(served.port, policy, engine="openssl", maximum="TLSv1.2")
        assert (visit.codes, visit.verdict.accepted) == (codes, not codes)
