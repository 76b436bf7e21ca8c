"""A CRL of a million entries is answered in less than twice the time that the library takes to load it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from large_crl import large_crl
from ratios import ratio

from certtools.chain import Link
from mustaple.core.crl import judge_crl
from mustaple.core.crl_case import Crl, open_crl
from mustaple.core.signature import verifies
from mustaple.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Stapled
    from pytest_benchmark.fixture import BenchmarkFixture

ENTRIES = 1_000_000


class Million(NamedTuple):
    """A CRL of a million entries; `listed` is the last of them, `link` is not on it."""

    der: bytes
    link: Link
    listed: Link


@pytest.fixture(scope="module")
def million(stapled: Stapled) -> Million:
    link = stapled.chain.links[0]
    listed = Link(stapled.ca.leaf(["revoked.test"]).certificate, stapled.ca.certificate)
    return Million(large_crl(stapled.ca, ENTRIES, stapled.at, revoked=listed.serial_number), link, listed)


@pytest.mark.parametrize("name", ["link", "listed"])
def test_a_million_entries(
    benchmark: BenchmarkFixture,
    stapled: Stapled,
    million: Million,
    name: str,
    record: Callable[[str, float, str], None],
) -> None:
    """At most 2 times `load_der_x509_crl` alone, for a certificate that is on it and one that is not.

    Ours contains that load, which reads every entry strictly, the signature over all of it, the search for the serial
    number, and the search for critical extensions in other entries. The library's load verifies no signature.
    """
    link: Link = getattr(million, name)
    status = Status.GOOD if name == "link" else Status.REVOKED
    assert judge_crl(million.der, link, stapled.at).status is status

    def ours() -> object:
        return judge_crl(million.der, link, stapled.at)

    found = ratio(ours, lambda: x509.load_der_x509_crl(million.der), rounds=8, calls=1, at_most=2.0)
    record(f"a CRL of {ENTRIES:,} entries, from bytes to {status} / cryptography's load", found.value, "≤ 2")
    benchmark.pedantic(ours, rounds=3, iterations=1)
    assert found.value <= 2.0


def test_what_the_parts_of_it_cost(million: Million, record: Callable[[str, float, str], None]) -> None:
    """The signature, where the library alone would write the signed part anew; and the second answer of one CRL."""
    crl = open_crl(million.der)
    assert isinstance(crl, Crl)
    key = million.link.issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)

    def load() -> object:
        return x509.load_der_x509_crl(million.der)

    signature = ratio(lambda: verifies(key, crl.read, crl.signed), load, rounds=5, calls=1)
    record("  of it the signature over all bytes / cryptography's load", signature.value, "none")
    theirs = ratio(lambda: crl.read.is_signature_valid(key), load, rounds=2, calls=1)
    record("  the library's is_signature_valid instead / cryptography's load", theirs.value, "none")
    digest = ratio(lambda: _digest(million.der), load, rounds=5, calls=1)
    record("  SHA-256 alone over the file / cryptography's load", digest.value, "none")
    assert signature.value < theirs.value
    again = ratio(lambda: crl.entries_for(million.link.serial_number), load, rounds=5, calls=1, at_most=0.5)
    record("another certificate looked up in a CRL that is open / cryptography's load", again.value, "≤ 0.5")
    assert again.value <= 0.5


def _digest(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


_JUDGE = """
import json, resource, sys
from datetime import datetime
from pathlib import Path
from cryptography import x509
from certtools.chain import Link
from mustaple.core.crl import judge_crl
folder, at = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
leaf, issuer = (x509.load_der_x509_certificate((folder / name).read_bytes()) for name in ("leaf.der", "ca.der"))
judge_crl((folder / "small.crl").read_bytes(), Link(leaf, issuer), at)
data = (folder / "large.crl").read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = judge_crl(data, Link(leaf, issuer), at).status.value
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump({"status": status, "size": len(data), "grown": (after - before) * 1024}, sys.stdout)
"""


def test_memory_does_not_grow_with_the_entries(
    stapled: Stapled, million: Million, tmp_path: Path, record: Callable[[str, float, str], None]
) -> None:
    """Besides the file's own bytes, at most a tenth of its size: no object for each entry, no second copy."""
    (tmp_path / "large.crl").write_bytes(million.der)
    (tmp_path / "small.crl").write_bytes(large_crl(stapled.ca, 10, stapled.at))
    (tmp_path / "leaf.der").write_bytes(million.listed.subject.public_bytes(Encoding.DER))
    (tmp_path / "ca.der").write_bytes(million.link.issuer.public_bytes(Encoding.DER))
    command = [sys.executable, "-c", _JUDGE, str(tmp_path), stapled.at.isoformat()]
    root = Path(__file__).parent.parent
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(run.stdout)
    assert found["status"] == "revoked"
    grown = found["grown"] / found["size"]
    record(f"memory to judge a CRL of {found['size'] >> 20} MiB / its size", grown, "≤ 0.1")
    assert grown <= 0.1
