"""requests over the transport that judges: an adapter, mounted for every https address, lets no broken promise pass.

python examples/requests_client.py
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import httpx
import requests
from requests.adapters import BaseAdapter

from certtools.authority import Authority
from certtools.forge import MUTATIONS, Scene
from mustaple.integrations.httpx import StapledTransport, VerdictError
from mustaple.net.server import StaplingServer


class StapledAdapter(BaseAdapter):
    """What requests asks for goes through `StapledTransport`; a refusal is a `requests.exceptions.SSLError`."""

    def __init__(self, policy: str, **options: Any) -> None:
        super().__init__()
        self._client = httpx.Client(transport=StapledTransport(policy, **options))

    def send(self, request: requests.PreparedRequest, *, timeout: Any = None, **_: Any) -> requests.Response:
        """One request; the answer is read as a whole."""
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        try:
            answer = self._client.request(
                request.method or "GET",
                request.url or "",
                headers=dict(request.headers),
                content=request.body,
                timeout=httpx.Timeout(read, connect=connect),
            )
        except VerdictError as error:
            raise requests.exceptions.SSLError(str(error), request=request) from error
        except httpx.TimeoutException as error:
            raise requests.exceptions.Timeout(str(error), request=request) from error
        except httpx.TransportError as error:
            raise requests.exceptions.ConnectionError(str(error), request=request) from error
        response = requests.Response()
        response.status_code, response.reason, response.url = answer.status_code, answer.reason_phrase, str(answer.url)
        response.headers.update(answer.headers)
        response.encoding, response.raw, response.request = answer.encoding, BytesIO(answer.content), request
        return response

    def close(self) -> None:
        """Let the pooled connections go."""
        self._client.close()


at = datetime.now(UTC)
root = Authority.root(not_before=at - timedelta(days=1), not_after=at + timedelta(days=90))
leaf, other = root.leaf(["localhost"]), root.leaf(["other.test"])
scene = Scene(link=leaf.as_chain().links[0], issuer=root, other=other.as_chain().links[0], rogue=root, at=at)

with requests.Session() as session:
    session.mount("https://", StapledAdapter("must-staple", ca=root.certificate))
    for staple in (scene.response(), MUTATIONS["revoked"](scene)):
        with StaplingServer([leaf.certificate], leaf.key, staple) as server:
            try:
                response = session.get(f"https://localhost:{server.port}/", timeout=10)
                print(response.status_code, response.text.strip())
            except requests.exceptions.SSLError as error:
                print(error)
                seen = server.next_record()
                print("the server saw alert", seen.alert, "and", len(seen.application_data), "bytes of the request")
