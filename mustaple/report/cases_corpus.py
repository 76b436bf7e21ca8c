"""The corpus as data: the shape of what `mustaple cases export` writes, whose schema is docs/schemas/corpus.json."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mustaple.core.verdict import Code, Outcome

SCHEMA: Final = "mustaple-corpus/1"

Base64 = Annotated[str, Field(pattern="^[A-Za-z0-9+/]*={0,2}$", json_schema_extra={"contentEncoding": "base64"})]
CaseId = Annotated[str, Field(pattern="^[a-z0-9-]+/[a-z0-9-]+$")]
ClauseId = Annotated[str, Field(pattern=r"^RFC\d+-[A-Z0-9.]+-\d+$")]
Preset = Literal["ignore", "soft-fail", "must-staple", "hard-fail", "strict"]
Protocol = Literal["TLSv1.2", "TLSv1.3"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", title=None)


class Expectation(_Shape):
    """What a client should do. `code` is the most telling reason of a refusal; where it accepts, a note, or null."""

    outcome: Literal[Outcome.ACCEPTED, Outcome.REFUSED]
    code: Code | None

    @property
    def words(self) -> str:
        """As `refused: expired`."""
        return self.outcome.value + (f": {self.code.value}" if self.code is not None else "")


class Listed(_Shape):
    """What a case is, and what each preset should make of it.

    `clauses` are requirements in rfc_notes/, as RFC6960-3.2-6 for the sixth of RFC 6960 §3.2. `importance` says what a
    deviation means: must (an RFC forbids it, or a thief of the key gets in), should, or curious (no text settles it).
    """

    id: CaseId
    family: str
    description: str
    clauses: list[ClauseId]
    importance: Literal["must", "should", "curious"]
    expected: dict[Preset, Expectation]


class PathCertificate(_Shape):
    """A certificate of the verified path, in DER, and what its CA answers to a client that asks.

    `ocsp` is a response, `crl` a CRL, in DER unless they are forged otherwise; null where nobody answers.
    """

    certificate: Base64
    ocsp: Base64 | None
    crl: Base64 | None


class SentCertificate(_Shape):
    """A certificate as the server sends it, in DER, and its staple; null for none, empty for a response of no bytes."""

    certificate: Base64
    staple: Base64 | None


class Handshake(_Shape):
    """The server's handshake messages, headers included, from ServerHello to the last that can hold a staple.

    `offered` are the extensions with which the ClientHello asks for a status: 5 (status_request) and 17
    (status_request_v2, with `ocsp_multi`). The flight of TLS 1.3 is given opened; the ServerKeyExchange of TLS 1.2 is a
    stand-in without a signature.
    """

    protocol: Protocol
    offered: list[Literal[5, 17]]
    messages: Base64


class Entry(Listed):
    """A case with all that it puts before a client.

    The client connects to `server_name` at the time `at`, and trusts `trust_anchor`. `path` is the chain that it
    verifies, leaf first, without its last certificate's issuer. `sent` is what the server sends, in its order; it is
    null where the fault is in how it is sent, and then only the handshakes tell. `nonce` is what the client's own OCSP
    request carries, or null.
    """

    at: AwareDatetime
    server_name: str
    trust_anchor: Base64
    path: list[PathCertificate]
    sent: list[SentCertificate] | None
    nonce: Base64 | None
    handshakes: list[Handshake]


class Family(_Shape):
    """A family of cases, and what it is about."""

    name: str
    about: str


class Corpus(_Shape):
    """What `mustaple cases export` writes. A reader skips fields that it does not know.

    The same seed and time give the same file, to the byte. `policies` says for each preset what it demands, with the
    keys of a policy file.
    """

    model_config = ConfigDict(extra="forbid", title="mustaple corpus")

    schema_: Literal["mustaple-corpus/1"] = Field(alias="schema")
    seed: str
    policies: dict[Preset, dict[str, Any]]
    families: list[Family]
    cases: list[Entry]


def corpus_schema() -> dict[str, Any]:
    """The JSON schema, draft 2020-12, of the exported corpus."""
    made = Corpus.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA.replace('/', ':')}", **made}
