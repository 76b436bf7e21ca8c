"""A real redis-server that can be killed and come back, agents as processes that share it, and who saw what when."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Self

import redis
from commands import Running, free_port, running
from staple_world import Asked, Told, World, world

from certtools.chain import to_pem
from mustaple.core.ocsp import judge
from mustaple.core.policy import Rules
from mustaple.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from certtools.chain import Link

NAMES: Final = ("one", "two", "three")
LOOK_EVERY: Final = 0.02  # seconds between two looks at what is deployed
PATIENCE: Final = 40.0


def until(seen: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What `seen` says, once it says something."""
    end = time.monotonic() + patience
    while not (found := seen()):
        assert time.monotonic() < end, f"it never came: {seen}"
        time.sleep(LOOK_EVERY)
    return found


class RedisServer:
    """A redis-server of our own on loopback, in `folder`; with `lasting` it writes all down before it answers."""

    def __init__(self, folder: Path, *options: str, lasting: bool = False, port: int | None = None) -> None:
        self.folder, self.options, self.lasting = folder, options, lasting
        self.port = port if port is not None else free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        lasting = ("--appendonly", "yes", "--appendfsync", "always") if self.lasting else ("--appendonly", "no")
        where = () if "--port" in self.options else ("--port", str(self.port))
        command = ["redis-server", "--bind", "127.0.0.1", *where, "--save", "", *lasting, *self.options]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL)

        def answers() -> bool:
            with suppress(redis.ConnectionError), self.client() as client:
                with suppress(redis.AuthenticationError):
                    client.ping()
                return True
            return False

        until(answers)

    def client(self) -> redis.Redis:
        port = int(self.options[self.options.index("--tls-port") + 1]) if "--tls-port" in self.options else self.port
        tls = {"ssl": True, "ssl_cert_reqs": "none"} if "--tls-port" in self.options else {}
        return redis.Redis(port=port, protocol=2, **tls)

    def kill(self) -> None:
        """SIGKILL: what is not on disk is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def leader(self, client: redis.Redis | None = None) -> str:
        """The name of the agent that leads; empty where nobody does."""
        if client is None:
            with self.client() as own:
                return self.leader(own)
        return (client.get("mustaple:1:leader") or b"").decode().partition(":")[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@dataclass
class Counted:
    """A world whose honest answers live for `life`; each request is noted with the time."""

    place: World
    life: timedelta
    asked: list[tuple[float, int]] = field(default_factory=list)

    def tell(self, asked: Asked) -> Told:
        serial_number = asked.question.cert_ids[0].serial_number
        self.asked.append((time.time(), serial_number))
        at = datetime.now(UTC).replace(microsecond=0)
        link = self.place.signers[serial_number][0]
        return Told(self.place.response(link, this_update=at, next_update=at + self.life))

    def times(self, link: Link) -> list[float]:
        """When this certificate was asked for."""
        return [at for at, serial_number in self.asked if serial_number == link.serial_number]


@contextmanager
def counted(life: timedelta) -> Iterator[Counted]:
    with world() as place:
        made = Counted(place, life)
        for name in ("ca", "leaf", "other"):
            place.says[name] = made.tell
        yield made


def configuration(store: str, table: str, *chains: str) -> str:
    """An agent for these chains, each in a file and deployed to a folder of its name."""
    text = f'store = {json.dumps(store)}\nsettle = "1ms"\nlog = "json"\n{table}[refresh]\nfirst_backoff = "1s"\n'
    for chain in chains:
        text += f'[[chain]]\ncertificates = ["{chain}.pem"]\n[[chain.deploy]]\nkind = "files"\n'
        text += f'directory = "live/{chain}"\n'
    return text


class Fleet:
    """Three agents as processes, by name, for the same chains; each with a folder of its own."""

    def __init__(self, folder: Path, store: str, chains: dict[str, bytes], *, lease: str) -> None:
        self.folder = folder
        self.running: dict[str, ExitStack] = {}
        self.agents: dict[str, Running] = {}
        for name in NAMES:
            (folder / name).mkdir(parents=True)
            for chain, pem in chains.items():
                (folder / name / f"{chain}.pem").write_bytes(pem)
            table = f'[fleet]\nlease = "{lease}"\nname = "{name}"\ncopy_in = "copy"\n' if "://" in store else ""
            (folder / name / "agent.toml").write_text(configuration(store, table, *chains))

    def start(self, name: str) -> Running:
        stack = ExitStack()
        self.running[name] = stack
        self.agents[name] = stack.enter_context(running("agent", self.folder / name / "agent.toml"))
        return self.agents[name]

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.agents[name].process.kill()
        self.running.pop(name).close()

    def status(self, name: str) -> dict[str, Any]:
        """What the agent wrote of its fleet."""
        with suppress(FileNotFoundError):
            return json.loads((self.folder / name / "copy/state.json").read_text())
        return {}

    def standings(self) -> list[str]:
        """The agents' places in the fleet, as they wrote them, in the order of the alphabet."""
        return sorted((self.status(name).get("fleet") or {}).get("standing", "") for name in NAMES)

    def file(self, name: str, chain: str, number: int) -> Path:
        return self.folder / name / "live" / chain / f"staple-{number}.der"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self.running.values():
            stack.close()


