"""`mustaple serve --case`: one case of the corpus as a server, with the root that clients have to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from mustaple.lab.live import Visit


def serve_case(name: str, host: str, port: int, *, ca_out: Path | None, i_know: bool, control: int | None) -> None:
    """Serve this case until SIGINT or SIGTERM, to whatever name clients ask for of those it has, or none.

    `control` is the port of the endpoint that makes it another case. Raises InputError for a case that there is not, an
    address beyond loopback that nobody knows of, a port in use and a file that cannot be written.
    """
    import sys
    from contextlib import ExitStack

    from cryptography.hazmat.primitives.serialization import Encoding

    from mustaple.cli.common import complain, write_public
    from mustaple.cli.running import taking_orders
    from mustaple.lab.cases import find
    from mustaple.lab.live import CaseServer, Switch
    from mustaple.lab.misbehaviour.control import ControlServer
    from mustaple.lab.misbehaviour.serving import check_reach
    from mustaple.net.tls_session import Ended

    def seen(visit: Visit) -> None:
        if visit.ended in {Ended.REFUSED, Ended.FAILED}:
            complain(str(visit))

    case = find(name)
    check_reach(host, i_know=i_know)
    with ExitStack() as stack:
        orders = stack.enter_context(taking_orders())
        server = CaseServer([case], host=host, port=port, expose=i_know, nameless=case, on_event=seen)
        stack.callback(server.close)
        if ca_out is not None:
            trusted = server.trusted(case, "localhost")
            write_public(ca_out, trusted.public_bytes(Encoding.PEM), "root certificate")
        server.start()
        also = ""
        if control is not None:
            also = f", control at {stack.enter_context(ControlServer(Switch(server, case), control)).url}"
        trust = (
            f"trust {ca_out}" if ca_out is not None else "its root is new at each start: write it with --ca-out FILE"
        )
        typer.echo(f"TLS at https://localhost:{server.port}/ is {case.id}; {trust}{also} (ends with SIGINT or SIGTERM)")
        sys.stdout.flush()
        orders.wait()
