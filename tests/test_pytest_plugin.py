"""The pytest plugin as its users have it: fixtures by entry point, light until they are asked for, and left out."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from socket import create_connection
from ssl import create_default_context
from typing import TYPE_CHECKING

import pytest
from coverage import CoverageData

from certtools import authority
from certtools.forge import MUTATIONS
from mustaple.core.errors import InputError, RefusedError
from mustaple.core.verdict import Source
from mustaple.lab import stand
from mustaple.lab.compare import CASES
from mustaple.lab.stand import case_named, case_names

if TYPE_CHECKING:
    from mustaple.integrations.pytest_plugin import MakesServers
    from mustaple.lab.stand import MustStapleAuthority, StrictClient, ToldResponder

pytest_plugins = ("pytester",)


def _run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # In a process of its own: what is written in Rust cannot be loaded twice in one.
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments, timeout=60)


# --- the fixtures


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("good", None),
        ("good-staple", None),
        ("no-staple", "promise-broken"),
        ("no-promise", "no-staple"),
        ("leaf-staple-only", "no-staple"),
        ("revoked", "revoked"),
        ("expired", "expired"),
        ("other-certificate", "other-certificate"),
        ("unknown", "unknown"),
        ("bad-signature", "bad-signature"),
        ("truncated", "malformed"),
    ],
)
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_is_in_the_situation_that_it_is_asked_for(
    stapling_server: MakesServers, strict_client: StrictClient, case: str, code: str | None, version: str
) -> None:
    server = stapling_server(case, minimum=version, maximum=version)
    verdict = strict_client.check("localhost", server.port)
    assert [reason.code.value for reason in verdict.all_reasons][:1] == ([code] if code else [])
    while (record := server.next_record()).alert != (113 if code else None):
        assert version == "1.2"  # where the strict client may have to ask with its second engine, too
    assert record.application_data == b""


def test_every_name_is_a_case_and_no_other_is(stapling_server: MakesServers) -> None:
    names = case_names()
    assert {"good", *MUTATIONS, *(case.name for case in CASES)} == set(names)
    assert all(case_named(name).name in {name, "good"} for name in names)
    with pytest.raises(InputError, match="no case 'revokd'; there are revoked"):
        stapling_server("revokd")


@pytest.mark.parametrize(
    ("case", "policy", "code"),
    [
        ("control/all-well", "strict", None),
        ("freshness/expired", "must-staple", "expired"),
        ("status/revoked", "must-staple", "revoked"),
    ],
)
def test_every_case_of_the_corpus_is_there_by_its_id(
    stapling_server: MakesServers, strict_client: StrictClient, case: str, policy: str, code: str | None
) -> None:
    server = stapling_server(case)
    verdict = strict_client.check(server.host, server.port, policy)
    assert [reason.code.value for reason in verdict.all_reasons][:1] == ([code] if code else [])
    assert server.next_record().alert == (113 if code else None)
    assert len(server.records) == 1
    with create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        trusting = create_default_context(cafile=server.ca_file)
        trusting.wrap_socket(sock, server_hostname=server.host).close()


def test_a_case_about_the_anchor_brings_its_own(stapling_server: MakesServers) -> None:
    from mustaple.lab.cases import cases
    from mustaple.lab.cases.world import World

    world = World()
    own = next(case for case in cases() if case.make(world).trusted != world.root.certificate)
    plain, server = stapling_server("control/all-well"), stapling_server(own.id)
    assert server.ca_file.read_bytes() != plain.ca_file.read_bytes()
    with pytest.raises(InputError, match="brings its own names"):
        stapling_server(own.id, names=("site.test",))
    with pytest.raises(InputError, match="freshness/"):
        stapling_server("freshness/expird")


def test_several_servers_serve_at_once_and_any_client_reads_their_pages(stapling_server: MakesServers) -> None:
    for server in (stapling_server(), stapling_server("revoked"), stapling_server(names=("127.0.0.1",))):
        trusting = create_default_context(cafile=server.ca_file)  # which is Python's ssl: it looks at no staple
        with urllib.request.urlopen(server.url, context=trusting, timeout=30) as page:  # noqa: S310 - https
            assert b"stapling server" in page.read()


def test_the_strict_client_connects_where_it_accepts(
    stapling_server: MakesServers, strict_client: StrictClient
) -> None:
    good, bad = stapling_server("good"), stapling_server("no-staple")
    with strict_client.connect("localhost", good.port) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv().startswith(b"HTTP/1.1 200")
    with pytest.raises(RefusedError):
        strict_client.connect("localhost", bad.port)
    assert strict_client.check("localhost", bad.port, "ignore").accepted


@pytest.mark.parametrize("answer", ["good", "revoked"])
def test_the_responder_answers_for_the_servers_of_its_test(
    ocsp_responder: ToldResponder, stapling_server: MakesServers, strict_client: StrictClient, answer: str
) -> None:
    server = stapling_server("no-promise")
    ocsp_responder.tell(server.issued, answer)
    verdict = strict_client.check("localhost", server.port, "hard-fail")
    assert verdict.accepted is (answer == "good")
    assert verdict.certificates[0].judgement is not None
    assert verdict.certificates[0].judgement.source is Source.OCSP
    assert len(ocsp_responder.log.recent) == 1
    with pytest.raises(InputError, match="no response 'nonsense'"):
        ocsp_responder.tell(server.issued, "nonsense")


def test_the_responder_knows_nobody_else(
    ocsp_responder: ToldResponder, must_staple_authority: MustStapleAuthority, strict_client: StrictClient
) -> None:
    from mustaple.net.fetch import fetch_ocsp

    stranger = must_staple_authority.issue("stranger.test", ocsp_urls=[ocsp_responder.url])
    link = stranger.as_chain().links[0]
    assert fetch_ocsp(link, url=ocsp_responder.url).body == bytes.fromhex("30030a0106")  # unauthorized
    ocsp_responder.tell(stranger)
    assert len(fetch_ocsp(link, url=ocsp_responder.url).body) > 100


# --- the plugin


def test_a_users_own_test_is_five_lines(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        import ssl, urllib.request

        def test_pythons_client_takes_a_revoked_server(stapling_server):
            server = stapling_server("revoked")
            trusting = ssl.create_default_context(cafile=server.ca_file)
            urllib.request.urlopen(server.url, context=trusting).close()
            assert server.next_record().application_data.startswith(b"GET /")
        """
    )
    _run(pytester).assert_outcomes(passed=1)


