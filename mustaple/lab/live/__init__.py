"""Cases of the corpus as running servers: one TLS port for all of them, told apart by server name, or one port each.

with CaseServer() as server:
    host, port = server.address(find("freshness/expired"))  # ("freshness-expired.localhost", 41873)
    connect_to(host, port, trusting=server.ca_pem)
    server.records[-1].alert  # 113: the client refused the staple
"""

from __future__ import annotations

from mustaple.lab.live.server import CaseServer
from mustaple.lab.live.stock import Served, host_of
from mustaple.lab.live.switch import Switch
from mustaple.lab.live.visit import HTTPRequest, Visit, respond

__all__ = ["CaseServer", "HTTPRequest", "Served", "Switch", "Visit", "host_of", "respond"]
