"""What the agent's configuration may say: its tables and keys as pydantic models, and the JSON schema of them."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from mustaple.agent.deploy.contract import Command, Seconds
from mustaple.agent.deploy.kinds import AnyDeployment
from mustaple.net.exchange import url_fault

MAX_SPAN: Final = timedelta(days=36_500)
_SPAN: Final = re.compile(r"(0|[1-9][0-9]{0,9})(ms|s|m|h|d)")
_DATABASE: Final = re.compile(r"/?([0-9]{0,5})")
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _span(value: object) -> timedelta:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a span of time, a whole number and ms, s, m, h or d, as in 10d")
    span = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta() < span <= MAX_SPAN:
        raise ValueError("a span of time, a whole number and ms, s, m, h or d, as in 10d")
    return span


def _askable(url: str) -> str:
    fault = url_fault(url)
    if fault is not None or "?" in url or "#" in url:
        raise ValueError("the http or https URL of a responder, without user, password, query and fragment")
    return url


def _lease(span: timedelta) -> timedelta:
    if not timedelta(seconds=1) <= span <= timedelta(hours=1):
        raise ValueError("a span of time from 1s to 1h")
    return span


def is_shared(store: str) -> bool:
    """Whether this names a store that agents share, and no folder."""
    return "://" in store


def _store(store: str) -> str:
    try:
        parts = urlsplit(store)
        usable = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if is_shared(store) and (not usable or parts.query or parts.fragment or not _DATABASE.fullmatch(parts.path)):
        raise ValueError("a folder, or redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or the same with rediss")
    return store


Span = Annotated[timedelta, BeforeValidator(_span), WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$"})]
Lease = Annotated[Span, AfterValidator(_lease)]
Share = Annotated[float, Field(gt=0, lt=1)]
Pattern = Annotated[str, Field(min_length=1, max_length=4096)]
Store = Annotated[Pattern, AfterValidator(_store)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)]
ResponderUrl = Annotated[str, Field(max_length=2048), AfterValidator(_askable)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.%]+\]|[^\s:\[\]]+):[0-9]{1,5}$", max_length=300)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainTable(_Table):
    """One kind of certificate chains: the files they are in, and where their staples go."""

    certificates: list[Pattern] = Field(
        min_length=1, max_length=1024, description="Files, globs and folders; each file with a certificate is a chain."
    )
    name: Name | None = Field(
        default=None, description="What the chain is called, if there is but one; default: from the file's name."
    )
    issuers: list[Pattern] = Field(
        default=[], max_length=64, description="Files with certificates that end the chains."
    )
    key: Path | None = Field(default=None, description="The chain's private key, for deployments that take it along.")
    deploy: list[AnyDeployment] = Field(default=[], max_length=64, description="Where the staples go.")


class RefreshTable(_Table):
    """When to ask, and how to back off."""

    first_backoff: Span = Field(
        default=timedelta(seconds=5), description="The wait after the first failure; doubled each time."
    )
    longest_backoff: Span = Field(default=timedelta(hours=1), description="The longest wait between two requests.")
    timeout: Seconds = Field(default=10.0, description="Seconds for one certificate, all its addresses together.")
    per_responder: int = Field(default=4, ge=1, le=64, description="Requests at once to one responder.")
    max_age: Span = Field(
        default=timedelta(days=366), description="How long after thisUpdate an answer may serve at most."
    )


class AlarmTable(_Table):
    """When to raise the alarm, in parts of a staple's life that are left, and whom to tell."""

    warning: Share = Field(default=0.30, description="A warning where less than this part of a staple's life is left.")
    critical: Share = Field(default=0.10, description="An error where less than this part is left.")
    command: Command | None = Field(
        default=None,
        description="Run at each alarm, as a list; no shell. MUSTAPLE_EVENT, MUSTAPLE_SEVERITY, MUSTAPLE_SUBJECT, "
        "MUSTAPLE_FINGERPRINT and MUSTAPLE_MESSAGE say what it is about.",
    )
    timeout: Seconds = Field(default=30.0, description="Seconds that the command may take.")

    @model_validator(mode="after")
    def _in_order(self) -> AlarmTable:
        if self.critical >= self.warning:
            raise ValueError("critical must be less than warning")
        return self


