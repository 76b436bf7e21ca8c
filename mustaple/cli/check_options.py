"""The options of `mustaple check`: names, kinds and help, in the groups that `--help` shows."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Final

import typer

from mustaple.cli.forms import REPORT

_CONNECT: Final = "How to connect"
_DEMAND: Final = "What to demand"
_READY: Final = "Readiness: report only"


class Version(enum.StrEnum):
    """A TLS version."""

    TLS_1_2 = "1.2"
    TLS_1_3 = "1.3"


class EngineName(enum.StrEnum):
    """A TLS library; see `mustaple.net.engines`."""

    AUTO = "auto"
    OPENSSL = "openssl"
    RFC6961 = "rfc6961"


class FormatName(enum.StrEnum):
    """A report's format; see `mustaple.report.check_run.Format`."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    GITHUB = "github"
    PROMETHEUS = "prometheus"
    HTML = "html"


Targets = Annotated[
    list[str] | None,
    typer.Argument(
        help="Servers; without a port, 443 or the protocol's own. `-` reads a list from stdin.",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
Lists = Annotated[
    list[Path] | None,
    typer.Option(
        "--targets",
        metavar="FILE",
        help="A list, a target a line: HOST:PORT, then sni= connect= starttls= expect= as need be; # comments.",
    ),
]

Sni = Annotated[
    str | None,
    typer.Option(
        "--sni", metavar="NAME", help="Ask for this name and find it in the certificate.", rich_help_panel=_CONNECT
    ),
]
Connect = Annotated[
    str | None,
    typer.Option(
        "--connect", metavar="ADDR:PORT", help="Connect there, whatever HOST resolves to.", rich_help_panel=_CONNECT
    ),
]
StartTls = Annotated[
    str | None,
    typer.Option(
        "--starttls",
        metavar="PROTOCOL",
        help="smtp, imap, pop3, ldap, xmpp or postgres: TLS after its words in clear.",
        rich_help_panel=_CONNECT,
    ),
]
Proxy = Annotated[
    str | None,
    typer.Option(
        "--proxy",
        metavar="URL",
        help="Go through this HTTP proxy, by CONNECT: http://user:password@host:port.",
        rich_help_panel=_CONNECT,
    ),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        "--cert", metavar="FILE", help="The client's own certificate, for servers that ask.", rich_help_panel=_CONNECT
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Its key; default in the same file.", rich_help_panel=_CONNECT),
]
Timeout = Annotated[
    str,
    typer.Option(
        "--timeout", metavar="SPAN", help="For the handshake, and again for what is fetched.", rich_help_panel=_CONNECT
    ),
]
Wait = Annotated[
    str,
    typer.Option(
        "--wait", metavar="SPAN", help="How long to try again while the port refuses.", rich_help_panel=_CONNECT
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries", min=0, max=100, help="How often to ask again who does not answer.", rich_help_panel=_CONNECT
    ),
]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", min=1, max=1024, help="How many targets to check at a time.", rich_help_panel=_CONNECT),
]
TlsMax = Annotated[
    Version | None,
    typer.Option("--tls-max", help="Offer no TLS version above this one.", rich_help_panel=_CONNECT),
]
EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="rfc6961 asks for every staple in TLS 1.2 too; auto tries it where it can tell.",
        rich_help_panel=_CONNECT,
    ),
]

Trust = Annotated[
    list[Path] | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="Trust this file or folder of CA certificates; default the system's.",
        rich_help_panel=_DEMAND,
    ),
]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="NAME|FILE",
        help="strict, hard-fail, must-staple, soft-fail, ignore, chromium, firefox, or a .toml file.",
        rich_help_panel=_DEMAND,
    ),
]
Crls = Annotated[
    list[Path] | None,
    typer.Option(
        "--crl",
        metavar="FILE",
        help="A CRL to look at before anybody is asked (PEM or DER); the policy must take CRLs.",
        rich_help_panel=_DEMAND,
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Judge path and evidence at this time (ISO 8601, UTC); default now.",
        rich_help_panel=_DEMAND,
    ),
]
Expect = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="accepted|refused[:CODE]",
        help="What each target has to come to for exit 0.",
        rich_help_panel=_DEMAND,
    ),
]
WarnBefore = Annotated[
    str | None,
    typer.Option(
        "--warn-before",
        metavar="SPAN",
        help="Warn of what dies within this: staples, certificates.",
        rich_help_panel=_DEMAND,
    ),
]
FailOnWarning = Annotated[
    bool,
    typer.Option("--fail-on-warning", help="A warning ends in exit 1 too.", rich_help_panel=_DEMAND),
]

Http = Annotated[
    bool,
    typer.Option(
        "--http",
        help="Ask an accepted server for a page too, and remember what its Expect-Staple header says.",
        rich_help_panel=_DEMAND,
    ),
]
ExpectHostsFile = Annotated[
    Path | None,
    typer.Option(
        "--expect-hosts",
        metavar="FILE",
        help="The memory of Expect-Staple hosts, for --http and for policies that hold them to their word.",
        rich_help_panel=_DEMAND,
    ),
]

Form = Annotated[
    FormatName | None,
    typer.Option("--format", help="Default: text.", rich_help_panel=REPORT, show_default=False),
]

ReportOnly = Annotated[
    bool,
    typer.Option(
        "--report-only", help="Never fail for a refusal: say what would have been refused.", rich_help_panel=_READY
    ),
]
Every = Annotated[
    str | None,
    typer.Option(
        "--every", metavar="SPAN", help="Check again and again, until --for is over or Ctrl-C.", rich_help_panel=_READY
    ),
]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="SPAN", help="For how long from now.", rich_help_panel=_READY),
]
Database = Annotated[
    Path | None,
    typer.Option(
        "--database",
        metavar="FILE",
        help="Keep the results in this SQLite file, or add to those there.",
        rich_help_panel=_READY,
    ),
]
Summary = Annotated[
    bool,
    typer.Option("--summary", help="Check nothing: sum up what is in --database.", rich_help_panel=_READY),
]
