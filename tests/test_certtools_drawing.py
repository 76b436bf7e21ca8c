"""What a seed makes of keys, serial numbers and signatures: the same bytes again, and others for another seed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certtools.authority import Authority
from certtools.chain import Link
from certtools.drawing import drawn_from, rsa_key, seeded
from certtools.forge import CRL_MUTATIONS, MUTATIONS, CrlScene, Scene, good, honest_crl
from certtools.keys import KeyKind, generate_key

if TYPE_CHECKING:
    from datetime import datetime

DAY = timedelta(days=1)
RSA = {bits: [rsa_key(bits) for _ in range(2)] for bits in (1024, 2048)}
KINDS = [KeyKind.EC_P256, KeyKind.EC_P384, KeyKind.ED25519, KeyKind.RSA_2048]


def material(at: datetime, kind: KeyKind) -> list[bytes]:
    """A root, a CA, a leaf, a response and a CRL."""
    root = Authority.root("root", not_before=at - DAY, not_after=at + DAY, key=kind)
    leaf = root.leaf(["site.test"], key=KeyKind.EC_P256)
    link = Link(leaf.certificate, root.certificate)
    crl = honest_crl(CrlScene(link=link, issuer=root, rogue=root, at=at))
    return [each.public_bytes(Encoding.DER) for each in leaf.chain] + [good(link, root, at), crl]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(at: datetime, kind: KeyKind) -> None:
    made = []
    for seed in ("one", "one", "another"):
        with drawn_from(seed, RSA):
            made.append(material(at, kind))
    assert made[0] == made[1]
    certificates = len(made[0]) - 2  # an RSA key is not the seed's, so what it signs of the same fields is the same
    assert not {*made[0][:certificates]} & {*made[2][:certificates]}


def test_without_a_seed_nothing_comes_twice(at: datetime) -> None:
    with drawn_from("one"):
        assert seeded()
    assert not seeded()
    assert not {*material(at, KeyKind.EC_P256)} & {*material(at, KeyKind.EC_P256)}


def test_a_seed_within_a_seed_disturbs_nothing() -> None:
    with drawn_from("one"):
        keys = [generate_key() for _ in range(2)]
    with drawn_from("one"):
        first = generate_key()
        with drawn_from("another"):
            between = generate_key()
        second = generate_key()
    assert [key.public_key() for key in keys] == [first.public_key(), second.public_key()]
    assert between.public_key() not in [key.public_key() for key in keys]


def test_every_mutation_comes_out_the_same(at: datetime) -> None:
    def all_of_them() -> list[bytes]:
        with drawn_from("mutations", RSA):
            root, rogue = (Authority.root(name, not_before=at - DAY, not_after=at + DAY) for name in ("a", "b"))
            link, other = (Link(root.leaf([name]).certificate, root.certificate) for name in ("a.test", "b.test"))
        responses, crls = (
            Scene(link=link, issuer=root, other=other, rogue=rogue, at=at),
            CrlScene(link=link, issuer=root, rogue=rogue, at=at),
        )
        made = []
        for name, mutation in MUTATIONS.items():
            with drawn_from(name, RSA):
                made.append(mutation(responses))
        for name, crl_mutation in CRL_MUTATIONS.items():
            with drawn_from(name, RSA):
                made.append(crl_mutation(crls))
        return made

    assert all_of_them() == all_of_them()


def test_rsa_keys_run_out_rather_than_come_twice() -> None:
    with drawn_from("one", RSA):
        assert [rsa_key(2048), rsa_key(2048)] == RSA[2048]
        with pytest.raises(ValueError, match="not enough RSA keys of 2048 bits"):
            rsa_key(2048)
    with drawn_from("one"), pytest.raises(ValueError, match="not enough RSA keys"):
        rsa_key(1024)
