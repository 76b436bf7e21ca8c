"""A certificate authority on disk, shared by the processes that issue, revoke and answer."""

from __future__ import annotations

from certtools.ca_dir.directory import CaDir, issuer_id
from certtools.ca_dir.errors import CaDirError
from certtools.ca_dir.files import write_together
from certtools.ca_dir.founding import StatusUrls, found
from certtools.ca_dir.register import Entry

__all__ = ["CaDir", "CaDirError", "Entry", "StatusUrls", "found", "issuer_id", "write_together"]
