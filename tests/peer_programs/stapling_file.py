"""A server that staples what a file holds, with care or without.

stapling_file.py PORT CHAIN KEY STAPLE careful|careless
"""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates, ocsp

from mustaple.net.server import StaplingServer


def careful(staple: bytes) -> bool:
    """Whether this is a good response whose nextUpdate is yet to come."""
    response = ocsp.load_der_ocsp_response(staple)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return False
    until = response.next_update_utc
    return response.certificate_status is ocsp.OCSPCertStatus.GOOD and until is not None and until > datetime.now(UTC)


def main() -> None:
    """Serve until killed."""
    port, chain, key, staple, manner = sys.argv[1:]

    def give() -> bytes | None:
        held = Path(staple).read_bytes() if Path(staple).exists() else None
        return held if held is None or manner == "careless" or careful(held) else None

    private = load_pem_private_key(Path(key).read_bytes(), None)
    with StaplingServer(load_pem_x509_certificates(Path(chain).read_bytes()), private, give, port=int(port)):
        threading.Event().wait()


if __name__ == "__main__":
    main()
