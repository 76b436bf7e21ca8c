"""Staples on disk: what is loaded was judged again, what is written is whole, and nothing leads out of the folder."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certtools.chain import Chain
from certtools.forge import MUTATIONS, Scene
from certtools.forge.ocsp import CertificateStatus, answer, good, sign, single
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Source, Status
from mustaple.core.wire import OCSP_MULTI, decode_certificate_status
from mustaple.net.caching import LONGEST_WAIT
from mustaple.net.manifest import MANIFEST, Manifest
from mustaple.net.server_files import ServerFormat, server_files
from mustaple.net.store import Staple, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from certtools.authority import Authority, Issued
    from certtools.chain import Link

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
URL = "http://ocsp.test/"


def staple(link: Link, signer: Authority, at: datetime, **more: Any) -> Staple:
    response = good(link, signer, at)
    judgement = judge(response, link, at, source=Source.OCSP, origin=URL)
    return Staple(response, judgement, URL, at, **more)


@pytest.fixture
def staples(chain: Chain, intermediate: Authority, root: Authority, at: datetime) -> tuple[Staple, Staple]:
    return staple(chain.links[0], intermediate, at, etag='"e"', kept_until=at + HOUR), staple(chain.links[1], root, at)


@pytest.fixture
def store(tmp_path: Path, chain: Chain, staples: tuple[Staple, Staple], at: datetime) -> Store:
    """A store that holds a good staple for the leaf and one for its CA."""
    made = Store(tmp_path / "staples")
    made.save(chain, staples, at)
    return made


def file_of(store: Store, link: Link) -> Path:
    return store.folder / f"{link.fingerprint.hex()}.der"


def document(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store.folder / MANIFEST).read_bytes())
    return found


def names(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


# what is kept comes back


@pytest.mark.requirement("RFC9919-7.1-1")
def test_staples_come_back_as_they_were(
    store: Store, chain: Chain, staples: tuple[Staple, Staple], at: datetime
) -> None:
    loaded = store.load(at + HOUR, chain)
    assert list(loaded.staples) == [link.fingerprint for link in chain.links]
    assert not loaded.wrong
    for kept, found in zip(staples, loaded.staples.values(), strict=True):
        assert found.response == kept.response
        assert (found.url, found.fetched_at, found.kept_until, found.etag) == (
            kept.url,
            kept.fetched_at,
            kept.kept_until,
            kept.etag,
        )
        assert found.judgement.status is Status.GOOD
        assert found.due == kept.due


def test_the_manifest_names_everything(store: Store, chain: Chain, at: datetime) -> None:
    found = document(store)
    assert (found["format"], found["version"]) == ("mustaple staples", 1)
    leaf = found["staples"][0]
    assert leaf["fingerprint"] == chain.links[0].fingerprint.hex()
    assert leaf["file"] == file_of(store, chain.links[0]).name
    assert (leaf["url"], leaf["etag"], leaf["fetched_at"]) == (URL, '"e"', "2026-06-01T12:00:00Z")
    assert (leaf["this_update"], leaf["next_update"]) == ("2026-06-01T11:00:00Z", "2026-06-05T11:00:00Z")
    assert names(store) == {MANIFEST, *(file_of(store, link).name for link in chain.links)}


def test_an_empty_folder_holds_nothing(tmp_path: Path, chain: Chain, at: datetime) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        loaded = Store(folder).load(at, chain)
        assert (loaded.staples, loaded.wrong, loaded.waits) == ({}, (), {})
    assert not (tmp_path / "missing").exists()


def test_staples_belong_to_certificates_not_to_positions(
    store: Store, chain: Chain, other: Issued, at: datetime
) -> None:
    assert not store.load(at, Chain((other.certificate, chain.certificates[2]))).staples
    alone = Chain(chain.certificates[1:])
    assert list(store.load(at, alone).staples) == [chain.links[1].fingerprint]


# what is loaded is judged again

SPOILED = {
    "another certificate's": (lambda path, scene: path.write_bytes(good(scene.other, scene.issuer, scene.at)), "other"),
    "its issuer's": (lambda path, _: path.write_bytes((path.parent / "ca").read_bytes()), "other"),
    "a byte changed": (lambda path, _: path.write_bytes(path.read_bytes()[:-1] + b"\0"), "bad-signature"),
    "a byte more": (lambda path, _: path.write_bytes(path.read_bytes() + b"\0"), "trailing-bytes"),
    "empty": (lambda path, _: path.write_bytes(b""), "malformed"),
    "huge": (lambda path, _: path.write_bytes(bytes(10_000_000)), "oversized"),
    "gone": (lambda path, _: path.unlink(), "cannot be read: No such file"),
    "a folder": (lambda path, _: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_file_is_told_and_not_served(
    store: Store, chain: Chain, scene: Scene, spoil: Callable[[Path, Scene], object], said: str
) -> None:
    leaf, ca = chain.links
    (store.folder / "ca").write_bytes(file_of(store, ca).read_bytes())
    spoil(file_of(store, leaf), scene)
    loaded = store.load(scene.at, chain)
    assert list(loaded.staples) == [ca.fingerprint]
    (wrong,) = loaded.wrong
    assert wrong.link is leaf
    assert said in wrong.said


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_is_loaded_is_what_the_judge_finds_good(store: Store, chain: Chain, scene: Scene, mutation: str) -> None:
    response = MUTATIONS[mutation](scene)
    file_of(store, chain.links[0]).write_bytes(response)
    loaded = store.load(scene.at, chain)
    good_here = judge(response, chain.links[0], scene.at).status is Status.GOOD
    assert (chain.links[0].fingerprint in loaded.staples) is good_here
    assert len(loaded.wrong) == (0 if good_here else 1)


@pytest.mark.requirement("RFC9919-8.5-1")
def test_a_staple_dies_on_disk_whatever_the_manifest_says(store: Store, chain: Chain, at: datetime) -> None:
    found = document(store)
    for entry in found["staples"]:
        entry |= {"next_update": "2030-01-01T00:00:00Z", "dies_at": "2030-01-01T00:00:00Z"}
    (store.folder / MANIFEST).write_text(json.dumps(found))
    dies_at = at - HOUR + 4 * DAY
    assert len(store.load(dies_at, chain).staples) == 2
    late = store.load(dies_at + HOUR, chain)
    assert not late.staples
    assert all("expired" in wrong.said for wrong in late.wrong)


def test_the_rules_are_the_callers(store: Store, chain: Chain, at: datetime) -> None:
    assert not store.load(at, chain, Rules(max_age=timedelta(minutes=30))).staples
    assert len(store.load(at, chain, Rules(max_age=2 * HOUR)).staples) == 2


def test_only_a_good_response_becomes_a_staple(chain: Chain, intermediate: Authority, at: datetime) -> None:
    link = chain.links[0]
    response = sign(answer([single(link, at, status=CertificateStatus.REVOKED)], intermediate), intermediate)
    with pytest.raises(ValueError, match="is revoked"):
        Staple(response, judge(response, link, at), URL, at)


# what is written


def test_saving_replaces_the_chains_own_and_keeps_others_while_they_live(
    store: Store, chain: Chain, other: Issued, intermediate: Authority, staples: tuple[Staple, Staple], at: datetime
) -> None:
    renewed = other.as_chain()
    store.save(renewed, [staple(renewed.links[0], intermediate, at), staples[1]], at)
    assert set(store.load(at, chain).staples) == {link.fingerprint for link in chain.links}
    assert set(store.load(at, renewed).staples) == {link.fingerprint for link in renewed.links}
    # Without a good one for the CA its old file goes, and at last the first leaf's, which has died.
    store.save(renewed, [staple(renewed.links[0], intermediate, at)], at)
    assert names(store) == {MANIFEST, file_of(store, chain.links[0]).name, file_of(store, renewed.links[0]).name}
    late = at + 5 * DAY
    store.save(renewed, [staple(renewed.links[0], intermediate, late)], late)
    assert names(store) == {MANIFEST, file_of(store, renewed.links[0]).name}
    assert len(document(store)["staples"]) == 1


def test_files_of_others_in_the_folder_stay(store: Store, chain: Chain, at: datetime) -> None:
    (store.folder / "notes.txt").write_text("mine")
    store.save(chain, [], at)
    assert names(store) == {MANIFEST, "notes.txt"}


def test_waits_are_remembered_until_they_are_over(store: Store, chain: Chain, at: datetime) -> None:
    store.save(chain, [], at, waits={"http://a/": at + HOUR, "http://b/": at, "http://c/": at + 9 * LONGEST_WAIT})
    assert store.load(at, chain).waits == {"http://a/": at + HOUR}
    assert store.load(at + HOUR, chain).waits == {}
    # A clock that is set back must not make it longer.
    assert store.load(at - LONGEST_WAIT, chain).waits == {}


def test_a_write_that_fails_leaves_everything_as_it_was(store: Store, chain: Chain, at: datetime) -> None:
    before = {path: path.read_bytes() for path in store.folder.iterdir()}
    with pytest.raises(InputError, match="cannot write in"):
        store.save(chain, store.load(at, chain).staples.values(), at, formats={ServerFormat.HAPROXY: "x" * 300})
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == before


@pytest.mark.parametrize("probe", [Store.probe, lambda store: store.save(Chain(store.chain), [], store.at)])
def test_a_folder_that_cannot_be_is_one_sentence(
    tmp_path: Path, chain: Chain, at: datetime, probe: Callable[[Any], object]
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "staples", tmp_path / ("x" * 300)):
        store: Any = Store(folder)
        store.chain, store.at = chain.certificates, at
        with pytest.raises(InputError, match=r"cannot (write in|read) ") as caught:
            probe(store)
        assert "\n" not in str(caught.value)


def test_probing_leaves_nothing_behind(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b").probe()
    assert list(tmp_path.iterdir()) == []


# manifests that are not ours, or were tampered with


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a manifest"),
        (b"{", "is not a manifest"),
        (b"[]", "is not a manifest"),
        (b'{"name": "A web app", "icons": []}', "is not a manifest"),
        (b"[" * 100_000, "is not a manifest"),
        (b'{"format": "mustaple staples", "version": 2}', "is of version 2"),
        (b'{"format": "mustaple staples"}', "is of version None"),
        (b'"' + b"x" * 5_000_000 + b'"', "is not a manifest"),
    ],
    ids=["empty", "cut", "a list", "a web app's", "deep", "newer", "no version", "large"],
)
def test_somebody_elses_manifest_is_left_alone(
    tmp_path: Path, chain: Chain, at: datetime, content: bytes, said: str
) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    for use in (lambda: Store(tmp_path).load(at, chain), lambda: Store(tmp_path).save(chain, [], at)):
        with pytest.raises(InputError, match=said):
            use()
    assert (tmp_path / MANIFEST).read_bytes() == content


TAMPERED: dict[str, dict[str, Any]] = {
    "nothing in it": {"staples": None, "retry_after": None, "servers": None},
    "other types": {"staples": {"a": 1}, "retry_after": [1], "servers": "nginx"},
    "entries that are none": {"staples": [1, None, {}, {"fingerprint": "00"}, {"fingerprint": "Z" * 64}]},
    "times that are none": {"retry_after": {URL: "soon", "http://b/": 7, "http://c/": "2026-06-01T18:00:00"}},
    "a time before time": {"retry_after": {URL: "0001-01-01T00:00:00+23:00"}},
    "a server nobody knows": {"servers": {"apache": "chain.pem", "nginx": 7}},
    "a name that is none": {"servers": {"haproxy": "a\0b", "nginx": "a/b"}},
    "paths that lead out": {"servers": {"haproxy": "../../chain.pem", "nginx": "/etc/x", "hitch": ""}},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_what_cannot_be_read_of_a_manifest_is_as_good_as_not_there(
    store: Store, chain: Chain, at: datetime, change: dict[str, Any]
) -> None:
    (store.folder / MANIFEST).write_text(json.dumps(document(store) | change))
    loaded = store.load(at, chain)
    assert not loaded.waits
    assert not loaded.wrong
    assert len(loaded.staples) == (0 if "staples" in change else 2)
    store.save(chain, loaded.staples.values(), at)
    assert document(store)["servers"] == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["fingerprint", "dies_at"]), inner),
    max_leaves=20,
)


@given(JSON, JSON, JSON, st.text())
def test_no_document_is_too_odd(staples: Any, waits: Any, servers: Any, text: str) -> None:
    found = Manifest.decode({"staples": staples, "retry_after": waits, "servers": servers})
    again = Manifest.decode(json.loads(found.encode()))
    assert (again.entries.keys(), again.formats) == (found.entries.keys(), found.formats)
    named = Manifest.decode({"servers": {"haproxy": text}, "retry_after": {URL: text}})
    assert all("/" not in name and "\0" not in name for name in named.formats.values())


@pytest.mark.parametrize("file", ["../leaf.der", "/etc/passwd", "other.der", None, 7])
def test_a_manifest_leads_to_no_other_file(store: Store, chain: Chain, at: datetime, file: object) -> None:
    found = document(store)
    link = chain.links[0]
    (store.folder.parent / "leaf.der").write_bytes(file_of(store, link).read_bytes())
    (store.folder / "other.der").write_bytes(file_of(store, link).read_bytes())
    found["staples"][0]["file"] = file
    (store.folder / MANIFEST).write_text(json.dumps(found))
    loaded = store.load(at, chain)
    assert link.fingerprint not in loaded.staples
    assert "names another file" in loaded.wrong[0].said
    store.save(chain, loaded.staples.values(), at)
    assert (store.folder.parent / "leaf.der").exists()


def test_facts_that_were_tampered_with_cost_a_fetch_at_most(store: Store, chain: Chain, at: datetime) -> None:
    found = document(store)
    found["staples"][0] |= {"url": 7, "etag": [], "fetched_at": "x", "kept_until": "9999-12-31T23:59:59Z"}
    (store.folder / MANIFEST).write_text(json.dumps(found))
    (leaf, _) = store.load(at, chain).staples.values()
    assert (leaf.url, leaf.etag, leaf.fetched_at) == ("", None, at)
    assert leaf.judgement.dies_at is not None
    assert leaf.due < leaf.judgement.dies_at


# servers' files

CHAIN = "site.pem"
LEAF_FILES = {
    ServerFormat.HAPROXY: "site.pem.ocsp",
    ServerFormat.NGINX: "leaf.der",
    ServerFormat.LIGHTTPD: "leaf.der",
    ServerFormat.HITCH: "leaf.der",
}


@pytest.mark.parametrize(("server", "name"), LEAF_FILES.items())
def test_files_with_the_leafs_response(server: ServerFormat, name: str) -> None:
    assert server_files({server: CHAIN}, [b"leaf", b"ca"]) == {name: b"leaf"}
    assert server_files({server: CHAIN}, [b"leaf", None]) == {name: b"leaf"}
    assert server_files({server: CHAIN}, [None, b"ca"]) == {name: None}


def test_gnutls_gets_one_file_for_each_certificate() -> None:
    files = server_files({ServerFormat.GNUTLS: CHAIN}, [b"leaf", None, b"ca"])
    assert {name: data for name, data in files.items() if data is not None} == {
        "gnutls-0.der": b"leaf",
        "gnutls-2.der": b"ca",
    }
    assert files["gnutls-1.der"] is None
    assert files["gnutls-3.der"] is None, "a longer chain's file goes"


@pytest.mark.requirement("RFC6961-2.2-2")
def test_rfc6961_is_the_body_of_a_certificate_status() -> None:
    files = server_files({ServerFormat.RFC6961: CHAIN}, [b"leaf", None, b"ca"])
    body = files["ocsp_multi.bin"]
    assert body == bytes.fromhex("02 00000f 000004 6c656166 000000 000002 6361")
    status = decode_certificate_status(body, allowed=(OCSP_MULTI,))
    assert status.responses == (b"leaf", b"", b"ca")
    assert server_files({ServerFormat.RFC6961: CHAIN}, [None, None]) == {"ocsp_multi.bin": None}


def test_servers_files_follow_the_staples_ever_after(
    store: Store, chain: Chain, staples: tuple[Staple, Staple], at: datetime
) -> None:
    store.save(chain, staples, at, formats=dict.fromkeys(ServerFormat, CHAIN))
    written = {"site.pem.ocsp", "leaf.der", "gnutls-0.der", "gnutls-1.der", "ocsp_multi.bin"}
    assert written <= names(store)
    assert (store.folder / "leaf.der").read_bytes() == staples[0].response
    # Nobody names them again, and yet nothing that is no longer good is left for a server to find.
    store.save(chain, staples[1:], at)
    assert written & names(store) == {"gnutls-1.der", "ocsp_multi.bin"}
    store.save(chain, [], at)
    assert names(store) == {MANIFEST}
    store.save(chain, staples, at)
    assert written <= names(store)
