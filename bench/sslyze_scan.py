"""Scans the certificates of one server many times with sslyze and prints the rate as JSON; run by sslyze's own Python.

`PORT… ROOT NUMBER AT_ONCE`: the ports of the server, a file with its root, how many scans, how many of them at once.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from sslyze import (
    CertificateInfoExtraArgument,
    ScanCommand,
    ScanCommandsExtraArguments,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
    ServerScanStatusEnum,
)


def main(*arguments: str) -> None:
    """Queue all the scans, and wait for their results."""
    *ports, root, number, at_once = arguments
    extra = ScanCommandsExtraArguments(certificate_info=CertificateInfoExtraArgument(custom_ca_file=Path(root)))
    scanner = Scanner(concurrent_server_scans_limit=int(at_once))
    started = time.perf_counter()
    scanner.queue_scans(
        [
            ServerScanRequest(
                server_location=ServerNetworkLocation("localhost", int(ports[place % len(ports)]), "127.0.0.1"),
                network_configuration=ServerNetworkConfiguration("localhost"),
                scan_commands={ScanCommand.CERTIFICATE_INFO},
                scan_commands_extra_arguments=extra,
            )
            for place in range(int(number))
        ]
    )
    for found in scanner.get_results():
        if found.scan_status is not ServerScanStatusEnum.COMPLETED or found.scan_result is None:
            raise RuntimeError(str(found.connectivity_error_trace))
        attempt = found.scan_result.certificate_info
        if attempt.result is None:
            raise RuntimeError(str(attempt.error_trace))
        deployment = attempt.result.certificate_deployments[0]
        if not deployment.ocsp_response_is_trusted:
            raise RuntimeError("sslyze saw no staple that it trusts")
    print(json.dumps({"rate": int(number) / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
