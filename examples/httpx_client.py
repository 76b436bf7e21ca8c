"""httpx over a transport that judges: one good server asked often and judged once, and a revoked one never asked.

python examples/httpx_client.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene
from mustaple.integrations.httpx import StapledTransport, VerdictError
from mustaple.net.server import StaplingServer

at = datetime.now(UTC)
root = Authority.root(not_before=at - timedelta(days=1), not_after=at + timedelta(days=90))
leaf, other = root.leaf(["localhost"]), root.leaf(["other.test"])
scene = Scene(link=leaf.as_chain().links[0], issuer=root, other=other.as_chain().links[0], rogue=root, at=at)

with httpx.Client(transport=StapledTransport("must-staple", ca=root.certificate)) as client:
    for staple in (scene.response(), MUTATIONS["revoked"](scene)):
        with StaplingServer([leaf.certificate], leaf.key, staple) as server:
            try:
                response = client.get(f"https://localhost:{server.port}/")
                print(response.status_code, "after", response.extensions["verdict"].headline)
            except VerdictError as error:  # an httpx.ConnectError
                print(error)
                seen = server.next_record()
                print("the server saw alert", seen.alert, "and", len(seen.application_data), "bytes of the request")
