"""What a playground answers at each path, whoever asks and over whichever port."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from mustaple import __version__
from mustaple.core import wire
from mustaple.lab.cases import World
from mustaple.lab.cases.export import families, listed
from mustaple.lab.cases.handshake import TLS12, split
from mustaple.lab.live import host_of
from mustaple.report.plain import json_text
from mustaple.report.playground_facts import (
    NEEDS_ANCHOR,
    NEEDS_V2,
    PlaygroundFacts,
    ServedCase,
    expectation_words,
    playground_json,
)
from mustaple.report.playground_page import case_html, content_security_policy, index_html

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mustaple.lab.cases import Case, Setup
    from mustaple.lab.live import CaseServer, Visit

_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_ANCHORS: Final = "/anchors/"
_WORTH_PACKING: Final = 2048  # bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP response but for its framing."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def packed(self, headers: Mapping[str, str]) -> Answer:
        """The same, compressed for a client whose request says (headers by lower-case names) that it can read that."""
        codings = {each.partition(";")[0].strip() for each in headers.get("accept-encoding", "").split(",")}
        if "gzip" not in codings or len(self.body) < _WORTH_PACKING:
            return self
        body = gzip.compress(self.body, 6, mtime=0)
        return Answer(self.status, self.media_type, body, (*self.headers, ("Content-Encoding", "gzip")))


class Book:
    """The pages of a playground on this case server. `page_url` is where they are over plain HTTP."""

    def __init__(self, server: CaseServer, page_url: str) -> None:
        self._server = server
        self._page_url = page_url
        self._writing = threading.RLock()
        self._by_label = {host_of(case).partition(".")[0]: case for case in server.cases}

    def write(self) -> None:
        """Make the pages, so that nobody has to wait for them: it takes making every case once, about a second."""
        with self._writing:
            _ = self._index, self._json

    @property
    def facts(self) -> PlaygroundFacts:
        """What the pages say."""
        with self._writing:
            return self._facts

    @cached_property
    def _facts(self) -> PlaygroundFacts:
        server, world = self._server, World()
        served = []
        for case in server.cases:
            setup = case.setup(world)
            host, port = server.own_address(case) if server.has_own_ports else (None, None)
            served.append(
                ServedCase(
                    listed(case),
                    host_of(case),
                    server.url_of(case),
                    f"https://{host}:{port}/" if host is not None else None,
                    setup.protocols,
                    tuple(_needs(setup, world)),
                )
            )
        return PlaygroundFacts(
            version=__version__,
            url=f"https://localhost:{server.port}/",
            page_url=self._page_url,
            fingerprint=server.root.fingerprint(SHA256()).hex(),
            families=families(),
            cases=served,
        )

    def page(self, target: str) -> Answer:
        """What is at this path of the page's own two ports."""
        path = target.partition("?")[0]
        if path in {"/", "/cases.json"}:
            self.write()
        if path == "/":
            return Answer(200, _HTML, self._index, (("Content-Security-Policy", content_security_policy()),))
        if path == "/cases.json":
            return Answer(200, _JSON, self._json)
        if path in {"/root.pem", "/root.crt"}:
            # Browsers offer to install a certificate of the one type, and keep the other as a file.
            media_type = "application/x-x509-ca-cert" if path.endswith("crt") else "application/x-pem-file"
            return Answer(200, media_type, self._server.ca_pem)
        if path.startswith(_ANCHORS):
            case = self._by_label.get(path.removeprefix(_ANCHORS).removesuffix(".pem"))
            if case is not None:
                pem = self._server.trusted(case).public_bytes(Encoding.PEM)
                return Answer(200, "application/x-pem-file", pem)
        return Answer(404, _TEXT, f"There is nothing here. The list of cases is at {self._page_url}\n".encode())

    def visit(self, target: str, case: Case, visit: Visit, *, as_page: bool) -> Answer:
        """What a case's own server answers at this path: a page for people, `seen.json`, or lines of text."""
        if target.partition("?")[0] == "/seen.json":
            return Answer(200, _JSON, _seen(case, visit))
        if as_page:
            shown = next(each for each in self.facts.cases if each.listed.id == case.id)
            headers = (("Content-Security-Policy", content_security_policy()),)
            return Answer(200, _HTML, case_html(self.facts, shown, _met(visit)).encode(), headers)
        expected = {preset: expectation_words(said) for preset, said in listed(case).expected.items()}
        should = "".join(f"  {preset:<12} {said}\n" for preset, said in expected.items())
        text = f"{case.id}\n{case.description}\n{_met(visit)}\nA client of this policy should:\n{should}"
        return Answer(200, _TEXT, text.encode())

    @staticmethod
    def honest_visit(visit: Visit) -> Answer:
        """`seen.json` of the honest server."""
        return Answer(200, _JSON, _seen(None, visit))

    @cached_property
    def _index(self) -> bytes:
        return index_html(self._facts).encode()

    @cached_property
    def _json(self) -> bytes:
        return json_text(playground_json(self._facts)).encode() + b"\n"


def not_understood(status: HTTPStatus) -> Answer:
    """The answer to what is no request for a page."""
    headers = (("Allow", "GET, HEAD"),) if status is HTTPStatus.METHOD_NOT_ALLOWED else ()
    return Answer(status, _TEXT, f"{status.phrase}.\n".encode(), headers)


def _seen(case: Case | None, visit: Visit) -> bytes:
    """What the server saw of the client that asks."""
    seen = {
        "case": case.id if case is not None else None,
        "protocol": visit.protocol,
        "offered": sorted(visit.offered),
        "server_name": visit.server_name,
    }
    return json_text(seen, one_line=True).encode() + b"\n"


def _met(visit: Visit) -> str:
    asked = " and ".join(map(str, sorted(visit.offered)))
    how = f"asking for a staple with extension {asked}" if asked else "asking for no staple"
    return f"You came over {visit.protocol}, {how}."


def _needs(setup: Setup, world: World) -> list[str]:
    """What a client has to have to meet what this case is about."""
    needs = [NEEDS_ANCHOR] if setup.trusted != world.root.certificate else []
    flight = setup.flights.get(TLS12)
    if wire.STATUS_REQUEST not in setup.offered or (flight is not None and _announces_v2(flight)):
        needs.append(NEEDS_V2)
    return needs


def _announces_v2(flight: bytes) -> bool:
    """Whether the ServerHello answers extension 17, which is an error to a client that did not offer it."""
    reader = wire.Reader(next(split(flight))[4:], "ServerHello")
    reader.take(2 + 32)  # version and random
    reader.vector(1)
    reader.take(2 + 1)  # cipher suite and compression
    return wire.STATUS_REQUEST_V2 in wire.decode_extensions(reader, "ServerHello")
