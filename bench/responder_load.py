"""Loads the responder and its peers by turns and prints the rates as JSON; run as a script, with only raw sockets.

`keep-alive FOLDER` compares with a bare ASGI application on the same server. `get FOLDER` and `post FOLDER` compare
with the responder of `openssl ocsp`, with a connection for each request; that one listens on every address and so
belongs in a network namespace of its own. The folder holds a CA directory `ca`, the request `request.der`, and for
openssl `index.txt`, `ca.pem` and `ca.key.pem`.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 25
KEPT_OPEN = 16  # connections that stay open, as a proxy or a load generator would hold them
PIPELINE = 8  # requests sent at once on each, so that the server never waits for the client
BATCHES = 192
CONNECTIONS = 400  # one after another, 8 of them open at a time
WIDTH = 8


async def hello(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """The least that an ASGI application can do."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def serve(kind: str, folder: str) -> None:
    """Run one of the two in this process, say its port on stdout, and end with stdin."""
    from mustaple.net.listen import listen
    from mustaple.net.responder.log import RequestLog
    from mustaple.net.responder.serving import AppRunner, ResponderServer

    if kind == "hello":
        listener = listen()
        runner = AppRunner(hello, listener)
        runner.start()
        print(listener.getsockname()[1], flush=True)
        sys.stdin.read()
        runner.close()
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as log,
        ResponderServer.of_directory(Path(folder) / "ca", port=0, log=RequestLog(log)) as server,
    ):
        print(server.port, flush=True)
        sys.stdin.read()


@contextmanager
def served(kind: str, folder: str) -> Iterator[int]:
    """The port of a server in a process of its own."""
    command = [sys.executable, __file__, "serve", kind, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate("")


@contextmanager
def openssl_ocsp(folder: str) -> Iterator[int]:
    """The port of `openssl ocsp`, which reads its index from the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = f"openssl ocsp -index index.txt -port {port} -CA ca.pem -rsigner ca.pem -rkey ca.key.pem -ndays 1"
    devnull = subprocess.DEVNULL
    with subprocess.Popen(command.split(), cwd=folder, stdout=devnull, stderr=devnull) as process:
        try:
            yield port
        finally:
            process.send_signal(signal.SIGKILL)


def get(folder: str, version: str = "1.1") -> bytes:
    """The request of the folder as a GET; HTTP 1.0 closes the connection afterwards."""
    path = quote(base64.b64encode((Path(folder) / "request.der").read_bytes()).decode(), safe="")
    return f"GET /{path} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode()


def post(folder: str) -> bytes:
    """The same as a POST, which is how `openssl ocsp` itself asks."""
    der = (Path(folder) / "request.der").read_bytes()
    head = f"POST / HTTP/1.0\r\nContent-Type: application/ocsp-request\r\nContent-Length: {len(der)}\r\n\r\n"
    return head.encode() + der


def once(port: int, request: bytes) -> bytes:
    """One request on a connection of its own, tried until the server is there.

    Never a connection without a request: `openssl ocsp` spins for ever on one that is closed at once.
    """
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.sendall(request)
                return read_all(connection)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError("the server did not come up")


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    data = bytearray()
    while chunk := connection.recv(65536):
        data += chunk
    return bytes(data)


def keep_alive_rate(port: int, request: bytes) -> float:
    """Requests per second over connections that stay open, each always with a batch under way."""
    batch = request * PIPELINE
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30)) for _ in range(KEPT_OPEN)
        ]
        opened[0].sendall(request)
        length = len(opened[0].recv(65536))  # every answer has this length
        for connection in opened:
            connection.sendall(batch)
        started = time.perf_counter()
        for number in range(BATCHES):
            connection = opened[number % KEPT_OPEN]
            left = length * PIPELINE
            while left:
                left -= len(connection.recv(left))
            connection.sendall(batch)
        return BATCHES * PIPELINE / (time.perf_counter() - started)


def connection_rate(port: int, request: bytes) -> float:
    """Requests per second with a connection for each, some of them open at once."""
    started = time.perf_counter()
    for _ in range(CONNECTIONS // WIDTH):
        with ExitStack() as stack:
            opened = []
            for _ in range(WIDTH):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                connection.sendall(request)
                opened.append(connection)
            for connection in opened:
                if b" 200 OK" not in read_all(connection)[:20]:
                    raise RuntimeError("a request was not answered")
    return CONNECTIONS / (time.perf_counter() - started)


def by_turns(rate: Callable[[int, bytes], float], request: bytes, ours: int, theirs: int) -> None:
    """Measure both again and again, and print the rates of the least disturbed round of each."""
    best = {ours: 0.0, theirs: 0.0}
    for number in range(ROUNDS):
        for port in (ours, theirs) if number % 2 else (theirs, ours):
            best[port] = max(best[port], rate(port, request))
    print(json.dumps({"ours": best[ours], "theirs": best[theirs], "ratio": best[ours] / best[theirs]}))


def main(mode: str, *arguments: str) -> None:
    """Run one comparison, or one of its servers."""
    if mode == "serve":
        serve(*arguments)
        return
    folder = arguments[0]
    with served("responder", folder) as ours:
        if mode == "keep-alive":
            with served("hello", folder) as theirs:
                once(ours, get(folder, "1.0"))
                by_turns(keep_alive_rate, get(folder), ours, theirs)
            return
        request = post(folder) if mode == "post" else get(folder, "1.0")
        with openssl_ocsp(folder) as theirs:
            if b" 200 OK" not in once(ours, request) or b" 200 OK" not in once(theirs, request):
                raise RuntimeError("a responder does not answer")
            by_turns(connection_rate, request, ours, theirs)


if __name__ == "__main__":
    main(*sys.argv[1:])
