"""A CA directory with one leaf and a responder that serves it, for the tests of the responder."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asking import Answer, ask
from asn1crypto import ocsp as asn1_ocsp

from certtools.authority import Authority, Issued
from certtools.ca_dir import CaDir
from certtools.chain import Link
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source, Status
from mustaple.net.exchange import ocsp_request
from mustaple.net.fetch import fetch_ocsp
from mustaple.net.responder import ResponderServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime.now(UTC)
ROOT = Authority.root("responder root", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=40))
CA = ROOT.intermediate("responder CA")
MALFORMED, TRY_LATER, UNAUTHORIZED = (bytes.fromhex(f"30030a01{status:02x}") for status in (1, 3, 6))


@dataclass
class House:
    """A CA directory with one leaf and its responder."""

    folder: Path
    ca: CaDir
    leaf: Issued
    server: ResponderServer

    @property
    def link(self) -> Link:
        return Link(self.leaf.certificate, CA.certificate)

    def status(self, link: Link | None = None, **asked: Any) -> Status:
        link = link or self.link
        fetched = fetch_ocsp(link, url=self.server.url, **asked)
        found = judge(fetched.body, link, datetime.now(UTC), source=Source.OCSP, nonce=asked.get("nonce"))
        return found.status

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        return ask(self.server.port, method, path, body, {name.replace("_", "-"): headers[name] for name in headers})

    def post(self, der: bytes) -> bytes:
        response = self.ask("POST", "/", der, Content_Type="application/ocsp-request")
        assert response.status == 200
        assert response.getheader("Content-Type") == "application/ocsp-response"
        return response.body


@contextmanager
def house(folder: Path, **arguments: Any) -> Iterator[House]:
    leaf = CA.leaf(["localhost"])
    with CaDir.create(folder / "ca", CA, {"ocsp_url": "http://127.0.0.1:2560"}) as ca:
        ca.record(leaf.certificate)
        with ResponderServer.of_directory(folder, port=0, **arguments) as server:
            yield House(folder, ca, leaf, server)


def new_leaf(home: House) -> Link:
    issued = CA.leaf(["localhost"])
    home.ca.record(issued.certificate)
    return Link(issued.certificate, CA.certificate)


def several(*links: Link, nonces: tuple[bytes, ...] = (), **fields: Any) -> bytes:
    """A request for several certificates, which `cryptography` builds no more than it reads."""
    requests = [asn1_ocsp.OCSPRequest.load(ocsp_request(link))["tbs_request"]["request_list"][0] for link in links]
    tbs = {"request_list": requests, **fields}
    if nonces:
        tbs["request_extensions"] = [{"extn_id": "nonce", "extn_value": nonce} for nonce in nonces]
    built: bytes = asn1_ocsp.OCSPRequest({"tbs_request": tbs}).dump()
    return built


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "no_proxy": "*", "NO_PROXY": "*"}
    return subprocess.run(
        command, input="", capture_output=True, text=True, timeout=60, check=False, env=environment, errors="replace"
    )
