"""What was issued, requested or revoked, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mustaple.report.certificate_facts import certificate_facts, request_facts
from mustaple.report.verdict_json import time_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from certtools.ca_dir import Entry


def issued_json(
    chain: Sequence[x509.Certificate], files: Mapping[str, Path], ca: Path, warnings: Sequence[str], at: datetime
) -> dict[str, Any]:
    """A certificate that was issued: the files by name, the CA directory, and every certificate, leaf first."""
    return {
        "files": {name: str(path) for name, path in files.items()},
        "ca": str(ca),
        "certificates": [certificate_facts(each, at, chain) for each in chain],
        "warnings": list(warnings),
    }


def issued_text(value: Mapping[str, Any], folder: Path) -> str:
    """The same in words, one line a file."""
    leaf, root = value["certificates"][0], value["certificates"][-1]
    said = {
        "root.pem": f"trust it: {root['subject']}, until {_day(root['not_after'])}",
        "chain.pem": f"for the server: {_names(leaf)}, until {_day(leaf['not_after'])}",
        "key.pem": f"its private key, {leaf['key']}",
    }
    lines = {value["files"][name]: line for name, line in said.items() if name in value["files"]}
    lines[value["ca"]] = f"the CA; `mustaple responder {folder}` answers for it"
    return _table(lines)


def requested_json(csr: x509.CertificateSigningRequest, files: Mapping[str, Path]) -> dict[str, Any]:
    """A request that was made, and its files by name."""
    return {"files": {name: str(path) for name, path in files.items()}, "request": request_facts(csr)}


def requested_text(value: Mapping[str, Any]) -> str:
    """The same in words."""
    request = value["request"]
    said = {"csr.pem": f"the request: {_names(request)}", "key.pem": f"its private key, {request['key']}"}
    return _table({value["files"][name]: line for name, line in said.items()})


def revoked_json(entry: Entry, *, changed: bool) -> dict[str, Any]:
    """A register entry after `revoke`. Times are UTC."""
    return {
        "subject": entry.subject,
        "serial_number": f"{entry.serial_number:x}",
        "status": "revoked" if entry.revoked else "good",
        "reason": None if entry.reason is None else entry.reason.value,
        "revocation_time": time_json(entry.revocation_time),
        "changed": changed,
    }


def revoked_text(value: Mapping[str, Any]) -> str:
    """The same in words."""
    head = f"{value['status']}: {value['subject']} (serial {value['serial_number']})"
    if value["status"] == "good":
        return f"{head}, no longer on hold"
    already = "" if value["changed"] else ", already"
    reason = f", {value['reason']}" if value["reason"] else ""
    return f"{head}{already} since {value['revocation_time']}{reason}"


def feature_text(features: Sequence[int] | None) -> str:
    """A TLS Feature list in a few words."""
    if features is None:
        return "no TLS Feature"
    listed = ", ".join(map(str, features)) or "empty"
    return f"must-staple [{listed}]" if {5, 17} & set(features) else f"TLS Feature [{listed}]"


def _names(facts: Mapping[str, Any]) -> str:
    return f"{', '.join(facts['names'])}, {feature_text(facts['features'])}"


def _day(moment: str) -> str:
    return moment.partition("T")[0]


def _table(lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return "\n".join(f"{path:<{width}}  {said}" for path, said in lines.items())
