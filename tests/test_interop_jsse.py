"""OpenJDK's TLS and ours, both ways: staples for every certificate, in TLS 1.2 by ocsp_multi, in TLS 1.3 by entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from stacks import Program, compile_java
from staples import WRONG, Site, ToldResponder

from mustaple.core.verdict import Status
from mustaple.net.server import Ended
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer("java", "javac")

PASSWORD = "for a test"
CARRIERS = {"TLSv1.2": "ocsp_multi", "TLSv1.3": "entries"}
OFFERS = {"TLSv1.2": {5, 17}, "TLSv1.3": {5}}
protocols = pytest.mark.parametrize("protocol", CARRIERS)


@pytest.fixture(scope="module")
def responder() -> Iterator[ToldResponder]:
    with ToldResponder() as running:
        yield running


@pytest.fixture(scope="module")
def site(responder: ToldResponder) -> Site:
    return Site(ocsp_urls=(responder.url,))


@pytest.fixture(scope="module")
def rsa_site() -> Site:
    return Site(key="rsa-2048")


# its client, our server


@pytest.fixture(scope="module")
def client(site: Site, rsa_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A JVM that visits our server; without a staple it has nothing to believe in."""
    folder: Path = tmp_path_factory.mktemp("jsse")
    roots, *_ = site.write(folder)
    (folder / "rsa").mkdir()
    roots.write_bytes(roots.read_bytes() + rsa_site.write(folder / "rsa")[0].read_bytes())
    with Program([*compile_java("JsseClient.java", folder), roots]) as running:
        yield running


@pytest.fixture
def server(site: Site) -> Iterator[ChainStaplingServer]:
    with ChainStaplingServer(site.sent, site.leaf.key) as running:
        yield running


def lengths(site: Site) -> str:
    return " ".join(str(len(staple)) for staple in site.good)


@protocols
@pytest.mark.requirement("RFC6961-2.2-1", "RFC6961-2.2-2", "RFC9846-4.5.1.1-1")
def test_its_client_takes_a_staple_for_every_certificate(
    client: Program, server: ChainStaplingServer, site: Site, protocol: str
) -> None:
    server.staples = site.good
    assert client.ask(f"{server.port} {protocol}") == f"ACCEPTED {protocol} {lengths(site)}"
    record = server.next_record()
    assert (record.ended, record.carrier, record.sent) == (Ended.SERVED, CARRIERS[protocol], site.good)
    assert record.offered == OFFERS[protocol]


@protocols
def test_its_client_takes_them_from_a_server_with_an_rsa_key(client: Program, rsa_site: Site, protocol: str) -> None:
    with ChainStaplingServer(rsa_site.sent, rsa_site.leaf.key, rsa_site.good) as server:
        assert client.ask(f"{server.port} {protocol}") == f"ACCEPTED {protocol} {lengths(rsa_site)}"
        server.staples = rsa_site.wrong["CA revoked"]
        assert client.ask(f"{server.port} {protocol}").startswith("REFUSED")


# What it says, and its alert: 113 (bad_certificate_status_response), or 46 (certificate_unknown).
NOT_FOR_IT = ("OCSP response does not include a response for a certificate", 46)
REVOKED = ("Certificate has been revoked", 113)
EXPIRED = ("Response is unreliable: its validity interval is out-of-date", 46)
MISSING = ("Unable to determine revocation status", 113)
REFUSED = {
    "swapped": NOT_FOR_IT,
    "leaf revoked": REVOKED,
    "leaf expired": EXPIRED,
    "leaf has another's": NOT_FOR_IT,
    "leaf dropped": MISSING,
    "CA revoked": REVOKED,
    "CA expired": EXPIRED,
    "CA has the leaf's": NOT_FOR_IT,
    "CA dropped": MISSING,
}


@protocols
@pytest.mark.parametrize("what", WRONG)
def test_its_client_refuses_with_one_thing_changed(
    client: Program, server: ChainStaplingServer, site: Site, protocol: str, what: str
) -> None:
    words, alert = REFUSED[what]
    server.staples = site.wrong[what]
    said = client.ask(f"{server.port} {protocol}")
    assert said.startswith("REFUSED")
    assert words in said
    record = server.next_record()
    assert (record.ended, record.alert, record.carrier) == (Ended.REFUSED, alert, CARRIERS[protocol])


