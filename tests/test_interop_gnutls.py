"""GnuTLS and ours, both ways, in TLS 1.3: a staple in the entry of every certificate."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from stacks import SOURCES, Program, alone, run
from staples import Site

from mustaple.net.server import Ended
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


# gnutls-cli, our server


@pytest.fixture(scope="module")
def root(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, *_ = site.write(tmp_path_factory.mktemp("gnutls"))
    return path


@pytest.fixture
def server(site: Site) -> Iterator[ChainStaplingServer]:
    with ChainStaplingServer(site.sent, site.leaf.key) as running:
        yield running


def gnutls_cli(port: int, root: Path, version: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run(
        *(
            "gnutls-cli",
            "--port",
            str(port),
            "--x509cafile",
            root,
            "--priority",
            f"NORMAL:-VERS-ALL:+VERS-TLS{version}",
        ),
        *("--sni-hostname", "localhost", "--verify-hostname", "localhost", *options, "127.0.0.1"),
        send="GET / HTTP/1.0\r\n\r\n",
    )


@pytest.mark.peer("gnutls-cli")
@pytest.mark.requirement("RFC9846-4.5.1.1-1")
def test_its_client_takes_a_staple_for_every_certificate(
    server: ChainStaplingServer, site: Site, root: Path, tmp_path: Path
) -> None:
    server.staples = site.good
    saved = tmp_path / "saved.pem"
    done = gnutls_cli(server.port, root, "1.3", f"--save-ocsp-multi={saved}")
    record = server.next_record()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The certificate is trusted" in done.stdout
    assert "chain stapling server of mustaple" in done.stdout
    assert (record.ended, record.carrier, record.protocol) == (Ended.SERVED, "entries", "TLSv1.3")
    # What it saved are the two, in the chain's order.
    begin, end = "-----BEGIN OCSP RESPONSE-----", "-----END OCSP RESPONSE-----"
    bodies = [each.partition(end)[0] for each in saved.read_text().split(begin)[1:]]
    assert [base64.b64decode(body) for body in bodies] == list(site.good)


# What it says of each; it minds a missing staple only where the certificate promises one.
UNRELATED = "The received OCSP status response is invalid"
REVOKED = "The certificate chain is revoked"
OLD = "The revocation or OCSP data are old"
SAID = {
    "swapped": UNRELATED,
    "leaf revoked": REVOKED,
    "leaf expired": OLD,
    "leaf has another's": UNRELATED,
    "leaf dropped": "the OCSP status is missing",
    "CA revoked": REVOKED,
    "CA expired": OLD,
    "CA has the leaf's": UNRELATED,
}


@pytest.mark.peer("gnutls-cli")
@pytest.mark.parametrize("what", SAID)
def test_its_client_refuses_with_one_thing_changed(
    server: ChainStaplingServer, site: Site, root: Path, what: str
) -> None:
    server.staples = site.wrong[what]
    done = gnutls_cli(server.port, root, "1.3")
    record = server.next_record()
    assert done.returncode == 1, done.stdout + done.stderr
    assert SAID[what] in done.stdout
    assert (record.ended, record.alert, record.carrier) == (Ended.REFUSED, 42, "entries")


@pytest.mark.peer("gnutls-cli")
def test_its_client_takes_no_staple_for_the_ca_where_ours_refuses(
    server: ChainStaplingServer, site: Site, root: Path
) -> None:
    server.staples = site.wrong["CA dropped"]
    assert gnutls_cli(server.port, root, "1.3").returncode == 0
    server.next_record()
    assert site.visit(server.port, engine="openssl").codes == ["no-staple"]


@pytest.mark.peer("gnutls-cli")
@pytest.mark.parametrize(("what", "code"), [(None, 0), ("leaf revoked", 1), ("CA revoked", 0)])
def test_in_tls_1_2_its_client_gets_the_leafs_staple_alone(
    server: ChainStaplingServer, site: Site, root: Path, what: str | None, code: int
) -> None:
    """It offers extension 5 and never 17."""
    server.staples = site.good if what is None else site.wrong[what]
    assert gnutls_cli(server.port, root, "1.2").returncode == code
    record = server.next_record()
    assert (record.carrier, record.offered) == ("ocsp", {5})


# gnutls-serv, our client

serv = pytest.mark.peer("gnutls-serv", "unshare", "ip", "network namespace")


class Server:
    """gnutls-serv in a network of its own, and our client beside it."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def visit(self, *staples: bytes | None, version: str = "1.3", days: float = 0, careless: bool = False) -> Any:
        """Our verdict on these staples in so many days; a `careless` server takes any file for a staple."""
        options = ["--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}"]
        options += ["--ignore-ocsp-response-errors"] if careless else []
        for place, staple in enumerate(staples):
            if staple is not None:
                file = self._folder / f"{place}.der"
                file.write_bytes(staple)
                options += ["--ocsp-response", str(file)]
        return json.loads(self._program.ask(json.dumps({"options": options, "days": days})))


@pytest.fixture(scope="module")
def gnutls_serv(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("gnutls-serv")
    files = site.write(folder)
    with Program(alone(sys.executable, SOURCES / "visit_gnutls_serv.py", *files)) as program:
        yield Server(program, folder)


ENTRIES = ["TLS 1.3 Certificate, entry 0", "TLS 1.3 Certificate, entry 1"]


@serv
@pytest.mark.requirement("RFC9846-4.5.1.1-1")
def test_its_servers_staple_for_every_certificate_is_accepted(gnutls_serv: Server, site: Site) -> None:
    found = gnutls_serv.visit(*site.good)
    assert found["accepted"], found
    assert (found["protocol"], found["origins"]) == ("TLSv1.3", ENTRIES)
    assert found["page"] > 0
    # It puts each staple where it belongs, in whatever order they are given.
    leaf, authority = site.good
    assert gnutls_serv.visit(authority, leaf) == found


@serv
@pytest.mark.parametrize(("what", "codes"), [("CA dropped", ["no-staple"]), ("leaf dropped", ["promise-broken"])])
def test_its_server_without_one_staple_is_refused(gnutls_serv: Server, site: Site, what: str, codes: list[str]) -> None:
    found = gnutls_serv.visit(*site.wrong[what])
    assert (found["accepted"], found["codes"], found["page"]) == (False, codes, 0)


@serv
def test_its_servers_staples_are_refused_once_they_are_old(gnutls_serv: Server, site: Site) -> None:
    found = gnutls_serv.visit(*site.good, days=5)
    assert (found["accepted"], found["codes"]) == (False, ["expired", "expired"])


@serv
@pytest.mark.parametrize(("what", "code"), [("leaf revoked", "revoked"), ("leaf has another's", "other-certificate")])
def test_its_server_staples_a_wrong_response_only_where_it_is_told_to(
    gnutls_serv: Server, site: Site, what: str, code: str
) -> None:
    staple, _ = site.wrong[what]
    assert "Cannot set OCSP status request file" in gnutls_serv.visit(staple)["said"]
    found = gnutls_serv.visit(staple, careless=True)
    assert (found["accepted"], found["codes"]) == (False, [code, "no-staple"])


@serv
def test_in_tls_1_2_its_server_staples_for_the_leaf_alone(gnutls_serv: Server, site: Site) -> None:
    found = gnutls_serv.visit(*site.good, version="1.2")
    assert (found["accepted"], found["codes"]) == (False, ["no-staple"])
    assert found["origins"] == ["TLS 1.2 CertificateStatus", None]