def test_the_fixtures_explain_themselves(pytester: pytest.Pytester) -> None:
    shown = _run(pytester, "--fixtures").stdout.str()
    for name in ("must_staple_authority", "stapling_server", "ocsp_responder", "strict_client"):
        assert f"{name}" in shown
        assert f"{name} -- no docstring" not in shown


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(stapling_server): pass")
    left_out = _run(pytester, "-p", "no:mustaple")
    left_out.assert_outcomes(errors=1)
    left_out.stdout.fnmatch_lines(["*fixture 'stapling_server' not found*"])


def test_a_run_that_asks_for_nothing_loads_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "mustaple.integrations.pytest_plugin" in sys.modules
            ours = {name for name in sys.modules if name.startswith(("mustaple.", "certtools"))}
            assert ours == {"mustaple.integrations", "mustaple.integrations.pytest_plugin"}
            assert not {"cryptography", "OpenSSL", "httpx", "httpcore", "tlslite"} & set(sys.modules)
        """
    )
    _run(pytester).assert_outcomes(passed=1)


def test_coverage_still_measures_what_a_test_loads(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(must_staple_authority): must_staple_authority.issue()")
    # A warning that mustaple was there before coverage began would be an error.
    _run(pytester, "--cov=mustaple", "--cov=certtools", "--cov-report=").assert_outcomes(passed=1)
    measured = CoverageData(str(pytester.path / ".coverage"))
    measured.read()
    for module in (authority, stand):
        assert len(measured.lines(str(module.__file__)) or ()) > 40


def test_importing_it_takes_pytest_alone() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import mustaple.integrations.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['mustaple', 'mustaple.integrations', 'mustaple.integrations.pytest_plugin']"
