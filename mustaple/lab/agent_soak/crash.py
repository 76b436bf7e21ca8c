"""Kills an agent at random moments with SIGKILL, again and again, and looks at what it leaves behind each time."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from cryptography.x509.ocsp import load_der_ocsp_response

from certtools.authority import Authority
from certtools.chain import load_certificates, to_pem
from certtools.forge import answer, sign, single
from mustaple.agent.agent import Agent
from mustaple.agent.config import parse_config
from mustaple.agent.discovery import Discovery
from mustaple.agent.fetching import JudgingFetcher
from mustaple.agent.handover import hand_over
from mustaple.agent.shelf import DirectoryShelf
from mustaple.agent.state import parse, read_state
from mustaple.core.errors import InputError
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Code, Status
from mustaple.net.exchange import Fetched
from mustaple.net.store import Staple, Wrong

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.chain import Chain, Link
    from mustaple.agent.engine import Order

LONGEST: Final = 0.4  # seconds until the shot, at most
_LIFE: Final = timedelta(seconds=20)  # of an answer: simulated time passes quickly
_RULES: Final = Rules(max_age=timedelta(days=366))


@dataclass(slots=True)
class Damage:
    """What was found: rounds, faults in words, how many staples there were, and how many rounds had written some."""

    rounds: int = 0
    faults: list[str] = field(default_factory=list)
    staples: int = 0
    progress: int = 0


class _Busy:
    """An agent whose time flies, so that it fetches, stores and deploys without a pause until it is shot."""

    def __init__(self, folder: Path, ca: Authority, at: datetime, seed: int) -> None:
        config = parse_config(_config(folder), "soak")
        self._at = at
        self._issuers = {each.certificate: each for each in (ca, ca.parent) if each is not None}
        self._agent = Agent(config, Random(seed).random, lambda _: None)  # noqa: S311 - a round is to be had again
        self._agent.adopt(Discovery(config.chain, timedelta()).scan(at, 0.0), at)
        self._fetcher = JudgingFetcher(self._fetch, lambda: self._at, _RULES)

    async def _fetch(self, link: Link, *, url: str, **_: Any) -> Fetched:
        said = single(link, self._at, this_update=self._at, next_update=self._at + _LIFE)
        issuer = self._issuers[link.issuer]
        return Fetched(sign(answer([said], issuer), issuer), url, "GET", 200, {}, 0.0)

    def work(self) -> None:
        """For ever."""
        while True:
            orders = self._agent.step(self._at)
            while orders:
                orders = [each for order in orders for each in self._carry_out(order)]
            for errand in self._agent.errands(self._at):
                self._agent.handed(errand, hand_over(errand.target, errand.wanted, self._at), self._at)
            self._agent.save(self._at)
            self._at += _LIFE / 4

    def _carry_out(self, order: Order) -> list[Order]:
        work = self._fetcher(order)
        try:
            work.send(None)
        except StopIteration as stop:
            gathered, waits = stop.value
            return self._agent.done(order, gathered, waits, self._at)
        raise RuntimeError("a fetch waits")


def kill_again_and_again(folder: Path, rounds: int, seed: int = 1) -> Damage:
    """So many rounds in this folder: an agent is started, shot at a random moment, and what it left is looked at.

    After each the store must hold a whole, good staple for each certificate that ever had one, the state must be
    readable, and what is deployed must be whole, of one version, and good. Agents are forked: there may be no threads.
    """
    began = datetime.now(UTC).replace(microsecond=0)
    root = Authority.root("soak root", not_before=began - timedelta(days=1), not_after=began + timedelta(days=365))
    ca = root.intermediate("soak CA", ocsp_urls=["http://soak.test/"])
    chain = ca.leaf(["soak.test"], ocsp_urls=["http://soak.test/"]).as_chain()
    (folder / "chain.pem").write_bytes(to_pem(chain.certificates))
    draw, damage, known = Random(seed), Damage(), set[bytes]()  # noqa: S311 - as above
    at, before = began, began
    for number in range(rounds):
        _shoot(folder, ca, at, seed + number, draw.random() * LONGEST)
        damage.rounds += 1
        damage.faults += [f"round {number}: {each}" for each in _faults(folder, chain, known, damage)]
        at = _time_of(folder, at)
        damage.progress += at > before
        before = at
    return damage


def _shoot(folder: Path, ca: Authority, at: datetime, seed: int, seconds: float) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            busy = _Busy(folder, ca, at, seed)
            os.write(writing, b".")
            busy.work()
        finally:
            os._exit(3)  # it never comes back here but by a fault
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the agent ended by itself")


def _faults(folder: Path, chain: Chain, known: set[bytes], damage: Damage) -> list[str]:
    shelf, at, found = DirectoryShelf(folder / "store" / "staples"), _time_of(folder, datetime.now(UTC)), []
    try:
        read_state(folder / "store" / "state.json")
    except InputError as error:
        found.append(str(error))
    for link in chain.links:
        try:
            held = shelf.load(link, at, _RULES)
        except InputError as error:
            found.append(str(error))
            continue
        if isinstance(held, Wrong) and not _only_old(held):
            found.append(f"the store: {held.said}")
        if held is None and link.fingerprint in known:
            found.append("the store: a staple is lost")
        if held is not None:
            known.add(link.fingerprint)
            damage.staples += isinstance(held, Staple)
    return found + _deployed_faults(folder / "live", chain)


def _deployed_faults(live: Path, chain: Chain) -> list[str]:
    """What is wrong with what a server would read now."""
    if not live.exists():
        return []
    if load_certificates((live / "chain.pem").read_bytes()) != list(chain.certificates):
        return ["deployed: another chain"]
    found = []
    for place, link in enumerate(chain.links):
        staple = live / f"staple-{place}.der"
        if staple.exists():
            body = staple.read_bytes()
            updated = load_der_ocsp_response(body).this_update_utc
            if judge(body, link, updated, _RULES).status is not Status.GOOD:
                found.append(f"deployed: {staple.name} is not good")
    if (live / "staple-0.der").exists() and (live / "leaf.der").read_bytes() != (live / "staple-0.der").read_bytes():
        found.append("deployed: files of two versions")
    return found


def _only_old(held: Wrong) -> bool:
    codes = {reason.code for reason in held.judgement.reasons} if held.judgement is not None else {None}
    return codes <= {Code.EXPIRED, Code.NOT_YET_VALID}


def _time_of(folder: Path, otherwise: datetime) -> datetime:
    """How far the agents' time has come."""
    try:
        state = read_state(folder / "store" / "state.json")
    except InputError:
        return otherwise
    return parse(state.at) or otherwise if state is not None else otherwise


def _config(folder: Path) -> bytes:
    tables = {"directory": str(folder / "live"), "kind": "files"}
    deploy = ", ".join(f"{key} = {json.dumps(value)}" for key, value in tables.items())
    return (
        f"store = {json.dumps(str(folder / 'store'))}\n[[chain]]\n"
        f"certificates = [{json.dumps(str(folder / 'chain.pem'))}]\ndeploy = [{{{deploy}}}]\n"
    ).encode()
