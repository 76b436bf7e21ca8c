"""A TLS server that staples nothing, and what a client may ask instead: responders, CRL servers, ports nobody has."""

from __future__ import annotations

import http.server
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from certtools.authority import Authority, Issued
from certtools.chain import Link
from certtools.forge import CRL_MUTATIONS, CrlScene, Revoked, crl, good, honest_crl
from mustaple.net.client import check
from mustaple.net.server import StaplingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mustaple.core.policy import Policy
    from mustaple.core.verdict import ChainVerdict

DAY: Final = timedelta(days=1)


class Depot:
    """A plain file server: `files` by path; what is not there is a 404. `asked` are the paths of all requests.

    A path in `gates` waits until its event is set.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        depot = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                depot.asked.append(self.path)
                if self.path in depot.gates:
                    depot.gates[self.path].wait(30)
                found = depot.files.get(self.path)
                body = found if isinstance(found, bytes) else b""
                # A text is where the file has gone.
                self.send_response(404 if found is None else 302 if isinstance(found, str) else 200)
                if isinstance(found, str):
                    self.send_header("Location", found)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for gate in self.gates.values():
            gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that refuses: bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@dataclass
class Shop:
    """A leaf for localhost that names these URLs, and its CA. Everything is valid now."""

    ocsp: Sequence[str] = ()
    crls: Sequence[str] = ()
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    root: Authority = field(init=False)
    ca: Authority = field(init=False)

    def __post_init__(self) -> None:
        span: dict[str, Any] = {"not_before": self.now - 100 * DAY, "not_after": self.now + 100 * DAY}
        self.root = Authority.root("shop root", **span)
        self.ca = self.root.intermediate("shop CA")
        self.rogue = Authority.root("rogue", **span)

    @cached_property
    def leaf(self) -> Issued:
        return self.ca.leaf(["localhost"], features=None, ocsp_urls=self.ocsp, crl_urls=self.crls)

    @property
    def link(self) -> Link:
        return Link(self.leaf.certificate, self.ca.certificate)

    @property
    def scene(self) -> CrlScene:
        return CrlScene(link=self.link, issuer=self.ca, rogue=self.rogue, at=self.now)

    def crl(self, name: str = "honest") -> bytes:
        """The honest CRL or a mutation of it."""
        make: Callable[[CrlScene], bytes] = CRL_MUTATIONS.get(name, honest_crl)
        return make(self.scene)

    def staple(self) -> bytes:
        """A good response for the leaf."""
        return good(self.link, self.ca, self.now)

    def revoking(self, **said: Any) -> bytes:
        """A CRL that lists the leaf."""
        times: dict[str, Any] = {"this_update": self.now - DAY / 24, "next_update": self.now + 6 * DAY, "number": 8}
        return crl(self.ca, [Revoked(self.link.serial_number, self.now - DAY)], **(times | said))

    def serve(self, staple: bytes | None = None) -> StaplingServer:
        return StaplingServer(self.leaf.chain[:-1], self.leaf.key, staple)

    def check(self, policy: Policy | str = "hard-fail", staple: bytes | None = None, **options: Any) -> ChainVerdict:
        """The strict client's verdict on a server that staples this, or nothing."""
        with self.serve(staple) as server:
            verdict = check("localhost", server.port, policy, **({"ca": self.root.certificate} | options))
            record = server.next_record()
        assert record.application_data == b""
        return verdict


def codes(verdict: ChainVerdict) -> list[str]:
    """The codes of every refusing reason."""
    return [reason.code.value for reason in verdict.all_reasons]


def asked(verdict: ChainVerdict) -> list[tuple[str, str, str]]:
    """Source, address and answer of every request that was made."""
    return [(each.source.value, each.url, each.answer) for each in verdict.requests]
