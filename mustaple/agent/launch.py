"""Starts the agent of a configuration, with its page, its alarms and its logs, and ends it when signals say so."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from mustaple.agent.agent import Agent, rules_of
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
        stack.enter_context(hold(Path(config.store)))
        if config.alarm.command is not None:
            alarm = AlarmCommand(config.alarm.command, config.alarm.timeout, write)
            stack.callback(alarm.close)
            tellers.append(alarm.tell)
        agent = Agent(config, random.SystemRandom().random, tell)
        with asyncio.Runner(loop_factory=DeadlineLoop) as runner:
            runner.run(_run(agent, config, tellers, write, once=once))
        return exit_code(agent.last) if once and agent.last is not None else 0


async def _run(
    agent: Agent,
    config: AgentConfig,
    tellers: list[Callable[[Event], None]],
    write: Callable[[str], None],
    *,
    once: bool,
) -> None:
    clocks = Clocks()
    async with http_client(proxy=config.proxy, trust=config.ca) as client:
        fetch = over_http(client, same_host=config.redirects == "same-host")
        timeout = config.refresh.timeout
        fetcher = JudgingFetcher(fetch, clocks.wall, rules_of(config), timeout=timeout, responder=config.responder)
        service = Service(agent, fetcher, clocks)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, service.stop)
        if once:
            await service.run_once()
            return
        loop.add_signal_handler(signal.SIGHUP, service.reload)
        with ExitStack() as stack:
            if config.listen is not None:
                page = _serve(stack, config, service, write)
                tellers.append(page.count)
                service.on_state = page.see
            await service.run()


def _serve(stack: ExitStack, config: AgentConfig, service: Service, write: Callable[[str], None]) -> Page:
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
