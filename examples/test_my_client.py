"""A test suite for a TLS client of one's own: mustaple's pytest plugin brings servers that keep or break the promise.

pytest examples/test_my_client.py
"""

from __future__ import annotations

import httpx
import pytest

from mustaple.integrations.httpx import StapledTransport

BROKEN = ("no-staple", "revoked", "expired", "unknown", "other-certificate", "bad-signature")


def get(url, ca):
    """The client under test: put yours here."""
    with httpx.Client(transport=StapledTransport("must-staple", ca=ca)) as client:
        return client.get(url).text


def test_it_takes_a_good_server(stapling_server):
    server = stapling_server("good")
    assert "stapling server" in get(server.url, server.ca_file)


@pytest.mark.parametrize("case", BROKEN)
def test_it_refuses_a_server_that_breaks_its_promise(stapling_server, case):
    server = stapling_server(case)
    with pytest.raises(httpx.ConnectError):
        get(server.url, server.ca_file)
    assert server.next_record().application_data == b""


@pytest.mark.parametrize("case", BROKEN)
def test_as_pythons_own_tls_does_not(stapling_server, case):
    import ssl

    server = stapling_server(case)
    with httpx.Client(verify=ssl.create_default_context(cafile=server.ca_file)) as client:
        client.get(server.url)
    assert server.next_record().application_data.startswith(b"GET / ")
