"""The whole grid of situations that are worth telling apart: every world with every attacker and every server."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

from mustaple.report.comparison import Attacker, Case, Ocsp, Outage, Revoked, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mustaple.report.comparison import Protocol

_UNPROMISED: Final = "-unpromised"
_STAPLED: Final = {
    "nothing": None,
    "old": "expired",
    "others": "other-certificate",
    "forged": "forged-signature",
    "fresh": "good",
}
_THIEVES: Final = tuple(each for each in Attacker if each.staples is not None)

HONEST: Final = Case("all-good", "all is well")


def grid() -> tuple[Case, ...]:
    """Every world with every attacker and every server, leaving out what would be the same bytes on the wire.

    A server that does not staple has no staple to lose or to replace, and a thief who mints certificates with a stolen
    intermediate's key promises nothing that its server cannot keep.
    """
    return (*_good(), *_on_path(), *_leaf_revoked(), *_intermediate_revoked())


def _named(name: str, *, promised: bool) -> dict[str, Any]:
    return {"name": name if promised else f"{name}{_UNPROMISED}", "must_staple": promised}


def _staples(server: Server, leaf: str | None = "good", intermediate: str | None = "good") -> dict[str, Any]:
    """What a server staples that has these at hand."""
    return {
        "server": server,
        "staple": None if server is Server.NONE else leaf,
        "ca_staple": intermediate if server is Server.CHAIN else None,
    }


def _good() -> Iterator[Case]:
    kept = {
        Outage.NONE: ("all-good", "all is well", "good"),
        Outage.LOST: ("outage-lost-staple", "the responder is down, and the server has lost its staples", None),
        Outage.EXPIRED: ("outage-expired-staple", "the responder is down, and the server's staples ran out", "expired"),
        Outage.KEPT: ("outage-kept-staple", "the responder is down, and the agent has kept the staples", "good"),
    }
    for (outage, (name, title, has)), promised, server in product(kept.items(), (True, False), Server):
        if server is Server.NONE and outage not in {Outage.NONE, Outage.LOST}:
            continue  # it is as if it had lost them
        yield Case(
            title=title,
            outage=outage,
            ocsp=Ocsp.ANSWERS if outage is Outage.NONE else Ocsp.BLOCKED,
            **_named(name, promised=promised),
            **_staples(server, has, has),
        )
    for server in Server:
        yield Case("all-good-tls12", "all is well, in TLS 1.2", protocol="TLSv1.2", **_staples(server))


def _on_path() -> Iterator[Case]:
    spoken: dict[str, Protocol] = {"all-good": "TLSv1.3", "all-good-tls12": "TLSv1.2"}
    for (name, protocol), server in product(spoken.items(), Server):
        if server is not Server.NONE:
            title = "somebody on the path removes the staple"
            yield Case(name, title, attacker=Attacker.REMOVES_STAPLE, protocol=protocol, **_staples(server))
        title = "somebody on the path breaks the connection"
        yield Case(name, title, attacker=Attacker.BREAKS_CONNECTION, protocol=protocol, **_staples(server))


def _leaf_revoked() -> Iterator[Case]:
    told: dict[str, Any] = {"revoked": Revoked.LEAF, "answer": "revoked"}
    for promised, server in product((True, False), Server):
        title = "the leaf is revoked, and its server is honest"
        yield Case(title=title, **told, **_named("revoked-leaf", promised=promised), **_staples(server, "revoked"))
    for attacker, promised, server in product(_THIEVES, (True, False), Server):
        if server is Server.NONE and attacker.staples != "nothing":
            continue
        yield Case(
            title=f"the leaf is revoked, and {_does(attacker)}",
            attacker=attacker,
            ocsp=Ocsp.BLOCKED if attacker.blocks else Ocsp.ANSWERS,
            **told,
            **_named("revoked-leaf", promised=promised),
            **_staples(server, _STAPLED[attacker.staples or "nothing"]),
        )


def _intermediate_revoked() -> Iterator[Case]:
    told: dict[str, Any] = {"revoked": Revoked.INTERMEDIATE, "ca_answer": "revoked"}
    name = "revoked-intermediate"
    for promised, server in product((True, False), Server):
        title = "the intermediate is revoked, and the server is honest"
        yield Case(title=title, **told, **_named(name, promised=promised), **_staples(server, "good", "revoked"))
    for attacker, promised, server in product(_THIEVES, (True, False), Server):
        if (server is Server.NONE and promised) or (server is not Server.CHAIN and attacker.staples != "nothing"):
            continue
        yield Case(
            title=f"the intermediate is revoked, and {_does(attacker)}",
            attacker=attacker,
            ocsp=Ocsp.BLOCKED if attacker.blocks else Ocsp.ANSWERS,
            **told,
            **_named(name, promised=promised),
            **_staples(server, "good", _STAPLED[attacker.staples or "nothing"]),
        )


def _does(attacker: Attacker) -> str:
    what = {
        "nothing": "staples nothing for it",
        "old": "staples a good answer that has expired",
        "others": "staples another's good answer",
        "forged": "staples a forgery",
        "fresh": "staples a good answer from before, not yet expired",
    }[attacker.staples or "nothing"]
    return f"a thief {what}" + (" and blocks OCSP" if attacker.blocks else "")