class Watch(ABC):
    """Looks at something all the time, in a thread, while a `with` block runs."""

    def __enter__(self) -> Self:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(PATIENCE)

    @abstractmethod
    def _run(self) -> None:
        """Look until it is done."""


class Observer(Watch):
    """Looks all the time at what is deployed; from the first staple in a place on there must be a good, living one."""

    def __init__(self, places: dict[Path, Link]) -> None:
        self.places = places
        self.faults: list[str] = []
        self.looks = 0
        self.widest = 0.0
        self.seen: dict[Path, set[bytes]] = {place: set() for place in places}
        self._dies: dict[tuple[Path, bytes], datetime] = {}

    def _run(self) -> None:
        last = time.monotonic()
        while not self._done.wait(LOOK_EVERY):
            for place, link in self.places.items():
                self._look(place, link)
            now = time.monotonic()
            self.widest, last, self.looks = max(self.widest, now - last), now, self.looks + 1

    def _look(self, place: Path, link: Link) -> None:
        try:
            response = place.read_bytes()
        except FileNotFoundError:
            if self.seen[place]:
                self.faults.append(f"{datetime.now(UTC)} {place}: gone")
            return
        at = datetime.now(UTC)
        if (place, response) not in self._dies:
            found = judge(response, link, at, Rules(max_age=timedelta(days=366)))
            if found.status is not Status.GOOD or found.dies_at is None:
                self.faults.append(f"{at} {place}: {found.status} {found.reasons}")
                return
            self.seen[place].add(response)
            self._dies[place, response] = found.dies_at
        if at >= self._dies[place, response]:
            self.faults.append(f"{at} {place}: dead since {self._dies[place, response]}")


class Leaders(Watch):
    """Looks all the time at who leads. `changes` are from when the old one may have been alone to the new one."""

    def __init__(self, store: RedisServer, lease: float) -> None:
        self.changes: list[tuple[float, float]] = []
        self._store, self._lease = store, lease

    def _run(self) -> None:
        leader, since = "", time.time()
        with self._store.client() as client:
            while not self._done.wait(LOOK_EVERY):
                with suppress(redis.ConnectionError, redis.TimeoutError):
                    found, now = self._store.leader(client), time.time()
                    if found and found != leader:
                        self.changes.append((since - self._lease, now))
                    leader, since = (found, now) if found else (leader, since)


@dataclass
class Figures:
    """What a run showed. Times are seconds since 1970; `handovers` are from the shot to the next leader.

    `changes` are all changes of the leader, those that came of a busy machine among them.
    """

    asked: dict[str, list[float]]
    handovers: list[tuple[float, float]]
    changes: list[tuple[float, float]]
    gaps: list[str]
    interval: float
    looks: int = 0
    widest: float = 0.0
    staples: int = 0
    seconds: float = 0.0

    @property
    def doubles(self) -> list[tuple[str, float]]:
        """Requests before their time, with no hand-over since the one before: there must be none."""
        return [each for each in self._early() if not self._in_handover(*each)]

    @property
    def in_handovers(self) -> int:
        """Requests before their time in a hand-over."""
        return len(self._early()) - len(self.doubles)

    @property
    def requests(self) -> int:
        return sum(map(len, self.asked.values()))

    @property
    def slowest(self) -> float:
        return max((after - before for before, after in self.handovers), default=0.0)

    def _early(self) -> list[tuple[str, float]]:
        # Answers' times are whole seconds: one that is signed at 0.9 s seems to be as old as the second.
        wait = self.interval - 1.2
        return [
            (name, after)
            for name, times in self.asked.items()
            for before, after in pairwise(times)
            if after - before < wait
        ]

    def _in_handover(self, name: str, at: float) -> bool:
        before = max(each for each in self.asked[name] if each < at)
        changes = [*self.handovers, *self.changes]
        return any(began < at and before - 1 < led and at <= led + 1 for began, led in changes)


