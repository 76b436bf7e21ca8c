"""Starts the agent of a configuration, with its page, its alarms and its logs, and ends it when signals say so."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import ssl
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING

from mustaple.agent.agent import Agent, rules_of
from mustaple.agent.answers import HeldAnswers
from mustaple.agent.fetching import JudgingFetcher, http_client, over_http
from mustaple.agent.lock import hold
from mustaple.agent.service import Clocks, Service
from mustaple.agent.state import exit_code
from mustaple.agent.telling import AlarmCommand, as_json, as_text
from mustaple.core.errors import InputError
from mustaple.net.deadline_loop import DeadlineLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from mustaple.agent.config_model import AgentConfig
    from mustaple.agent.events import Event
    from mustaple.agent.fleet.member import Member
    from mustaple.agent.page import Page


def launch(config: AgentConfig, write: Callable[[str], None], *, once: bool = False) -> int:
    """Run the agent until SIGINT or SIGTERM, or with `once` until all that is due is done; the exit code.

    `write` gets each event as a line. SIGHUP has it look at all files, and forget all back-offs. Raises InputError for
    what the configuration names and cannot be used, a store that another agent uses included. For the main thread.
    """
    tellers: list[Callable[[Event], None]] = []
    shown = as_json if config.log == "json" else as_text
    tellers.append(lambda event: write(shown(event)))

    def tell(event: Event) -> None:
        for each in tellers:
            each(event)

    with ExitStack() as stack:
        stack.enter_context(hold(config.folder))
        if config.alarm.command is not None:
            alarm = AlarmCommand(config.alarm.command, config.alarm.timeout, write)
            stack.callback(alarm.close)
            tellers.append(alarm.tell)
        answers = HeldAnswers(rules_of(config)) if config.caching_responder is not None and not once else None
        agent = Agent(config, random.SystemRandom().random, tell, answers=answers)
        with asyncio.Runner(loop_factory=DeadlineLoop) as runner:
            runner.run(_run(agent, config, tellers, write, tell, once=once))
        return exit_code(agent.last) if once and agent.last is not None else 0


async def _run(
    agent: Agent,
    config: AgentConfig,
    tellers: list[Callable[[Event], None]],
    write: Callable[[str], None],
    tell: Callable[[Event], None],
    *,
    once: bool,
) -> None:
    clocks = Clocks()
    async with AsyncExitStack() as stack:
        _answer(stack, config, agent.answers, write, tell)
        client = await stack.enter_async_context(http_client(proxy=config.proxy, trust=config.ca))
        fetch = over_http(client, same_host=config.redirects == "same-host")
        timeout = config.refresh.timeout
        fetcher = JudgingFetcher(fetch, clocks.wall, rules_of(config), timeout=timeout, responder=config.responder)
        service = Service(agent, fetcher, clocks, member=_member(agent, config, clocks) if config.is_shared else None)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, service.stop)
        if once:
            await service.run_once()
            return
        loop.add_signal_handler(signal.SIGHUP, service.reload)
        if config.listen is not None:
            page = _serve(stack, config, service, write)
            tellers.append(page.count)
            service.on_state = page.see
        await service.run()


def _member(agent: Agent, config: AgentConfig, clocks: Clocks) -> Member:
    """The agent's part in the fleet that shares this store."""
    try:
        from mustaple.agent.fleet.member import LONGEST_TIMEOUT, TIMEOUT, Member
        from mustaple.agent.fleet.redis_store import RedisStore
    except ModuleNotFoundError as error:
        raise InputError("store: to share one takes the client of Redis; pip install 'mustaple[agent]'") from error
    fleet, lease = config.fleet, config.fleet.lease.total_seconds()
    try:
        ssl.create_default_context(cafile=str(fleet.ca) if fleet.ca is not None else None)
    except OSError as error:
        raise InputError(f"fleet.ca: {fleet.ca} holds no certificates to trust: {error.strerror or error}") from error
    store = RedisStore(config.store, prefix=fleet.prefix, timeout=min(lease * TIMEOUT, LONGEST_TIMEOUT), trust=fleet.ca)
    name = fleet.name if fleet.name is not None else socket.gethostname()
    return Member(agent, store, lease=lease, name=name, wall=clocks.wall, steady=clocks.steady)


def _answer(
    stack: AsyncExitStack,
    config: AgentConfig,
    answers: HeldAnswers | None,
    write: Callable[[str], None],
    tell: Callable[[Event], None],
) -> None:
    """Answer OCSP requests, where the configuration says; whether or not, never ask ourselves."""
    table = config.caching_responder
    if table is None:
        return
    from mustaple.agent.caching_responder import CachingResponder, forget_own_proxy, leads_to

    if config.proxy is not None and leads_to(config.proxy, table.listen):
        raise InputError(f"proxy: {config.proxy} is the agent's own caching responder; it would ask itself")
    for name in forget_own_proxy(table.listen):
        write(f"{name} is the agent's own caching responder; its own requests go without")
    if answers is None:
        return
    timeout = config.refresh.timeout
    responder = CachingResponder(table, answers, tell, proxy=config.proxy, trust=config.ca, timeout=timeout)
    stack.callback(responder.close)
    responder.start()
    write(f"OCSP answers at {responder.url}")


def _serve(stack: AsyncExitStack, config: AgentConfig, service: Service, write: Callable[[str], None]) -> Page:
    """The page, on the address that the configuration names."""
    try:
        from mustaple.agent.metrics import Metrics
        from mustaple.agent.page import Page
    except ModuleNotFoundError as error:
        raise InputError("listen: metrics need prometheus-client; pip install 'mustaple[agent]'") from error
    from mustaple.net.listen import listen, url_of
    from mustaple.net.responder.serving import AppRunner

    host, _, port = (config.listen or "").rpartition(":")
    listener = listen(host.strip("[]"), int(port), expose=config.expose)
    page = Page(Metrics(), lambda: service.clocks.steady() - service.beat)
    runner = AppRunner(page, listener)
    stack.callback(runner.close)
    runner.start()
    write(f"metrics at {url_of(listener, 'http')}/metrics, health at /health")
    return page
