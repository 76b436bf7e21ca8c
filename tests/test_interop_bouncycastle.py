"""Bouncy Castle's low-level TLS and ours, both ways: its client's offers are followed, its server's lists judged."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from stacks import Program, compile_java
from staples import WRONG, Site

from mustaple.core.verdict import Status
from mustaple.net.server import Ended
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JARS = ("bctls.jar", "bcutil.jar", "bcprov.jar")
pytestmark = pytest.mark.peer("java", "javac", *JARS)

MULTI = "TLSv1.2 17:ocsp_multi"
ENTRIES = "TLSv1.3 5"
CARRIERS = {MULTI: "ocsp_multi", ENTRIES: "entries"}


@pytest.fixture(scope="module")
def site() -> Site:
    """Without a promise in its leaf: what Bouncy Castle makes of one is a test of its own."""
    return Site(features=None)


# its client, our server


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return compile_java("BouncyClient.java", tmp_path_factory.mktemp("bouncy-classes"), *JARS)


@pytest.fixture(scope="module")
def client(site: Site, classes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    root, *_ = site.write(tmp_path_factory.mktemp("bouncy"))
    with Program([*classes, root]) as running:
        yield running


@pytest.fixture
def server(site: Site) -> Iterator[ChainStaplingServer]:
    with ChainStaplingServer(site.sent, site.leaf.key) as running:
        yield running


# What is offered, what carries the answer, and how many staples come; our server follows the order of the offer.
OFFERS = {
    "TLSv1.2 17:ocsp_multi": ("ocsp_multi", 2),
    "TLSv1.2 5 17:ocsp_multi": ("ocsp_multi", 2),
    "TLSv1.2 17:ocsp_multi,ocsp": ("ocsp_multi", 2),
    "TLSv1.2 17:ocsp,ocsp_multi": ("ocsp", 1),
    "TLSv1.2 5 17:ocsp": ("ocsp", 1),
    "TLSv1.2 5": ("ocsp", 1),
    "TLSv1.2": ("nothing", 0),
    "TLSv1.3 5": ("entries", 2),
    "TLSv1.3 5 17:ocsp_multi": ("entries", 2),
    "TLSv1.3 17:ocsp_multi": ("nothing", 0),
    "TLSv1.3": ("nothing", 0),
}


@pytest.mark.requirement("RFC6961-2.2-1", "RFC6961-2.2-2", "RFC9846-4.5.1.1-1")
@pytest.mark.parametrize("offer", OFFERS)
def test_its_client_gets_what_it_offers_to_take(
    client: Program, server: ChainStaplingServer, site: Site, offer: str
) -> None:
    carrier, count = OFFERS[offer]
    server.staples = site.good
    said = client.ask(f"{server.port} {offer} leaf-only")
    record = server.next_record()
    assert record.carrier == (carrier if count else None)
    if count:
        assert said.split() == ["ACCEPTED", carrier, *(str(len(staple)) for staple in site.good[:count])]
        assert record.ended is Ended.SERVED
    else:
        assert said.startswith("REFUSED")
        assert (record.ended, record.alert) == (Ended.REFUSED, 113)


@pytest.mark.parametrize("offer", ["TLSv1.2 17:ocsp,ocsp_multi", "TLSv1.2 17:ocsp", "TLSv1.2 5"])
def test_its_client_that_wants_every_staple_refuses_the_leafs_alone(
    client: Program, server: ChainStaplingServer, site: Site, offer: str
) -> None:
    server.staples = site.good
    assert client.ask(f"{server.port} {offer}").startswith("REFUSED")
    assert server.next_record().alert == 113


REFUSED = {
    "swapped": "OCSP responder certificate not found",
    "leaf revoked": "certificate revoked",
    "leaf expired": "OCSP response expired",
    "leaf dropped": "Connection refused",  # it asks the responder that is not there
    "CA revoked": "certificate revoked",
    "CA expired": "OCSP response expired",
    "CA has the leaf's": "OCSP responder certificate not found",
    "CA dropped": "Connection refused",
}


@pytest.mark.parametrize("offer", CARRIERS)
@pytest.mark.parametrize("what", REFUSED)
def test_its_client_refuses_with_one_thing_changed(
    client: Program, server: ChainStaplingServer, site: Site, offer: str, what: str
) -> None:
    server.staples = site.good
    assert client.ask(f"{server.port} {offer}").startswith(f"ACCEPTED {CARRIERS[offer]}")
    assert server.next_record().ended is Ended.SERVED
    server.staples = site.wrong[what]
    said = client.ask(f"{server.port} {offer}")
    assert said.startswith("REFUSED")
    assert REFUSED[what] in said
    record = server.next_record()
    assert (record.ended, record.alert, record.carrier) == (Ended.REFUSED, 113, CARRIERS[offer])


def test_its_client_refuses_a_list_longer_than_the_chain(
    client: Program, server: ChainStaplingServer, site: Site
) -> None:
    leaf, authority = site.good
    server.staples = (leaf, authority, authority)
    assert "illegal_parameter(47)" in client.ask(f"{server.port} {MULTI}")
    assert server.next_record().alert == 47


@pytest.mark.parametrize("offer", CARRIERS)
def test_its_client_takes_another_certificates_staple_where_ours_refuses(
    client: Program, server: ChainStaplingServer, site: Site, offer: str
) -> None:
    """Its path validation ends without a word where no SingleResponse is about the certificate (RFC 6960 §3.2)."""
    server.staples = site.wrong["leaf has another's"]
    assert client.ask(f"{server.port} {offer}").startswith("ACCEPTED")
    server.next_record()
    assert site.visit(server.port, engine="rfc6961", maximum=offer.partition(" ")[0]).codes == ["other-certificate"]


# RFC 7633 §4.3.3 by the letter: a promise of 5 is broken where 5 was offered and another extension carried the staple;
# in TLS 1.3 always, since it looks for the answer in EncryptedExtensions. There it leaves 17 out of its offer.
PROMISES = {
    ("TLSv1.2 17:ocsp_multi", (5,)): True,
    ("TLSv1.2 5 17:ocsp_multi", (5,)): False,
    ("TLSv1.2 5 17:ocsp_multi", (17,)): True,
    ("TLSv1.2 5 17:ocsp_multi", (5, 17)): False,
    ("TLSv1.3 5", (5,)): False,
    ("TLSv1.3 5 17:ocsp_multi", (17,)): True,
}


@pytest.fixture(scope="module")
def promising() -> dict[tuple[int, ...], Site]:
    return {features: Site(features=features) for features in ((5,), (17,), (5, 17))}


@pytest.mark.parametrize(("offer", "features"), PROMISES)
def test_its_client_reads_a_promise_by_the_letter(
    classes: list[str],
    promising: dict[tuple[int, ...], Site],
    offer: str,
    features: tuple[int, ...],
    tmp_path: Path,
) -> None:
    site = promising[features]
    root, *_ = site.write(tmp_path)
    with Program([*classes, root]) as client, ChainStaplingServer(site.sent, site.leaf.key, site.good) as server:
        said = client.ask(f"{server.port} {offer}")
        record = server.next_record()
    if PROMISES[offer, features]:
        assert said.startswith("ACCEPTED")
        assert record.ended is Ended.SERVED
    else:
        assert "certificate_unknown(46)" in said
        assert record.alert == 46


# its server, our client


@pytest.fixture(scope="module")
def promise() -> Site:
    return Site()


@pytest.fixture(scope="module")
def bouncy_server(promise: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("bouncy-server")
    _, chain, _ = promise.write(folder)
    key = promise.leaf.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.der").write_bytes(key)
    command = compile_java("BouncyServer.java", folder, *JARS)
    with Program([*command, chain, folder / "key.der"]) as running:
        yield running


def order(carrier: str, *staples: bytes | None) -> str:
    protocol = "TLSv1.3" if carrier == "entries" else "TLSv1.2"
    written = [base64.b64encode(staple).decode() if staple else "-" for staple in staples]
    return " ".join([protocol, carrier, *written])


WAYS = {
    ("ocsp_multi", "rfc6961"): "TLS 1.2 CertificateStatus (ocsp_multi), response {}",
    ("entries", "rfc6961"): "TLS 1.3 Certificate, entry {}",
    ("entries", "openssl"): "TLS 1.3 Certificate, entry {}",
}
ways = pytest.mark.parametrize(("carrier", "engine"), WAYS)


@ways
@pytest.mark.requirement("RFC6961-2.2-2", "RFC6961-2.2-4", "RFC9846-4.5.1.1-1")
def test_a_staple_of_its_server_for_every_certificate_is_accepted(
    bouncy_server: Program, promise: Site, carrier: str, engine: str
) -> None:
    with bouncy_server.serving(order(carrier, *promise.good)) as served:
        visit = promise.visit(served.port, engine=engine)
    assert served.said == "SERVED"
    assert visit.verdict.accepted, visit.codes
    assert visit.evidence == [(Status.GOOD, WAYS[carrier, engine].format(place)) for place in range(2)]
    assert visit.page.endswith(b"Bouncy")


CODES = {
    "swapped": {"bad-signature", "other-certificate"},
    "leaf revoked": {"revoked"},
    "leaf expired": {"expired"},
    "leaf has another's": {"other-certificate"},
    "leaf dropped": {"promise-broken"},
    "CA revoked": {"revoked"},
    "CA expired": {"expired"},
    "CA has the leaf's": {"bad-signature", "other-certificate"},
    "CA dropped": {"no-staple"},
}


@ways
@pytest.mark.parametrize("what", WRONG)
def test_its_servers_staples_are_refused_with_one_thing_changed(
    bouncy_server: Program, promise: Site, carrier: str, engine: str, what: str
) -> None:
    with bouncy_server.serving(order(carrier, *promise.wrong[what])) as served:
        visit = promise.visit(served.port, engine=engine)
    assert not visit.verdict.accepted
    assert set(visit.codes) == CODES[what]
    assert served.said.startswith("FAILED")


# Lists that no honest server sends, by the places of the good staples in them; "-" is empty. The reasons stand as they
# are told, the most telling first: what is too long is read no further, so everything is missing besides.
TOO_LONG = ["wire", "promise-broken", "no-staple"]
ODD = {
    "0": ["no-staple"],
    "0 -": ["no-staple"],
    "- 1": ["promise-broken"],
    "- -": ["promise-broken", "no-staple"],
    "1 0": ["bad-signature", "bad-signature", "other-certificate", "other-certificate"],
    "1": ["bad-signature", "other-certificate", "no-staple"],
    "0 1 1": TOO_LONG,
    "0 1 -": TOO_LONG,
    "- 0 1": TOO_LONG,
}


@pytest.mark.requirement("RFC6961-2.2-2", "RFC6961-2.2-3")
@pytest.mark.parametrize("places", ODD)
def test_an_odd_list_of_its_server_is_refused_with_its_reason(
    bouncy_server: Program, promise: Site, places: str
) -> None:
    listed = [None if place == "-" else promise.good[int(place)] for place in places.split()]
    with bouncy_server.serving(order("ocsp_multi", *listed)) as served:
        visit = promise.visit(served.port, engine="rfc6961")
    assert not visit.verdict.accepted
    assert visit.codes == ODD[places]
    assert "bad_certificate_status_response(113)" in served.said


@pytest.mark.parametrize(("carrier", "codes"), [("ocsp", ["no-staple"]), ("nothing", ["promise-broken", "no-staple"])])
def test_its_server_with_the_leafs_staple_or_none_is_refused(
    bouncy_server: Program, promise: Site, carrier: str, codes: list[str]
) -> None:
    staples = promise.good[:1] if carrier == "ocsp" else ()
    with bouncy_server.serving(order(carrier, *staples)) as served:
        visit = promise.visit(served.port, engine="rfc6961")
    assert visit.codes == codes
    assert "bad_certificate_status_response(113)" in served.said
