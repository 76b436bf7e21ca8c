"""Staples that are there or not, for certificates that promise one or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mustaple.lab.cases.handshake import TLS12
from mustaple.lab.cases.model import Importance, case, noted

if TYPE_CHECKING:
    from mustaple.lab.cases.setup import Setup
    from mustaple.lab.cases.world import World


@case("RFC7633-4.3.3-1", "RFC9846-4.5.1.1-1", "RFC6961-2.2-2")
def every_staple(world: World) -> Setup:
    """The leaf promises a staple, and the server staples a good one for every certificate."""
    return world.site.served()


@case("RFC7633-4.3.3-1")
def every_staple_unpromised(world: World) -> Setup:
    """The leaf promises nothing, and the server staples for every certificate all the same."""
    return world.unbound.served()


@case("RFC7633-4.3.3-1", must_staple="promise-broken", hard_fail="promise-broken", strict="promise-broken")
def no_staple(world: World) -> Setup:
    """The leaf promises a staple and the server sends none. The CA's responder would say good."""
    return world.site.served(None, None)


@case(
    "RFC7633-4.3.3-1",
    "RFC6960-5-1",
    soft_fail=noted("unreachable"),
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def no_staple_responder_down(world: World) -> Setup:
    """The leaf promises a staple, the server sends none, and the CA's responder does not answer."""
    return world.site.served(None, None, ocsp=())


@case(
    "RFC7633-4.3.3-1",
    soft_fail="revoked",
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def revoked_and_stripped(world: World) -> Setup:
    """A thief with the key of a revoked must-staple certificate staples nothing. The responder would say revoked."""
    return world.site.served(None, None, ocsp=[world.site.forged("revoked")])


@case(
    "RFC6960-5-1",
    soft_fail="revoked",
    must_staple="revoked",
    hard_fail="revoked",
    strict="no-staple",
)
def unpromised_revoked_and_stripped(world: World) -> Setup:
    """A thief staples nothing for a revoked leaf that promises nothing. The responder says revoked to who asks it."""
    return world.unbound.served(None, None, ocsp=[world.unbound.forged("revoked")])


@case("RFC6960-5-1", importance=Importance.SHOULD, strict="no-staple")
def unpromised(world: World) -> Setup:
    """Nothing is stapled and nothing was promised. The CA's responder says good to who asks it."""
    return world.unbound.served(None, None)


@case(
    "RFC6960-5-1",
    soft_fail=noted("unreachable"),
    must_staple=noted("unreachable"),
    hard_fail="unreachable",
    strict="no-staple",
)
def unpromised_responder_down(world: World) -> Setup:
    """Nothing is stapled, nothing was promised, and the CA's responder does not answer: the soft-fail hole."""
    return world.unbound.served(None, None, ocsp=())


@case(
    "RFC6960-3.1-1",
    "RFC5280-4.2.1.13-1",
    soft_fail=noted("no-url"),
    must_staple=noted("no-url"),
    hard_fail="no-url",
    strict="no-staple",
)
def unpromised_nobody_to_ask(world: World) -> Setup:
    """Nothing is stapled, nothing was promised, and the certificate names neither a responder nor a CRL."""
    return world.site_of(features=None, ocsp_urls=[], crl_urls=[]).served(None, None, ocsp=())


@case("RFC9846-4.5.1.1-1", "RFC6961-2.2-3", strict="no-staple")
def leaf_staple_alone(world: World) -> Setup:
    """The leaf's promise is kept, and nothing is stapled for the intermediate."""
    return world.site.served(world.site.good(), None)


@case("RFC9846-4.5.1.1-1", strict="no-staple")
def unpromised_leaf_staple_alone(world: World) -> Setup:
    """The leaf promises nothing and has a good staple; the intermediate has none."""
    return world.unbound.served(world.unbound.good(), None)


@case(
    "RFC7633-4.3.3-1",
    "RFC9846-4.5.1.1-1",
    "RFC6961-2.2-2",
    must_staple="promise-broken",
    hard_fail="promise-broken",
    strict="promise-broken",
)
def intermediate_staple_alone(world: World) -> Setup:
    """Only the intermediate has a staple. A client that takes the first staple it finds for the leaf's is fooled."""
    return world.site.served(None)


@case("RFC6066-8-2", strict="no-staple")
def status_request_in_tls12(world: World) -> Setup:
    """In TLS 1.2 the client offers extension 5 alone, which brings the leaf's staple and no other."""
    return world.site.served(protocols=(TLS12,), offered=frozenset({5}))


@case("RFC6961-2.2-2", "RFC7633-4.2.3.1-1")
def status_request_v2_in_tls12(world: World) -> Setup:
    """In TLS 1.2 the client offers extension 17 alone. It brings every staple, so the leaf's promise of 5 is kept."""
    return world.site.served(protocols=(TLS12,), offered=frozenset({17}))
