"""One chain's way to its targets: what is desired is deployed, checked, undone where it is not served, tried again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.verify import verify
from mustaple.agent.events import Event, Kind, Severity
from mustaple.core.refresh import backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mustaple.agent.deploy.contract import Deployer, Deployment, Site
    from mustaple.agent.desire import Desired

    Verify = Callable[[Deployment, Site, Sequence[bytes | None]], None]

_FIRST, _LONGEST = 2.0, 300.0  # seconds between attempts


@dataclass(eq=False, slots=True)
class Target:
    """One target of one chain: what it was given last, and what went wrong.

    `first` says that the agent never gave it anything, in no run: then there is nothing dead to go back to.
    """

    settings: Deployment
    deployer: Deployer
    first: bool = False
    given: Desired | None = None
    tried: tuple[bytes, tuple[bytes | None, ...]] | None = None
    failures: int = 0
    retry_at: datetime | None = None
    said: str = ""
    since: datetime | None = None
    busy: bool = False

    def wants(self, wanted: Desired, at: datetime) -> bool:
        """Whether there is something to do now."""
        if self.busy or (self.given is not None and self.given.key == wanted.key):
            return False
        died = self._has_died(wanted)
        if not wanted.settled and not died:
            return False  # in a moment more is known
        if died and self.tried != wanted.key:
            return True  # however long the back-off from something else is
        # A retry that lies far ahead was planned before the clock was set back.
        return self.retry_at is None or not at < self.retry_at <= at + timedelta(seconds=2 * _LONGEST)

    def may_go_back(self, wanted: Desired) -> bool:
        """Whether what is there from before may be served: nothing dead is among it."""
        return self.first if self.given is None else not self._has_died(wanted)

    def _has_died(self, wanted: Desired) -> bool:
        """Whether something that was given is served no longer by right, and nothing has taken its place."""
        if self.given is None:
            return False
        given = dict(zip(self.given.site.chain.links, self.given.staples, strict=True))
        now = dict(zip(wanted.site.chain.links, wanted.staples, strict=True))
        return any(staple is not None and now.get(link, staple) is None for link, staple in given.items())


@dataclass(eq=False, slots=True)
class Handover:
    """One chain, by its name: the site in the files, the one served until now, and its targets."""

    name: str
    wanted: Site
    serving: Site | None = None
    targets: list[Target] = field(default_factory=list)
    held_back: bool = False

    def next_retry(self) -> datetime | None:
        """When a target that failed is tried again."""
        return min((each.retry_at for each in self.targets if each.retry_at is not None), default=None)


def hand_over(target: Target, wanted: Desired, at: datetime, check: Verify = verify) -> Event:
    """Bring this to the target, and see that it is served; blocking. What came of it, noted in the target too.

    Where the server does not serve what it was given, the step is undone, unless a dead staple would come back by that;
    a withdrawal is never undone.
    """
    site, withdrawing = wanted.site, not any(wanted.staples)
    target.tried = wanted.key
    try:
        if withdrawing:
            target.deployer.withdraw(site)
        else:
            target.deployer.deploy(site, wanted.staples)
        try:
            check(target.settings, site, wanted.staples)
        except DeployError as error:
            if not withdrawing and target.may_go_back(wanted):
                target.deployer.rollback(site)
                raise DeployError(f"{error}; rolled back") from error
            raise
    except DeployError as error:
        target.failures += 1
        target.said = str(error)
        target.retry_at = at + timedelta(seconds=backoff(target.failures, first=_FIRST, longest=_LONGEST))
        what = "not withdrawn from" if withdrawing else "not deployed to"
        said = f"{site.name}: {what} {target.deployer}: {error}"
        return Event(Kind.NOT_DEPLOYED, Severity.CRITICAL if withdrawing else Severity.ERROR, said, at, site.name)
    target.first = False
    target.given, target.failures, target.retry_at, target.said, target.since = wanted, 0, None, "", at
    count = sum(each is not None for each in wanted.staples)
    done = f"{count} of {len(wanted.staples)} staples" if count else "no staple any more"
    return Event(Kind.DEPLOYED, Severity.INFO, f"{site.name}: {target.deployer} has {done}", at, site.name)
