"""The world in which every case plays: one root, its CAs and servers, made from a seed at a fixed time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certtools.authority import MUST_STAPLE, Authority, Issued
from certtools.chain import Link
from certtools.drawing import drawn_from
from certtools.forge import CRL_MUTATIONS, MUTATIONS, CrlScene, Scene, honest_crl
from mustaple.lab.cases.setup import Setup, sent_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from certtools.forge import Revoked, Single

SEED: Final = "mustaple"
AT: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
NAME: Final = "corpus.mustaple.test"
DAY: Final = timedelta(days=1)
NONCE: Final = bytes(range(32))
_LIFE: Final = 90 * DAY


class World:
    """Everything that cases share, and how they make more of it.

    `seed` and `at` (aware UTC, to the second) decide every byte. `name` is the server's, as the client asks for it, and
    `url` where the certificates say that the CA's responder and its CRLs are. `nonce`, of 32 bytes unless it is set,
    is what the client's own OCSP requests carry where a case is about that.
    """

    def __init__(
        self, seed: str = SEED, at: datetime = AT, *, name: str = NAME, url: str = "http://127.0.0.1:2560/"
    ) -> None:
        self.seed = seed
        self.at = at
        self.name = name
        self.url = url
        self.nonce = NONCE

    @contextmanager
    def drawing(self, what: str) -> Iterator[None]:
        """Draw keys and serial numbers for this from the seed, whatever else is made before or meanwhile."""
        with drawn_from(f"{self.seed}\0{what}", _rsa_keys()):
            yield

    @cached_property
    def root(self) -> Authority:
        """The trust anchor of all cases but those that say otherwise."""
        with self.drawing("root"):
            return self._root("mustaple corpus root")

    @cached_property
    def rogue(self) -> Authority:
        """A CA that nobody trusts."""
        with self.drawing("rogue"):
            return self._root("mustaple corpus stranger")

    @cached_property
    def ca(self) -> Authority:
        """The intermediate that issues the servers' certificates."""
        with self.drawing("CA"):
            return self.authority("mustaple corpus CA")

    @cached_property
    def site(self) -> Site:
        """The server of most cases: root, CA, and a leaf that promises a staple."""
        with self.drawing("site"):
            return self.site_of()

    @cached_property
    def unbound(self) -> Site:
        """The same server with a leaf that promises nothing."""
        with self.drawing("unbound"):
            return self.site_of(features=None)

    def authority(self, name: str, by: Authority | None = None, **said: Any) -> Authority:
        """A CA below the root, or below `by`; `said` are arguments of `Authority.intermediate`."""
        by = by if by is not None else self.root
        return by.intermediate(name, **{"ocsp_urls": [self.url], "crl_urls": [f"{self.url}ca.crl"], **said})

    def site_of(
        self, ca: Authority | None = None, *, features: Sequence[int] | None = MUST_STAPLE, **said: Any
    ) -> Site:
        """A server with a certificate of its own from this CA; `said` are arguments of `Authority.leaf`."""
        ca = ca if ca is not None else self.ca
        urls = {"ocsp_urls": [self.url], "crl_urls": [f"{self.url}ca.crl"]}
        return Site(self, ca.leaf([self.name], features=features, **(urls | said)), ca)

    def _root(self, name: str, **said: Any) -> Authority:
        return Authority.root(name, not_before=self.at - _LIFE, not_after=self.at + _LIFE, **said)