# its server, which asks our responder, and our client


@pytest.fixture(scope="module")
def java_server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A JVM that serves one client for each line. Its chain has the root, or the CA would get no staple."""
    folder: Path = tmp_path_factory.mktemp("jsse-server")
    leaf, *above = site.leaf.chain
    sealed = BestAvailableEncryption(PASSWORD.encode())
    (folder / "store.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(b"localhost", site.leaf.key, leaf, above, sealed)
    )
    java, *options = compile_java("JsseServer.java", folder)
    staples = "-Djdk.tls.server.enableStatusRequestExtension=true"
    with Program([java, staples, *options, folder / "store.p12", PASSWORD]) as running:
        yield running


ORIGINS = {"TLSv1.2": "TLS 1.2 CertificateStatus (ocsp_multi), response {}", "TLSv1.3": "TLS 1.3 Certificate, entry {}"}
ways = pytest.mark.parametrize(
    ("protocol", "engine"), [("TLSv1.2", "rfc6961"), ("TLSv1.3", "openssl"), ("TLSv1.3", "rfc6961")]
)


@ways
@pytest.mark.requirement("RFC6961-2.2-2", "RFC6961-2.2-4", "RFC9846-4.5.1.1-1")
def test_its_server_gives_a_staple_for_every_certificate(
    java_server: Program, responder: ToldResponder, site: Site, protocol: str, engine: str
) -> None:
    responder.tell(site, site.good)
    with java_server.serving(protocol) as served:
        visit = site.visit(served.port, engine=engine, maximum=protocol)
    assert served.said == f"SERVED {protocol}"
    assert visit.verdict.accepted, visit.codes
    assert (visit.verdict.protocol, visit.verdict.engine) == (protocol, engine)
    assert visit.evidence == [(Status.GOOD, ORIGINS[protocol].format(place)) for place in range(2)]
    assert visit.page.endswith(b"JSSE")


# It leaves out an answer that is about another certificate, as it does one that says to try later. In TLS 1.3 the
# whole chain goes without where the leaf does.
FOUND = {
    "swapped": {"promise-broken", "no-staple"},
    "leaf revoked": {"revoked"},
    "leaf expired": {"expired"},
    "leaf has another's": {"promise-broken"},
    "leaf dropped": {"promise-broken"},
    "CA revoked": {"revoked"},
    "CA expired": {"expired"},
    "CA has the leaf's": {"no-staple"},
    "CA dropped": {"no-staple"},
}
WITHOUT_LEAF = {"leaf has another's", "leaf dropped"}


@ways
@pytest.mark.parametrize("what", WRONG)
def test_what_its_server_gives_is_refused_with_one_thing_changed(
    java_server: Program, responder: ToldResponder, site: Site, protocol: str, engine: str, what: str
) -> None:
    responder.tell(site, site.wrong[what])
    with java_server.serving(protocol) as served:
        visit = site.visit(served.port, engine=engine, maximum=protocol)
    assert served.said.startswith("FAILED")
    assert not visit.verdict.accepted
    more = {"no-staple"} if protocol == "TLSv1.3" and what in WITHOUT_LEAF else set()
    assert set(visit.codes) == FOUND[what] | more


def test_openssl_gets_its_servers_staple_for_the_leaf_alone_in_tls_1_2(
    java_server: Program, responder: ToldResponder, site: Site
) -> None:
    responder.tell(site, site.good)
    for policy, codes in (("must-staple", []), ("strict", ["no-staple"])):
        with java_server.serving("TLSv1.2") as served:
            visit = site.visit(served.port, policy, engine="openssl", maximum="TLSv1.2")
        assert (visit.codes, visit.verdict.accepted) == (codes, not codes)
        assert visit.evidence[0] == (Status.GOOD, "TLS 1.2 CertificateStatus")
