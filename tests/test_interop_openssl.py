"""What OpenSSL, curl and Wireshark make of our stapling server: the leaf's staple, and on the wire the whole list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from relay import Relay, write_capture
from stacks import run
from staples import Site

from mustaple.net.server import Ended
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CARRIERS = {"1.2": "ocsp", "1.3": "entries"}
versions = pytest.mark.parametrize("version", CARRIERS)


@pytest.fixture(scope="module")
def site() -> Site:
    # In 20 bytes it would begin with a nought, which DER leaves out.
    return Site(serial_number=0x27A4A2E5A884DBFA24CEAFAA6084147B827674)


@pytest.fixture(scope="module")
def root(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, *_ = site.write(tmp_path_factory.mktemp("openssl"))
    return path


@pytest.fixture
def server(site: Site) -> Iterator[ChainStaplingServer]:
    with ChainStaplingServer(site.sent, site.leaf.key) as running:
        yield running


# It prints the leaf's and judges none.
PRINTED = {
    None: "Cert Status: good",
    "leaf revoked": "Cert Status: revoked",
    "leaf dropped": "OCSP response: no response sent",
    "CA revoked": "Cert Status: good",
}


@pytest.mark.peer("openssl")
@versions
@pytest.mark.parametrize("what", PRINTED)
def test_s_client_reads_the_leafs_staple(
    server: ChainStaplingServer, site: Site, root: Path, version: str, what: str | None
) -> None:
    server.staples = site.good if what is None else site.wrong[what]
    done = run(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", f"-tls{version.replace('.', '_')}", "-status"),
        *("-CAfile", root, "-verify_return_error", "-servername", "localhost", "-verify_hostname", "localhost"),
    )
    record = server.next_record()
    assert done.returncode == 0, done.stderr
    assert PRINTED[what] in done.stdout
    missing = what == "leaf dropped" and version == "1.2"
    assert (record.carrier, record.offered) == (None if missing else CARRIERS[version], {5})


@pytest.mark.peer("curl")
@versions
@pytest.mark.parametrize(
    ("what", "code"),
    [
        (None, 0),
        ("swapped", 91),
        ("leaf revoked", 91),
        ("leaf expired", 91),
        ("leaf has another's", 91),
        ("leaf dropped", 91),
        ("CA revoked", 0),
    ],
)
def test_curl_judges_the_leafs_staple(
    server: ChainStaplingServer, site: Site, root: Path, version: str, what: str | None, code: int
) -> None:
    server.staples = site.good if what is None else site.wrong[what]
    done = run(
        *("curl", "--silent", "--show-error", "--ipv4", "--cert-status", "--cacert", root),
        *(f"--tlsv{version}", "--tls-max", version, f"https://localhost:{server.port}/"),
    )
    record = server.next_record()
    assert done.returncode == code, done.stderr
    assert ("chain stapling server of mustaple" in done.stdout) is (code == 0)
    assert (record.ended is Ended.SERVED) is (code == 0)


# Wireshark's decoder, on what a relay between our client and our server has heard


def decode(capture: Path, port: int, *fields: str) -> list[list[str]]:
    """The values of these fields in each packet, several of a kind joined with commas."""
    wanted = [word for field in fields for word in ("-e", field)]
    done = run("tshark", "-r", capture, "-d", f"tcp.port=={port},tls", "-T", "fields", *wanted)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


FIELDS = (
    "tls.handshake.type",
    "tls.handshake.extensions_status_request_type",
    "tls.handshake.ocsp_response_len",
    "ocsp.serialNumber",
    "ocsp.certStatus",
    "_ws.malformed",
)
HELLO, FLIGHT, CLIENT_HELLO = "1", "2,11,22,12,14", "1,2"  # status types of the offer: ocsp in 5, ocsp_multi in 17


def in_der(number: int) -> str:
    """The bytes of a positive INTEGER (X.690 §8.3), as Wireshark prints them."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big").hex()


def heard(server: ChainStaplingServer, site: Site, capture: Path, engine: str) -> list[list[str]]:
    with Relay(server.port) as relay:
        site.visit(relay.port, engine=engine, maximum="TLSv1.2")
    write_capture(capture, relay.said, relay.port)
    return decode(capture, relay.port, *FIELDS)


@pytest.mark.peer("tshark")
@pytest.mark.requirement("RFC6961-2.2-1", "RFC6961-2.2-2")
@pytest.mark.parametrize(("what", "statuses"), [(None, "0,0"), ("CA revoked", "0,1"), ("leaf revoked", "1,0")])
def test_wireshark_decodes_our_handshake_as_ocsp_multi(
    server: ChainStaplingServer, site: Site, tmp_path: Path, what: str | None, statuses: str
) -> None:
    server.staples = staples = site.good if what is None else site.wrong[what]
    hello, flight, *_ = heard(server, site, tmp_path / "heard.pcap", "rfc6961")
    lengths = ",".join(str(len(staple or b"")) for staple in staples)
    serials = ",".join(in_der(certificate.serial_number) for certificate in site.sent)
    assert hello == [HELLO, CLIENT_HELLO, "", "", "", ""]
    assert flight == [FLIGHT, "2", lengths, serials, statuses, ""]


@pytest.mark.peer("tshark")
@pytest.mark.requirement("RFC6066-8-1")
def test_wireshark_decodes_the_answer_to_openssl_as_ocsp(
    server: ChainStaplingServer, site: Site, tmp_path: Path
) -> None:
    server.staples = site.good
    hello, flight, *_ = heard(server, site, tmp_path / "heard.pcap", "openssl")
    assert hello == [HELLO, "1", "", "", "", ""]
    serial = in_der(site.sent[0].serial_number)
    assert flight == [FLIGHT, "1", str(len(site.good[0])), serial, "0", ""]
