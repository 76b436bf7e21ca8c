"""Starts gnutls-serv as each line read says and visits it with the strict client, where nothing but loopback is.

    unshare --net sh -c 'ip link set lo up && exec "$@"' sh python visit_gnutls_serv.py ROOT.pem CHAIN.pem KEY.pem

gnutls-serv listens on every address, so it has a network of its own. Each line read is a JSON object: `options` of
gnutls-serv, and in how many `days` it is visited. Each line written is one, too: what it `said` where it did not start;
else `accepted`, `protocol`, `codes`, for each certificate the `origins` of its staple, and the `page`'s length.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from mustaple.core.errors import RefusedError
from mustaple.net.client import connect

PORT = 4433  # nobody else is here
ADDRESS = ("127.0.0.1", PORT)


def serve_and_visit(root: str, chain: str, key: str, order: dict[str, Any]) -> dict[str, Any]:
    """What one visit to one server came to."""
    command = ["gnutls-serv", "--http", "--port", str(PORT), "--x509certfile", chain, "--x509keyfile", key]
    command += order["options"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        try:
            said = listening(server.stdout)
            return {"said": said} if said is not None else visit(root, datetime.now(UTC) + timedelta(order["days"]))
        finally:
            server.terminate()


def listening(output: IO[str]) -> str | None:
    """Wait until it listens on 127.0.0.1; what it said where it ends before."""
    said = ""
    for line in output:
        said += line
        if "listening on IPv4" in line and line.rstrip().endswith("done"):
            return None
    return said


def visit(root: str, at: datetime) -> dict[str, Any]:
    """Ask for a page."""
    page = b""
    try:
        with connect("localhost", PORT, "strict", address=ADDRESS, ca=root, at=at, timeout=30) as connection:
            verdict = connection.verdict
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while received := connection.recv():
                page += received
    except RefusedError as refused:
        verdict = refused.verdict
    return {
        "accepted": verdict.accepted,
        "protocol": verdict.protocol,
        "codes": [reason.code.value for reason in verdict.all_reasons],
        "origins": [each.judgement.origin if each.judgement else None for each in verdict.certificates],
        "page": len(page),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(serve_and_visit(*sys.argv[1:4], json.loads(line))) + "\n")
        sys.stdout.flush()