class CachingResponderTable(_Table):
    """The agent as an OCSP responder and a proxy for OCSP, for servers and clients that ask by themselves."""

    listen: Address = Field(description="HOST:PORT to answer at, as in 127.0.0.1:2560.")
    expose: bool = Field(default=False, description="Allow `listen` to be an address that other machines can reach.")
    forward: list[ResponderUrl] = Field(
        default=[], max_length=64, description="OCSP URLs to which requests about other certificates are passed on."
    )


class FleetTable(_Table):
    """How agents with one store in Redis share the work: one of them asks for all."""

    lease: Lease = Field(
        default=timedelta(seconds=15), description="Within so long a leader that died is replaced; 1s to 1h."
    )
    prefix: Name = Field(default="mustaple", description="What the store's keys begin with: a fleet's own name.")
    name: Name | None = Field(default=None, description="What others are told of this agent; default: the host's name.")
    copy_in: Path = Field(
        default=Path("mustaple-store"), description="The folder of this agent alone in which it keeps what it has."
    )
    ca: Path | None = Field(default=None, description="Certificates to trust behind rediss; default: the system's.")


class AgentConfig(_Table):
    """The staple agent: which chains it watches, where staples are kept, and how it may be seen."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="mustaple agent")

    store: Store = Field(
        description="The folder in which staples are kept; or redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or "
        "rediss:// for TLS, to share them with other agents."
    )
    state: Path | None = Field(
        default=None, description="The file for `mustaple agent status`; default: state.json in the store."
    )
    chain: list[ChainTable] = Field(min_length=1, max_length=10_000, description="The chains to watch.")
    rescan: Span = Field(default=timedelta(seconds=10), description="How often files are looked at.")
    settle: Span = Field(
        default=timedelta(seconds=2), description="How long a file must stay as it is before it is read."
    )
    responder: Url | None = Field(default=None, description="Ask this address, not those in the certificates.")
    redirects: Literal["same-host", "anywhere"] = Field(
        default="same-host", description="Where a responder's redirect may lead."
    )
    proxy: Url | None = Field(default=None, description="An HTTP proxy; default: the usual environment variables.")
    ca: Path | None = Field(default=None, description="Certificates to trust behind https; default: the system's.")
    allow_sha1: bool = Field(default=False, description="Accept an OCSP response with a SHA-1 signature.")
    listen: Address | None = Field(default=None, description="HOST:PORT for /metrics and /health; default: nowhere.")
    expose: bool = Field(default=False, description="Allow `listen` to be an address that other machines can reach.")
    log: Literal["text", "json"] = Field(default="text", description="How events are written on stderr.")
    refresh: RefreshTable = RefreshTable()
    alarm: AlarmTable = AlarmTable()
    fleet: FleetTable = FleetTable()
    caching_responder: CachingResponderTable | None = Field(
        default=None, description="Answer OCSP requests from the good staples that are held; default: do not."
    )

    @property
    def is_shared(self) -> bool:
        """Whether the store is one in Redis."""
        return is_shared(self.store)

    @property
    def folder(self) -> Path:
        """The folder of this agent alone."""
        return self.fleet.copy_in if self.is_shared else Path(self.store)

    @property
    def state_file(self) -> Path:
        """Where the state is."""
        return self.state if self.state is not None else self.folder / "state.json"

    @model_validator(mode="after")
    def _of_a_fleet(self) -> AgentConfig:
        if "fleet" in self.model_fields_set and not self.is_shared:
            raise ValueError("the table fleet is for a store that agents share, as in redis://store.example:6379/0")
        return self


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a configuration, read as the JSON value that its TOML stands for."""
    made = AgentConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:mustaple-agent:1", **made}
