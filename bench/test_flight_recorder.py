"""What keeping and reading the server's flight adds to an OpenSSL handshake with both ends in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from OpenSSL import SSL
from openssl_ends import Stepper, accepting, plain_context, pump, server_context
from ratios import ratio

from mustaple.core.flight import _sent_tls12, _sent_tls13, read_flight

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

    from mustaple.core.flight import Flight

VERSIONS = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}
_SECRET = b"SERVER_HANDSHAKE_TRAFFIC_SECRET "


class _Recorder:
    """Keeps the server's bytes and its secret, and reads the flight in the callback; it does not hold the client."""

    def __init__(self) -> None:
        self.captured: list[bytes] = []
        self.secret: bytes | None = None
        self.flight: Flight | None = None

    def read(self) -> None:
        """Read the flight; it is complete."""
        self.flight = read_flight(b"".join(self.captured), secret=self.secret)


def _on_secret(connection: SSL.Connection, line: bytes) -> None:
    if line.startswith(_SECRET):
        connection.get_app_data().secret = bytes.fromhex(line[line.rindex(b" ") + 1 :].decode("ascii"))


def _on_status(connection: SSL.Connection, _staple: bytes, _data: object) -> bool:
    connection.get_app_data().read()
    return True


def test_the_flight_recorder(
    benchmark: BenchmarkFixture, stapled: Stapled, record: Callable[[str, float, str], None]
) -> None:
    """At most 1.1 times a verified handshake that asks for the status and does nothing with it.

    The limit is for each version by itself. The server sends the leaf and its CA, and staples for the leaf, as OpenSSL
    can. It shows the same Certificate for hours, which is read once; what the first sight of it costs is shown, too.
    """
    found, first = [], []
    for version, number in VERSIONS.items():
        recorded, unrecorded = _clients(stapled, number)

        def first_sight(recorded: Callable[[], None] = recorded) -> None:
            _sent_tls12.cache_clear()
            _sent_tls13.cache_clear()
            recorded()

        found.append(ratio(recorded, unrecorded, rounds=1500, calls=1, at_most=1.1))
        first.append(ratio(first_sight, unrecorded, rounds=600, calls=1))
        record(f"{version} handshake with its flight recorded and read / without", found[-1].value, "≤ 1.10")
    together = sum(each.ours for each in found) / sum(each.peer for each in found)
    record("both together", together, "none")
    at_first = sum(each.ours for each in first) / sum(each.peer for each in first)
    record("both together, at the first sight of the server", at_first, "none")
    benchmark.pedantic(recorded, rounds=50)
    assert max(each.value for each in found) <= 1.10


def _clients(stapled: Stapled, version: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Two whole handshakes, with the recorder and without."""
    staple = stapled.staples[0]
    server = server_context(stapled.leaf, staple, version)
    plain, recording = (plain_context(stapled.root.certificate) for _ in range(2))
    plain.set_ocsp_client_callback(lambda _connection, _staple, _data: True)
    recording.set_ocsp_client_callback(_on_status)
    recording.set_keylog_callback(_on_secret)

    def recorded() -> None:
        recorder, client = _Recorder(), Stepper(recording, asks_for_status=True)
        client.connection.set_app_data(recorder)

        def receive(data: bytes) -> None:
            recorder.captured.append(data)
            client.receive(data)

        pump(accepting(server), client.to_send, receive, lambda: client.done)
        assert recorder.flight is not None
        assert recorder.flight.entries[0].staples == (staple,)

    def unrecorded() -> None:
        client = Stepper(plain, asks_for_status=True)
        pump(accepting(server), client.to_send, client.receive, lambda: client.done)

    return recorded, unrecorded
