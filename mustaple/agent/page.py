"""The agent over HTTP: /metrics for Prometheus, /health for whoever restarts what is not well, /status as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mustaple.agent.fleet.standing import Standing
from mustaple.agent.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.agent.events import Event
    from mustaple.agent.metrics import Metrics
    from mustaple.agent.state import State

STALE: Final = 120.0  # seconds without a turn after which the loop is taken to be stuck


class Page:
    """An ASGI application. `beat` says how many seconds ago the agent's loop made its last turn."""

    def __init__(self, metrics: Metrics, beat: Callable[[], float]) -> None:
        self._metrics = metrics
        self._beat = beat
        self._state: State | None = None

    def see(self, state: State) -> None:
        """What there is to see from now on."""
        self._state = state
        self._metrics.see(state)

    def count(self, event: Event) -> None:
        """Something happened."""
        self._metrics.count(event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] != "http":
            return
        status, kind, body = self._answer(scope["method"], scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if method not in {"GET", "HEAD"}:
            return 405, "text/plain", b"GET only\n"
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._metrics.page()
        if path == "/health":
            status, health = self.health()
            return status, "application/json", json.dumps(health).encode() + b"\n"
        if path == "/status" and self._state is not None:
            return 200, "application/json", self._state.encode()
        return 404, "text/plain", b"there are /metrics, /health and /status\n"

    def health(self) -> tuple[int, dict[str, Any]]:
        """200 while the loop turns, with "degraded" where something wants an operator; 503 where it is stuck."""
        age = self._beat()
        if age > STALE or self._state is None:
            return 503, {"status": "stuck" if self._state is not None else "starting", "last_turn_seconds": round(age)}
        rows, targets = self._state.certificates, self._state.targets
        worries = {
            "must_staple_without_staple": sum(row.must_staple and row.status != "good" for row in rows),
            "revoked": sum(row.status == "revoked" for row in rows),
            "nearly_dead": sum(row.level == "critical" for row in rows),
            "targets_failing": sum(bool(row.error) for row in targets),
            "files_unreadable": len(self._state.problems),
        }
        fleet = self._state.fleet
        if fleet is not None:
            worries["partitioned"] = int(fleet.standing is Standing.PARTITIONED)
        place = {"fleet": fleet.standing.value} if fleet is not None else {}
        status = "degraded" if any(worries.values()) else "ok"
        return 200, {"status": status, "certificates": len(rows), **place, **worries}