class Run:
    """Three agents at work for two chains of three certificates, watched: what was asked for, deployed, and when."""

    def __init__(self, folder: Path, stack: ExitStack, *, lease: int, life: int, shared: bool, lasting: bool) -> None:
        self.interval, self.lease = life / 2, lease
        self.counts = stack.enter_context(counted(timedelta(seconds=life)))
        place = self.counts.place
        sites = {"site": place.issue("leaf", ca=place.authority("ca")).as_chain(), "other": place.lone("other")}
        self.links = {(name, number): link for name, chain in sites.items() for number, link in enumerate(chain.links)}
        self.redis = RedisServer(folder / "redis", lasting=lasting)
        if shared:
            stack.enter_context(self.redis)
        self.leaders = stack.enter_context(Leaders(self.redis, lease))
        chains = {name: to_pem(chain.certificates) for name, chain in sites.items()}
        self.fleet = stack.enter_context(Fleet(folder, self.redis.url if shared else "copy", chains, lease=f"{lease}s"))
        places = {self.fleet.file(name, *where): link for name in NAMES for where, link in self.links.items()}
        self.watching = stack.enter_context(Observer(places))
        self.handovers: list[tuple[float, float]] = []
        self.began = time.time()
        for name in NAMES:
            self.fleet.start(name)
        until(lambda: self.everywhere(1))

    def everywhere(self, staples: int) -> bool:
        """Whether so many staples, one after the other, were seen in each place."""
        return all(len(seen) >= staples for seen in self.watching.seen.values())

    def shoot_leader(self) -> tuple[str, str]:
        """SIGKILL for the leader, which is started anew once another one leads; the old one and the new one."""
        old = until(self.redis.leader)
        shot = time.time()
        self.fleet.kill(old)
        new = until(lambda: self.redis.leader() not in {"", old} and self.redis.leader())
        self.handovers.append((shot, time.time()))
        self.fleet.start(old)
        return old, new

    def figures(self) -> Figures:
        """What was seen until now."""
        asked = {f"{name} {number}": self.counts.times(link) for (name, number), link in self.links.items()}
        watched, seen = self.watching, sum(map(len, self.watching.seen.values()))
        return Figures(
            asked,
            self.handovers,
            self.leaders.changes,
            watched.faults,
            self.interval,
            watched.looks,
            watched.widest,
            seen,
            time.time() - self.began,
        )


@contextmanager
def run_of(
    folder: Path, *, lease: int = 2, life: int = 14, shared: bool = True, lasting: bool = False
) -> Iterator[Run]:
    with ExitStack() as stack:
        yield Run(folder, stack, lease=lease, life=life, shared=shared, lasting=lasting)


def kill_leaders(folder: Path, kills: int, draw: Callable[[], float], say: Callable[[str], None]) -> Figures:
    """Shoot the leader so many times at random moments of an interval, those at which all is asked for among them."""
    with run_of(folder) as run:
        for number in range(kills):
            time.sleep(draw() * run.interval)
            old, new = run.shoot_leader()
            shot, led = run.handovers[-1]
            say(f"{number + 1}: {old} was shot, {new} leads after {led - shot:.2f} s")
        before = min(len(seen) for seen in run.watching.seen.values())
        until(lambda: run.everywhere(before + 1))
        return run.figures()


def tls_files(folder: Path, place: World) -> tuple[Path, Path, Path]:
    """A certificate for localhost, its key, and the root."""
    issued = place.root.leaf(["localhost", "127.0.0.1"])
    paths = folder / "redis.pem", folder / "redis.key", folder / "root.pem"
    for path, data in zip(paths, (issued.chain_pem(), issued.key_pem(), to_pem([place.root.certificate])), strict=True):
        path.write_bytes(data)
    return paths
