"""The agent's caching responder as a server: what it answers is told as an event each, in the agent's own thread."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mustaple.agent.events import Event, Kind, Severity
from mustaple.agent.forwarding import AnyTarget, Forwarder
from mustaple.core.errors import InputError
from mustaple.net.lifespan import Lifespan
from mustaple.net.listen import is_loopback, listen, url_of
from mustaple.net.responder.app import ResponderApp
from mustaple.net.responder.log import RequestLog
from mustaple.net.responder.serving import AppRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mustaple.agent.answers import HeldAnswers
    from mustaple.agent.config_model import CachingResponderTable
    from mustaple.net.responder.log import RequestRecord

MOST_CONNECTIONS: Final = 512
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})


class CachingResponder(Lifespan):
    """A running one; `url` says where. Make and close it in the event loop in which `tell` is to be called.

    `proxy`, `trust` and `timeout` are the agent's own, for what is passed on. Raises InputError for an address that
    cannot be listened on.
    """

    def __init__(
        self,
        table: CachingResponderTable,
        answers: HeldAnswers,
        tell: Callable[[Event], None],
        *,
        proxy: str | None = None,
        trust: Path | None = None,
        timeout: float,
    ) -> None:
        host, _, port = table.listen.rpartition(":")
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._listener = listen(host.strip("[]"), int(port), expose=table.expose, option="caching_responder.listen")
        self.url = f"{url_of(self._listener, 'http')}/"
        forwarder = Forwarder(table.forward, proxy=proxy, trust=trust, timeout=timeout) if table.forward else None
        app = ResponderApp(answers, log=RequestLog(on_request=self._note), elsewhere=forwarder)
        self._runner = AppRunner(AnyTarget(app, forwarder), self._listener, most_connections=MOST_CONNECTIONS)

    def start(self) -> None:
        """See `Lifespan.start`."""
        self._runner.start()

    def close(self) -> None:
        """See `Lifespan.close`."""
        self._runner.close()

    def _note(self, record: RequestRecord) -> None:
        """One request, in the server's thread."""
        self._loop.call_soon_threadsafe(self._tell, event_of(record))


def event_of(record: RequestRecord) -> Event:
    """One answer as an event: a warning where there was nothing to give for a certificate that is watched."""
    answered = ",".join(record.answered)
    severity = Severity.WARNING if "tryLater" in record.answered else Severity.INFO
    asked = f", serial {', '.join(record.serials)}" if record.serials else ""
    why = f": {record.why}" if record.why else ""
    said = f"answered {answered} to {record.client} ({record.method}{asked}){why}"
    details: dict[str, Any] = {"answered": answered, "client": record.client, "method": record.method}
    return Event(Kind.ASKED, severity, said, record.time, details=details)


def leads_to(proxy: str, own: str) -> bool:
    """Whether this proxy URL is what listens on `own`, HOST:PORT."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        own_host, _, own_port = own.rpartition(":")
        return port == int(own_port) and _same_host(host, own_host.strip("[]"))
    except (ValueError, OSError, InputError):
        return False


def forget_own_proxy(own: str) -> list[str]:
    """Take the proxies that are this very responder out of this process's environment, and name the variables.

    One setting for all programs of a machine would have the agent ask itself for its staples, until they are dead.
    """
    variables = [name for name, url in os.environ.items() if name.lower() in _PROXIES and leads_to(url, own)]
    for name in variables:
        del os.environ[name]
    return variables


def _same_host(host: str, own: str) -> bool:
    anywhere = own in {"0.0.0.0", "::"}  # noqa: S104 - compared, not listened on
    if anywhere and is_loopback(host):
        return True
    addresses, own_addresses = (
        {address[0] for *_, address in socket.getaddrinfo(each, None, type=socket.SOCK_STREAM)} for each in (host, own)
    )
    return not addresses.isdisjoint(own_addresses)
