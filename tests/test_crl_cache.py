"""CRLs that are kept: until their nextUpdate, within bounds, whole or not there, and fetched once by many."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from crl_world import CrlWorld
from cryptography import x509

from certtools.forge import Revoked
from mustaple.core.crl_case import MAX_CRL_BYTES, Crl, open_crl
from mustaple.core.errors import InputError
from mustaple.net.crl_cache import CrlCache

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

A, B, C = (f"http://127.0.0.1/{name}.crl" for name in "abc")


@pytest.fixture(scope="module")
def world(at: datetime) -> CrlWorld:
    return CrlWorld(at)


def opened(data: bytes) -> Crl:
    found = open_crl(data)
    assert isinstance(found, Crl)
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_kept_until_its_next_update(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    for folder in (None, tmp_path / "new" / "folder"):
        cache = CrlCache(folder)
        crl = opened(world.crl(next_update=at))
        assert cache.get(A, at) is None
        cache.put(A, crl)
        assert cache.get(A, at) is crl
        assert cache.get(B, at) is None
        assert cache.get(A, at + timedelta(seconds=1)) is None
    again = CrlCache(tmp_path / "new" / "folder").get(A, at)
    assert again is not None
    assert again.der == crl.der


def test_another_process_may_have_brought_a_newer_one(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    mine, theirs = CrlCache(tmp_path), CrlCache(tmp_path)
    mine.put(A, opened(world.crl(next_update=at)))
    newer = opened(world.crl(number=8))
    theirs.put(A, newer)
    found = mine.get(A, at + timedelta(hours=1))
    assert found is not None
    assert found.der == newer.der


def test_without_a_next_update_nothing_is_kept(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    cache = CrlCache(tmp_path)
    cache.put(A, opened(world.changed(next_update=None)))
    assert cache.get(A, at) is None
    assert not files(tmp_path)


def test_files_are_private_and_named_for_nobody(world: CrlWorld, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    CrlCache(folder).put("http://127.0.0.1/../../etc/passwd", opened(world.crl()))
    (name,) = files(folder)
    assert len(name) == 64 + len(".crl")
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_on_disk_must_be_a_crl(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    CrlCache(tmp_path).put(A, opened(world.crl()))
    (path,) = tmp_path.iterdir()
    for data in (b"", b"noise", world.crl()[:-3], bytes(MAX_CRL_BYTES + 5)):
        path.write_bytes(data)
        assert CrlCache(tmp_path).get(A, at) is None


def test_the_least_lately_used_makes_room(world: CrlWorld, at: datetime) -> None:
    cache = CrlCache(max_entries=2)
    crl = opened(world.crl())
    for url in (A, B):
        cache.put(url, crl)
    assert cache.get(A, at) is crl
    cache.put(C, crl)
    assert [cache.get(url, at) is crl for url in (A, B, C)] == [True, False, True]


def test_bytes_are_bounded_in_memory_and_on_disk(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    small = opened(world.crl())
    large = opened(world.crl(*(Revoked(number, at, x509.ReasonFlags.superseded) for number in range(1, 200))))
    cache = CrlCache(tmp_path, max_bytes=len(large.der) + len(small.der) - 1)
    cache.put(A, small)
    (first,) = files(tmp_path)
    os.utime(tmp_path / first, (1, 1))
    cache.put(B, large)
    assert cache.get(A, at) is None
    assert cache.get(B, at) is large
    assert first not in files(tmp_path)
    tiny = CrlCache(tmp_path / "tiny", max_bytes=len(small.der) - 1)
    tiny.put(A, small)
    assert tiny.get(A, at) is None
    assert not files(tmp_path / "tiny")


def test_a_folder_that_cannot_be_used_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot keep CRLs in .*file"):
        CrlCache(tmp_path / "file")
    with pytest.raises(InputError, match="cannot keep CRLs"):
        CrlCache(tmp_path / "file" / "below")


def test_a_folder_that_goes_away_costs_a_download_and_no_verdict(world: CrlWorld, at: datetime, tmp_path: Path) -> None:
    cache = CrlCache(tmp_path / "kept")
    (tmp_path / "kept").rmdir()
    crl = opened(world.crl())
    cache.put(A, crl)
    assert cache.get(A, at) is crl
    assert CrlCache(tmp_path / "kept").get(A, at) is None


def test_many_who_want_one_crl_wait_for_the_first(world: CrlWorld, at: datetime) -> None:
    cache, crl = CrlCache(), opened(world.crl())
    fetched: list[str] = []
    second = {A: threading.Event(), B: threading.Event()}

    def want(url: str) -> Crl | None:
        with cache.turn(url):
            if cache.get(url, at) is None:
                if url in fetched:
                    second[url].set()
                fetched.append(url)
                second[url].wait(0.5)  # as long as a download takes, in which nobody else should begin one
                cache.put(url, crl)
            return cache.get(url, at)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(want, [A, B] * 4)) == [crl] * 8
    assert sorted(fetched) == [A, B]
