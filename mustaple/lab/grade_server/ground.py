"""What a graded server is given: a CA of its own, certificates whose responder is the bench's, and files of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from certtools.authority import MUST_STAPLE, Authority
from certtools.chain import to_pem

if TYPE_CHECKING:
    from pathlib import Path

    from certtools.authority import Issued
    from certtools.chain import Link

NAME: Final = "localhost"
PASSWORD: Final = "graded"  # noqa: S105  of a key store that dies with the bench; Java takes none without
_LIFE: Final = timedelta(days=365)


@dataclass(frozen=True)
class Ground:
    """A root, a CA below it and a must-staple certificate for localhost; both certificates name this responder."""

    root: Authority
    ca: Authority
    leaf: Issued
    rogue: Authority
    others: tuple[Link, Link]

    @classmethod
    def make(cls, responder_url: str) -> Ground:
        """A new one, valid from a year ago for two years."""
        now = datetime.now(UTC)
        begin, end = now - _LIFE, now + _LIFE
        root = Authority.root("graded root", not_before=begin, not_after=end)
        ca = root.intermediate("graded CA", ocsp_urls=[responder_url])
        leaf = ca.leaf([NAME, "127.0.0.1"], features=MUST_STAPLE, ocsp_urls=[responder_url])
        rogue = Authority.root("somebody else", not_before=begin, not_after=end)
        others = (ca.leaf(["other.test"]).as_chain().links[0], root.intermediate("another CA").as_chain().links[0])
        return cls(root, ca, leaf, rogue, others)

    @property
    def links(self) -> tuple[Link, ...]:
        """The leaf's and its CA's, in the order sent."""
        return self.leaf.as_chain().links

    def write(self, folder: Path) -> None:
        """The files that recipes name, into this folder; those with a key for nobody else."""
        leaf, ca, root = self.leaf.chain
        store = serialize_key_and_certificates(
            NAME.encode(),
            self.leaf.key,  # type: ignore[arg-type]  # typed for fewer kinds than a leaf may have; this is EC
            leaf,
            [ca, root],
            BestAvailableEncryption(PASSWORD.encode()),
        )
        secret = {
            "key.pem": self.leaf.key_pem(),
            "bundle.pem": self.leaf.key_pem() + to_pem([leaf, ca]),
            "store.p12": store,
        }
        public = {
            "leaf.pem": to_pem([leaf]),
            "chain.pem": to_pem([leaf, ca]),
            "trust.pem": to_pem([ca, root]),
            "root.pem": to_pem([root]),
            "ca.pem": to_pem([ca]),
        }
        for name, content in secret.items():
            (folder / name).touch(0o600)
            (folder / name).write_bytes(content)
        for name, content in public.items():
            (folder / name).write_bytes(content)
