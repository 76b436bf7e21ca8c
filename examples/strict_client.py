"""Connect to a server that keeps its promise and to one that broke it: the second never sees a byte of the request.

python examples/strict_client.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import mustaple
from certtools.authority import Authority
from certtools.forge import good
from mustaple.net.server import StaplingServer

at = datetime.now(UTC)
root = Authority.root(not_before=at - timedelta(days=1), not_after=at + timedelta(days=90))
leaf = root.leaf(["localhost"])
staple = good(leaf.as_chain().links[0], root, at)

for what in (staple, None):
    with StaplingServer([leaf.certificate], leaf.key, what) as server:
        try:
            with mustaple.connect("localhost", server.port, "must-staple", ca=root.certificate) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                print("kept its promise:", connection.recv().split(b"\r\n")[0].decode())
        except mustaple.RefusedError as refused:
            print("broke its promise:", refused.verdict.all_reasons[0].detail)
            print("the server saw alert", server.next_record().alert)
