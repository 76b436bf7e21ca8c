"""`mustaple check`: connect as the strict client does, and say whether servers keep their promises."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import typer

from mustaple.cli import check_options as option
from mustaple.cli.forms import Json, Output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mustaple.net.targets import Defaults, TargetList

app = typer.Typer(add_completion=False)


@app.command()
def check(
    targets: option.Targets = None,
    lists: option.Lists = None,
    ca: option.Trust = None,
    policy: option.PolicyName = "strict",
    crls: option.Crls = None,
    at: option.At = None,
    expect: option.Expect = None,
    warn_before: option.WarnBefore = None,
    fail_on_warning: option.FailOnWarning = False,
    http: option.Http = False,
    expect_hosts: option.ExpectHostsFile = None,
    sni: option.Sni = None,
    connect: option.Connect = None,
    starttls: option.StartTls = None,
    proxy: option.Proxy = None,
    cert: option.Cert = None,
    key: option.Key = None,
    timeout: option.Timeout = "10s",
    wait: option.Wait = "0s",
    retries: option.Retries = 0,
    at_once: option.AtOnce = 64,
    tls_max: option.TlsMax = None,
    engine: option.EngineOption = option.EngineName.AUTO,
    form: option.Form = None,
    json: Json = False,
    output: Output = None,
    report_only: option.ReportOnly = False,
    every: option.Every = None,
    span: option.For = None,
    database: option.Database = None,
    summary: option.Summary = False,
) -> None:
    """Connect to TLS servers and judge every certificate's revocation evidence.

    Exit 0: accepted, or as expected; 1: refused, also for the path or the name; 2: usage; 3: nobody answered, or not in
    TLS; 4: a fault of mustaple. Of several targets the worst counts: 4, 1, 3, 0.

    The verdict is reached inside the handshake: a server that is refused for its staples gets alert 113 and no data.

    Example: mustaple check localhost:8443 --ca d/root.pem --policy must-staple

    Before turning must-staple on: mustaple check --targets all.txt --report-only --every 10m --for 24h
    """
    from dataclasses import replace

    from mustaple.cli.check_orders import Orders, Reporting, check_once, check_over_time, sum_up
    from mustaple.cli.common import parse_duration, parse_time
    from mustaple.core.errors import InputError
    from mustaple.net.approach import Plan
    from mustaple.net.crl_cache import CrlCache
    from mustaple.net.expect_hosts import ExpectHosts
    from mustaple.net.policy_file import policy_named
    from mustaple.net.settings import Settings
    from mustaple.net.targets import Defaults

    reporting = Reporting.asked_for(form, output, json=json)
    orders = Orders(
        reporting,
        at_once=at_once,
        retries=retries,
        warn_before=parse_duration(warn_before) if warn_before is not None else None,
        fail_on_warning=fail_on_warning,
        report_only=report_only,
        http=http,
        every=parse_duration(every) if every is not None else None,
        span=parse_duration(span) if span is not None else None,
        database=database,
    )
    orders.see_to_it_that_they_agree(summary=summary, at=at, expect=expect, expect_hosts=expect_hosts)
    if summary:
        if targets or lists:
            raise InputError("--summary checks no targets; it sums up what is in --database")
        raise typer.Exit(sum_up(orders))
    settings = Settings(
        policy=policy_named(policy),
        ca=ca or None,
        timeout=parse_duration(timeout).total_seconds(),
        wait=parse_duration(wait).total_seconds(),
        at=parse_time(at) if at is not None else None,
        certificate=cert,
        key=key,
        maximum=f"TLSv{tls_max.value}" if tls_max is not None else None,
        engine=engine.value,
        proxy=proxy,
        crls=tuple(crls or ()),
        crl_cache=CrlCache(),
    )
    if database is not None or expect_hosts is not None:
        Plan(settings)  # what it raises for settings of no use comes before there is a file
    defaults = Defaults(sni=sni, connect=connect, starttls=starttls, expect=expect)
    with ExitStack() as opened:
        found = opened.enter_context(_read_targets(targets or (), lists or (), defaults))
        if expect_hosts is not None:
            settings = replace(settings, expect_hosts=opened.enter_context(ExpectHosts(expect_hosts)))
        run = check_once if every is None else check_over_time
        raise typer.Exit(run(found, settings, orders))


@contextmanager
def _read_targets(arguments: Sequence[str], lists: Sequence[Path], defaults: Defaults) -> Iterator[TargetList]:
    """Every target of the command line, of the lists it names, and of standard input where `-` stands for it."""
    import sys
    from pathlib import Path

    from mustaple.cli.common import complain
    from mustaple.core.errors import InputError
    from mustaple.net.targets import TargetList

    named = [argument for argument in arguments if argument != "-"]
    paths = [*(str(path) for path in lists), *(["-"] if len(named) < len(arguments) else [])]
    with ExitStack() as opened:
        streams = []
        for path in dict.fromkeys(paths):
            try:
                stream = sys.stdin.buffer if path == "-" else opened.enter_context(Path(path).open("rb"))
            except OSError as error:
                raise InputError(f"cannot read the list of targets {path}: {error.strerror or error}") from error
            streams.append(("standard input" if path == "-" else path, stream))
        found = opened.enter_context(TargetList.read(named, streams, defaults))
        if found.repeated:
            again = "1 target is" if found.repeated == 1 else f"{found.repeated} targets are"
            complain(f"{again} listed again; each is checked once")
        yield found
