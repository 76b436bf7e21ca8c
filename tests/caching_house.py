"""A CA directory and an agent with a caching responder in front of it, for the tests of what that answers."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from asking import Answer, ask
from commands import Folder, Running, free_port

from certtools.chain import to_pem
from mustaple.net.responder import ResponderServer

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.chain import Link

HEADERS = {"Content-Type": "application/ocsp-request"}


class Place:
    """A CA directory, the agent's configuration for its leaf, and the port of the caching responder."""

    def __init__(self, path: Path, table: str = "", top: str = "") -> None:
        self.folder = Folder(path, above=True)
        self.path = path
        self.port = free_port()
        self.metrics = free_port()
        self.config = path / "agent.toml"
        self.config.write_text(
            f'store = "kept"\nsettle = "100ms"\nrescan = "200ms"\nlisten = "127.0.0.1:{self.metrics}"\nlog = "json"\n'
            f'{top}\n[refresh]\nfirst_backoff = "100ms"\nlongest_backoff = "200ms"\n'
            f'[caching_responder]\nlisten = "127.0.0.1:{self.port}"\n{table}\n'
            '[[chain]]\nname = "site"\ncertificates = ["chain.pem"]\nissuers = ["root.pem"]\n'
        )
        chain = self.folder.leaf.as_chain()
        (path / "leaf.pem").write_bytes(to_pem([chain.leaf]))
        (path / "ca.pem").write_bytes(to_pem([self.folder.link.issuer]))

    @property
    def link(self) -> Link:
        return self.folder.link

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def responding(self, **arguments: Any) -> ResponderServer:
        return ResponderServer.of_directory(self.path, **arguments)

    def post(self, der: bytes, target: str = "/", **headers: str) -> Answer:
        return ask(self.port, "POST", target, der, HEADERS | headers)

    def get(self, der: bytes, target: str = "/", **headers: str) -> Answer:
        text = quote(b64encode(der).decode(), safe="")
        return ask(self.port, "GET", target + text, None, {name.replace("_", "-"): headers[name] for name in headers})

    def openssl(self, *more: str) -> subprocess.CompletedProcess[str]:
        command = ["openssl", "ocsp", "-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "root.pem", *more]
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, timeout=60, check=False)


def has_staples(agent: Running) -> None:
    for _ in range(2):
        agent.says('"stapled"')
