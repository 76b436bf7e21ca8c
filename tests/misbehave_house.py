"""A CA directory whose responder misbehaves, and a server of its CA that leaves the asking to its clients."""

from __future__ import annotations

import asyncio
import queue
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
from commands import CA, ROOT, free_port

from certtools.ca_dir import CaDir, issuer_id
from certtools.chain import Link
from mustaple.core.errors import NetworkError
from mustaple.core.ocsp import judge
from mustaple.core.verdict import Source
from mustaple.lab.misbehaviour import MisbehavingResponder
from mustaple.net.client import check
from mustaple.net.exchange import ocsp_request
from mustaple.net.fetch import fetch_ocsp
from mustaple.net.responder import RequestLog
from mustaple.net.stapling_server import ChainStaplingServer

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.authority import Issued
    from mustaple.core.verdict import ChainVerdict
    from mustaple.net.responder import RequestRecord

SOON: Final = 0.4  # seconds that a client waits for a responder that keeps it waiting
PATIENT: Final = 30.0
OCSP_TYPE: Final = {"content-type": "application/ocsp-request"}


class House:
    """A CA directory, its misbehaving responder, and a server with a certificate of its CA that staples nothing."""

    def __init__(self, folder: Path, **how: Any) -> None:
        port = free_port()
        self.folder = folder
        self.root_url = f"http://127.0.0.1:{port}"
        self.crl_url = f"{self.root_url}/crl/{issuer_id(CA.certificate)}.crl"
        urls: dict[str, Any] = {"ocsp_urls": [f"{self.root_url}/"], "crl_urls": [self.crl_url]}
        self.leaf: Issued = CA.leaf(["localhost"], features=None, **urls)
        self.other: Issued = CA.leaf(["other.test"], features=None, **urls)
        with CaDir.create(folder / "ca", CA, {"ocsp_url": f"{self.root_url}/"}) as ca:
            ca.record(self.other.certificate)
            ca.record(self.leaf.certificate)
        self.seconds = 0.0
        self.ahead = timedelta()
        self.notes: queue.SimpleQueue[RequestRecord] = queue.SimpleQueue()
        clocks = {"now": lambda: datetime.now(UTC) + self.ahead, "monotonic": lambda: self.seconds}
        log = RequestLog(on_request=self.notes.put)
        self.responder = MisbehavingResponder(folder, control=0, log=log, **clocks, **how)
        self.server = ChainStaplingServer([self.leaf.certificate, CA.certificate], self.leaf.key)

    def link(self, issued: Issued | None = None) -> Link:
        return Link((issued or self.leaf).certificate, CA.certificate)

    def set(self, *texts: str) -> None:
        self.seconds, self.ahead = 0.0, timedelta()
        self.responder.plan.set(texts)

    def noted(self, what: str) -> RequestRecord:
        """The next request in the log of which this is said, waiting for it."""
        while True:
            record = self.notes.get(timeout=PATIENT)
            if any(what in said for said in record.answered):
                return record

    def check(self, timeout: float = PATIENT) -> ChainVerdict:
        address = (self.server.host, self.server.port)
        return check("localhost", address[1], "hard-fail", ca=ROOT.certificate, address=address, timeout=timeout)

    def code(self, timeout: float = PATIENT) -> str:
        reasons = self.check(timeout).all_reasons
        return reasons[0].code.value if reasons else ""

    def post(self, issued: Issued | None = None) -> httpx.Response:
        """The responder's HTTP response as it is, redirects not followed."""
        with httpx.Client(timeout=PATIENT, trust_env=False) as client:
            return client.post(self.responder.url, content=ocsp_request(self.link(issued)), headers=OCSP_TYPE)

    def judged_after(self, passed: timedelta) -> list[str]:
        """What is wrong with the answer that it gives, so much later."""
        self.ahead = passed
        return [
            reason.code.value for reason in judge(self.post().content, self.link(), datetime.now(UTC) + passed).reasons
        ]

    def fetched(self, issued: Issued | None = None, **asked: Any) -> str:
        """What the responder's own answer is worth, or that there is none."""
        asked = {"timeout": PATIENT, **asked}
        link = self.link(issued)
        try:
            body = fetch_ocsp(link, url=self.responder.url, **asked).body
        except NetworkError:
            return "nothing"
        return judge(body, link, datetime.now(UTC), source=Source.OCSP, nonce=asked.get("nonce")).status.value

    def __enter__(self) -> Self:
        self.responder.start()
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.responder.close()


class Pauses:
    """Waits as long as the test says: at once, or until whoever waits is let go of."""

    def __init__(self, *, forever: bool) -> None:
        self.asked: list[float] = []
        self.begun = threading.Event()
        self._forever = forever

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.begun.set()
        if self._forever:
            await asyncio.Event().wait()
