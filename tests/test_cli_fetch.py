"""`mustaple fetch`: what it writes, says and exits with, also where input and responders are not as they should be."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from staple_world import DAY, GARBAGE, HANGS, HUGE, PAGE, Told, World, world

from certtools.chain import to_pem
from mustaple.cli.app import run as mustaple
from mustaple.core.wire import OCSP_MULTI, decode_certificate_status
from mustaple.net.responder import ResponderServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from certtools.authority import Issued


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    with world() as made:
        yield made


class Home:
    """A folder with chain.pem and root.pem, the world around it, and what the command said last."""

    def __init__(self, folder: Path, around: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.world, self._capsys = folder, around, capsys
        self.issued = around.issue("leaf")
        self.write("chain.pem", self.issued.chain_pem())
        self.write("root.pem", to_pem(self.issued.chain[-1:]))
        self.out = folder / "staples"
        self.stdout = self.stderr = ""

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def fetch(self, *options: str, chain: str = "chain.pem", out: Path | None = None) -> int:
        where = str(out if out is not None else self.out)
        code = mustaple(["fetch", chain if chain == "-" else str(self.folder / chain), "--out", where, *options])
        self.stdout, self.stderr = self._capsys.readouterr()
        assert "Traceback" not in self.stderr
        return code

    def fetch_json(self, *options: str) -> tuple[int, Any]:
        code = self.fetch("--json", *options)
        return code, json.loads(self.stdout)

    def names(self) -> set[str]:
        return {path.name for path in self.out.iterdir()}

    def own(self, *positions: int) -> set[str]:
        """The names of these certificates' files, and the manifest's."""
        links = self.issued.as_chain().links
        return {"manifest.json", *(f"{links[position].fingerprint.hex()}.der" for position in positions)}


@pytest.fixture
def home(tmp_path: Path, running: World, capsys: pytest.CaptureFixture[str]) -> Home:
    running.reset()
    return Home(tmp_path, running, capsys)


# what comes of it


def test_0_each_has_a_good_staple(home: Home) -> None:
    assert home.fetch() == 0
    assert home.names() == home.own(0, 1)
    assert home.stdout.startswith(
        f"2 of 2 certificates have a good staple, in {home.out}\n  CN=site.test: good, until "
    )
    assert "3 d 22 h left\n  CN=CA: good" in home.stdout
    lines = home.stderr.splitlines()
    assert sorted(line.split(" (")[0] for line in lines) == ["good: CN=CA: fetched", "good: CN=site.test: fetched"]


def test_1_an_answer_was_bad(home: Home) -> None:
    home.world.says |= {"leaf": GARBAGE, "ca": PAGE}
    assert home.fetch() == 1
    assert home.names() == home.own()
    assert "0 of 2 certificates" in home.stdout
    assert "CN=site.test: no staple\n    malformed: " in home.stdout
    assert "      to do: " in home.stdout


def test_3_nobody_answered(home: Home) -> None:
    home.world.says["ca"] = PAGE
    assert home.fetch() == 3
    assert home.names() == home.own(0), "the good one is kept all the same"
    assert "1 of 2 certificates" in home.stdout
    assert "CN=CA: no staple\n    unreachable: http" in home.stdout
    assert "text/html" in home.stdout
    assert home.fetch() == 3
    home.world.says.clear()
    assert home.fetch() == 0


def test_3_a_certificate_names_nobody(home: Home) -> None:
    home.write("chain.pem", home.world.issue().chain_pem())
    assert home.fetch() == 3
    assert "CN=site.test: no staple\n    no-url: " in home.stdout
    assert home.fetch("--responder", home.world.url("any")) == 0


@pytest.mark.parametrize("told", [HANGS, HUGE, Told(b"", 500), Told(b"x", media_type="")], ids=str)
def test_hostile_responders_are_one_line_each(home: Home, told: Told) -> None:
    home.world.says |= {"leaf": told, "ca": told}
    assert home.fetch("--timeout", "0.5s" if told.hangs else "30s") == 3
    assert len(home.stderr.splitlines()) == 2
    assert home.names() == home.own()


def test_nothing_that_a_terminal_acts_upon_is_printed(home: Home) -> None:
    evil = home.world.root.intermediate("CA \x1b[2J\x9b31m\u202e", ocsp_urls=["http://127.0.0.1/\x1b[2J"])
    home.write("chain.pem", home.world.issue("leaf", ca=evil).chain_pem())
    home.fetch()
    said = home.stdout + home.stderr
    assert r"CA \x1b[2J\x9b31m\u202e" in said
    assert all(character.isprintable() or character == "\n" for character in said)


def test_json_tells_all_of_it(home: Home) -> None:
    home.world.says["ca"] = home.world.revoked(home.world.intermediate)
    code, found = home.fetch_json("--format", "nginx")
    assert code == 1
    assert (found["version"], found["outcome"], found["folder"]) == (1, "bad", str(home.out))
    leaf, ca = found["certificates"]
    assert (leaf["subject"], leaf["outcome"], leaf["how"], leaf["reasons"]) == ("CN=site.test", "good", "fetched", [])
    assert (leaf["staple"]["status"], leaf["staple"]["url"]) == ("good", home.world.url("leaf"))
    assert leaf["staple"]["file"] in found["files"]
    assert (ca["outcome"], ca["how"], ca["staple"]) == ("bad", "none", None)
    assert ca["reasons"][0]["code"] == "revoked"
    assert ca["answers"][0]["revocation_time"] is not None
    assert set(found["files"]) == home.names()
    assert len(home.stderr.splitlines()) == 2


def test_progress_is_in_colour_on_a_terminal(home: Home) -> None:
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "mustaple", "fetch", str(home.folder / "chain.pem"), "--out", str(home.out)]
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        with os.fdopen(theirs, "wb") as end:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env=environment)
        said = b""
        try:
            while chunk := terminal.read(65536):
                said += chunk
        except OSError:
            pass  # how a terminal on Linux says that its other end is closed
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"\x1b[32mgood\x1b[0m: CN=site.test: fetched" in said
    assert b"\x1b" not in stdout


# coming again


def test_what_is_fresh_is_not_asked_for_again(home: Home) -> None:
    assert home.fetch() == 0
    home.world.asked.clear()
    assert home.fetch() == 0
    assert not home.world.asked
    assert "good: CN=site.test: still fresh, not asked for again" in home.stderr
    assert home.fetch("--force") == 0
    assert home.world.names() == ["ca", "leaf"]


def test_what_has_not_changed_is_not_sent_again(home: Home) -> None:
    home.world.says |= dict.fromkeys(("leaf", "ca"), home.world.kept(cache_control="no-cache"))
    assert home.fetch() == 0
    assert home.fetch() == 0
    assert home.stderr.count("unchanged at the responder") == 2
    assert home.names() == home.own(0, 1)


def test_a_nonce_asks_for_all_anew(home: Home) -> None:
    assert home.fetch() == 0
    home.world.asked.clear()
    assert home.fetch("--nonce") == 0
    assert all(len(asked.question.nonce or b"") == 32 for asked in home.world.asked)
    assert len(home.world.asked) == 2


def test_who_asks_to_be_left_alone_is(home: Home) -> None:
    home.world.says["leaf"] = Told(b"", 503, {"retry-after": "3600"})
    assert home.fetch() == 3
    home.world.reset()
    assert home.fetch() == 3
    assert "asked not to be asked again before" in home.stdout
    assert "leaf" not in home.world.names()
    assert home.fetch("--force") == 0


def test_an_outage_costs_no_staple(home: Home) -> None:
    assert home.fetch() == 0
    home.world.says |= {"leaf": PAGE, "ca": PAGE}
    assert home.fetch() == 0, "what is fresh is not asked for"
    assert home.fetch("--force") == 3
    assert "CN=site.test: good, until" in home.stdout
    assert "kept, because no newer one came" in home.stdout
    assert home.names() == home.own(0, 1)


def test_a_staple_on_disk_is_judged_again(home: Home) -> None:
    assert home.fetch() == 0
    leaf = home.out / f"{home.issued.as_chain().links[0].fingerprint.hex()}.der"
    leaf.write_bytes(leaf.read_bytes()[:-1])
    home.world.says["leaf"] = PAGE
    assert home.fetch() == 3
    assert "  not used: the staple here of CN=site.test: malformed: " in home.stdout
    assert home.names() == home.own(1)


def test_a_revoked_certificate_loses_its_staple_wherever_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "d", tmp_path / "d" / "staples"
    assert mustaple(["issue", "localhost", "--out", str(folder)]) == 0
    chain = str(folder / "chain.pem")
    with ResponderServer.of_directory(folder, port=0) as server:
        command = ["fetch", chain, "--out", str(out), "--responder", server.url]
        assert mustaple([*command, "--format", "haproxy", "--format", "gnutls"]) == 0
        assert (out / "chain.pem.ocsp").read_bytes() == (out / "gnutls-0.der").read_bytes()
        assert mustaple(["revoke", str(folder), chain]) == 0
        assert mustaple([*command, "--force"]) == 1
    assert not (out / "chain.pem.ocsp").exists()
    assert not (out / "gnutls-0.der").exists()
    assert (out / "gnutls-1.der").exists()
    assert "revoked: revoked " in capsys.readouterr().out


# servers' files


def test_files_for_servers(home: Home) -> None:
    options = [part for name in ("haproxy", "hitch", "gnutls", "rfc6961") for part in ("--format", name)]
    assert home.fetch(*options) == 0
    written = {"chain.pem.ocsp", "leaf.der", "gnutls-0.der", "gnutls-1.der", "ocsp_multi.bin"}
    assert home.names() == home.own(0, 1) | written
    links = home.issued.as_chain().links
    responses = [(home.out / f"{link.fingerprint.hex()}.der").read_bytes() for link in links]
    for name in ("chain.pem.ocsp", "leaf.der", "gnutls-0.der"):
        assert (home.out / name).read_bytes() == responses[0]
    assert (home.out / "gnutls-1.der").read_bytes() == responses[1]
    status = decode_certificate_status((home.out / "ocsp_multi.bin").read_bytes(), allowed=(OCSP_MULTI,))
    assert list(status.responses) == responses


@pytest.mark.peer("openssl")
def test_openssl_believes_the_file_for_the_server(home: Home) -> None:
    assert home.fetch("--format", "nginx") == 0
    leaf, ca, root = home.issued.chain
    for name, certificates in {"leaf.pem": [leaf], "ca.pem": [ca], "both.pem": [ca, root]}.items():
        home.write(name, to_pem(certificates))

    def believed(response: Path) -> str:
        options = ("-issuer", "ca.pem", "-cert", "leaf.pem", "-CAfile", "both.pem", "-respin", str(response))
        done = subprocess.run(
            ["openssl", "ocsp", *options], cwd=home.folder, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout + done.stderr

    said = believed(home.out / "leaf.der")
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said
    (other,) = home.own(1) - {"manifest.json"}
    assert "leaf.pem: good" not in believed(home.out / other)


# which certificates


def test_the_root_is_looked_for_beside_the_chain_and_where_one_says(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.pem"
    (home.folder / "root.pem").rename(elsewhere)
    assert home.fetch() == 2
    assert home.stderr == (
        f"mustaple: {home.folder / 'chain.pem'}: A link is missing: no certificate here signed 'CN=CA'; "
        "add the certificate of 'CN=root' (--issuer names its file)\n"
    )
    assert not home.out.exists()
    assert home.fetch("--issuer", str(elsewhere)) == 0
    assert home.fetch("--ca", str(elsewhere)) == 0
    assert "2 of 2" in home.stdout
    home.write("whole.pem", home.issued.chain_pem(root=True))
    assert home.fetch(chain="whole.pem") == 0
    assert "2 of 2" in home.stdout


def test_a_chain_ends_at_a_certificate_that_one_names(home: Home) -> None:
    leaf, ca, root = home.issued.chain
    home.write("leaf.der", leaf.public_bytes(Encoding.DER))
    home.write("ca.pem", to_pem([ca]))
    (home.folder / "root.pem").unlink()
    assert home.fetch(chain="leaf.der") == 2
    assert "add the certificate of 'CN=CA'" in home.stderr
    assert home.fetch("--issuer", str(home.folder / "ca.pem"), chain="leaf.der") == 0
    assert "1 of 1" in home.stdout
    home.write("both.pem", to_pem([root, ca]))
    assert home.fetch("--issuer", str(home.folder / "both.pem"), chain="leaf.der") == 0
    assert "2 of 2" in home.stdout


def test_a_root_beside_that_is_another_does_not_help(home: Home) -> None:
    stranger = World("http://127.0.0.1", home.world.clock)
    home.write("root.pem", to_pem([stranger.root.certificate]))
    assert home.fetch() == 2
    assert "A link is missing" in home.stderr


def test_the_chain_may_come_from_standard_input(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(home.issued.chain_pem(root=True))

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert home.fetch("--format", "haproxy", chain="-") == 0
    assert home.names() == home.own(0, 1) | {"chain.pem.ocsp"}


# rules


def test_each_option_opens_or_closes_one_rule(home: Home) -> None:
    here = home.world
    link = home.issued.as_chain().links[0]
    home.write("root.der", here.root.certificate.public_bytes(Encoding.DER))

    def unchecked() -> Issued:
        return here.ca.ocsp_signer(not_before=here.clock() - DAY, nocheck=False)

    cases: list[tuple[dict[str, Any], list[str], int]] = [
        ({"next_update": None}, [], 1),
        ({"next_update": None}, ["--allow-no-next-update"], 0),
        ({"this_update": here.clock() - 20 * DAY, "next_update": here.clock() + 20 * DAY}, [], 1),
        ({"this_update": here.clock() - 20 * DAY, "next_update": here.clock() + 20 * DAY}, ["--max-age", "30d"], 0),
        ({"signer": unchecked()}, [], 0),
        ({"signer": unchecked()}, ["--require-nocheck"], 1),
        ({"signer": here.root}, [], 1),
        ({"signer": here.root}, ["--trusted-responder", str(home.folder / "root.der")], 0),
    ]
    for position, (said, options, code) in enumerate(cases):
        here.says["leaf"] = Told(here.response(link, **said))
        assert home.fetch(*options, out=home.folder / str(position)) == code, (said, options)


# bad input


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the certificate file"),
        (b"", "is empty"),
        (b"garbage", "chain.pem: This is no certificate in PEM, DER or PKCS#12."),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no readable PEM certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it holds something else"),
        ("root", "is self-signed: nobody tells its status"),
        ("two", "more than one certificate here that signed no other"),
    ],
    ids=["missing", "empty", "garbage", "broken", "a key", "a root", "two leaves"],
)
def test_a_chain_that_is_none_is_one_line(home: Home, content: bytes | str | None, said: str) -> None:
    if content is None:
        (home.folder / "chain.pem").unlink()
    elif content == "root":
        home.write("chain.pem", (home.folder / "root.pem").read_bytes())
    elif content == "two":
        home.write("chain.pem", to_pem([home.issued.chain[0], home.world.issue("leaf").chain[0]]))
    elif isinstance(content, bytes):
        home.write("chain.pem", content)
    assert home.fetch() == 2
    assert said in home.stderr
    assert home.stderr.count("\n") == 1
    assert not home.out.exists()
    assert not home.world.asked


@pytest.mark.parametrize(
    "options",
    [
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--timeout", "-1"),
        ("--format", "apache"),
        ("--proxy", "nonsense"),
        ("--responder", "ftp://127.0.0.1/"),
        ("--responder", "ocsp.test"),
        ("--issuer", "/nowhere/ca.pem"),
        ("--trusted-responder", "/nowhere/ca.pem"),
        ("--max-age", "old"),
        ("--unknown",),
    ],
    ids=" ".join,
)
def test_bad_options_are_one_line(home: Home, options: tuple[str, ...]) -> None:
    assert home.fetch(*options) == 2
    assert home.stderr.startswith("mustaple: ")
    assert home.stderr.count("\n") == 1
    assert not home.out.exists()
    assert not home.world.asked


def test_a_folder_that_cannot_be_written_to_is_one_line(home: Home) -> None:
    home.write("file", b"")
    places = [home.folder / "file", home.folder / "file" / "below", home.folder / ("x" * 300)]
    if sys.platform == "linux":
        places.append(type(home.folder)("/proc/staples"))
    for out in places:
        assert home.fetch(out=out) == 2, out
        assert home.stderr.startswith("mustaple: cannot ")
        assert home.stderr.count("\n") == 1
    assert not home.world.asked


def test_somebody_elses_manifest_is_left_alone(home: Home) -> None:
    home.out.mkdir()
    (home.out / "manifest.json").write_text('{"name": "A web app"}')
    assert home.fetch() == 2
    assert home.stderr.count("\n") == 1
    assert "is not a manifest of staples" in home.stderr
    assert home.names() == {"manifest.json"}
    assert not home.world.asked