@dataclass(frozen=True)
class Site:
    """One server: its certificate, the CA that issued it, and every kind of evidence about each link of its chain.

    Places count from the leaf, which is 0.
    """

    world: World
    leaf: Issued
    ca: Authority

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """The links of its chain, leaf first."""
        return self.leaf.as_chain().links

    def scene(self, place: int = 0, **said: Any) -> Scene:
        """What an OCSP response about this certificate starts from."""
        issuer = self._issuer(place)
        link = self.links[place]
        scene = Scene(link=link, issuer=issuer, other=self._sibling(place), rogue=self.world.rogue, at=self.world.at)
        return scene if not said else Scene(**(vars(scene) | said))

    def good(self, place: int = 0) -> bytes:
        """An honest response: good, an hour old, signed by the issuer."""
        if place not in self._good:
            self._good[place] = self.scene(place).response()
        return self._good[place]

    @cached_property
    def _good(self) -> dict[int, bytes]:
        return {}

    def forged(self, mutation: str, place: int = 0, **said: Any) -> bytes:
        """A response with one thing changed, by its name in `certtools.forge.MUTATIONS`."""
        return MUTATIONS[mutation](self.scene(place, **said))

    def saying(self, place: int = 0, **said: Any) -> bytes:
        """A response whose one SingleResponse says this: fields of `certtools.forge.Single`."""
        scene = self.scene(place)
        return scene.response(scene.single(**said))

    def singles(self, *singles: Single, **said: Any) -> bytes:
        """A response about the leaf's issue made of these; `said` are fields of `certtools.forge.Answer`."""
        return self.scene().response(*singles, **said)

    def crl(self, *revoked: Revoked, place: int = 0, **said: Any) -> bytes:
        """A CRL of this certificate's issuer, honest unless `said` (arguments of `certtools.forge.crl`) differ."""
        return self._crl_scene(place).crl(*revoked, **said)

    def forged_crl(self, mutation: str, place: int = 0) -> bytes:
        """A CRL with one thing changed, by its name in `certtools.forge.CRL_MUTATIONS`."""
        return CRL_MUTATIONS[mutation](self._crl_scene(place))

    def good_crl(self, place: int = 0) -> bytes:
        """An honest CRL that does not hold this certificate."""
        return honest_crl(self._crl_scene(place))

    def served(
        self,
        *staples: bytes | None,
        ocsp: Sequence[bytes | None] | None = None,
        crls: Sequence[bytes | None] = (),
        **said: Any,
    ) -> Setup:
        """The server with these staples, leaf's first; those not given are honest, None is no staple.

        `ocsp` and `crls` are what the CA answers about each certificate to those who ask it. Not given, the responder
        tells the truth, that all are good; for what they leave out nobody answers. `said` are fields of `Setup`.
        """
        chain = said.pop("chain", None) or self.leaf.as_chain()
        below = len(chain.links)
        if ocsp is None:
            ocsp = [self.good(place) for place in range(below)]
        said = {"name": self.world.name, "sent": sent_chain(self.leaf), **said}
        given = staples + tuple(self.good(place) for place in range(len(staples), len(self.links)))
        return Setup(
            at=self.world.at,
            chain=chain,
            key=self.leaf.key,
            staples=given[: len(said["sent"])],
            ocsp=_padded(ocsp, below),
            crls=_padded(crls, below),
            **said,
        )

    def _issuer(self, place: int) -> Authority:
        issuer = self.ca
        for _ in range(place):
            if issuer.parent is None:
                raise ValueError(f"There is no issuer at place {place}.")
            issuer = issuer.parent
        return issuer

    def _sibling(self, place: int) -> Link:
        """Another certificate of the same CA."""
        issuer = self._issuer(place)
        with self.world.drawing(f"sibling of {self.links[place].serial_number}"):
            return Link(issuer.leaf(["sibling.mustaple.test"]).certificate, issuer.certificate)

    def _crl_scene(self, place: int) -> CrlScene:
        world = self.world
        return CrlScene(link=self.links[place], issuer=self._issuer(place), rogue=world.rogue, at=world.at)


def _padded(given: Sequence[bytes | None], length: int) -> tuple[bytes | None, ...]:
    return (*given, *[None] * (length - len(given)))


@cache
def _rsa_keys() -> dict[int, tuple[RSAPrivateKey, ...]]:
    """The committed keys: a seed makes none. They are for tests, and everybody has them."""
    found: dict[int, list[RSAPrivateKey]] = {}
    for file in sorted((files("mustaple.lab") / "case_keys").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".pem"):
            key = load_pem_private_key(file.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
            if isinstance(key, RSAPrivateKey):
                found.setdefault(key.key_size, []).append(key)
    return {bits: tuple(keys) for bits, keys in found.items()}
