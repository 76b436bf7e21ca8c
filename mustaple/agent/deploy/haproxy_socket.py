"""Speaks with a running HAProxy on its runtime socket: what it serves is replaced without a reload."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from mustaple.agent.deploy.contract import DeployError
from mustaple.agent.deploy.reloading import NotRunningError
from mustaple.agent.deploy.running import MAX_SAID
from mustaple.net.dial import Deadline

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate

_MOST: Final = 1 << 16  # bytes of an answer that are read
_PAUSE: Final = 0.2  # seconds between two looks at whether another transaction has ended
_OPEN: Final = re.compile(r"^# transaction\n\*(\S+)$", re.MULTILINE)
# HAProxy knows one transaction at a time, whichever certificate it is about.
_TURNS: Final[dict[Path, threading.Lock]] = {}
_FINGERPRINT: Final = re.compile(r"^SHA1 FingerPrint: ([0-9A-F]{40})$", re.MULTILINE)


class HaproxySocket:
    """The socket at `path`; each command is a connection of its own, and may take `timeout` seconds.

    `crt` is what HAProxy calls the certificate: the path that its configuration names. Every method raises DeployError
    where HAProxy does not do what it is told, and NotRunningError where nobody listens.
    """

    def __init__(self, path: Path, crt: str, timeout: float) -> None:
        self._path = path
        self._crt = crt
        self._timeout = timeout

    def serves(self, leaf: Certificate) -> bool:
        """Whether this is the certificate that is in use now."""
        said = self._say(f"show ssl cert {self._crt}\n")
        found = _FINGERPRINT.search(said)
        if found is None:
            raise self._refused(said)
        # How HAProxy names certificates; nothing is trusted because of it.
        name = hashlib.sha1(leaf.public_bytes(Encoding.DER), usedforsecurity=False)
        return found[1] == name.hexdigest().upper()

    def take_staple(self, staple: bytes) -> bool:
        """Replace the staple of the certificate in use; False where HAProxy has no place for one, or will not."""
        return "OCSP Response updated" in self._say(f"set ssl ocsp-response {base64.b64encode(staple).decode()}\n")

    def take_all(self, pem: bytes, staple: bytes | None) -> None:
        """Replace certificate, key and staple in one step; with None there is no staple from then on.

        `pem` is what HAProxy would find in the file: the chain and its key. A transaction starts from what is in use,
        but new PEM without a response takes the old one away with it.
        """
        with _TURNS.setdefault(self._path, threading.Lock()):
            try:
                self._await_turn()
                begun = f"Transaction created for certificate {self._crt}!"
                self._must(f"set ssl cert {self._crt} <<\n{_without_empty_lines(pem)}\n\n", begun)
                if staple is not None:
                    text = base64.b64encode(staple).decode()
                    self._must(f"set ssl cert {self._crt}.ocsp <<\n{text}\n\n", f"for certificate {self._crt}!")
                self._must(f"commit ssl cert {self._crt}\n", "Success!")
            except DeployError:
                self._say(f"abort ssl cert {self._crt}\n")
                raise

    def _await_turn(self) -> None:
        """Wait until no transaction is open; one that does not end was left by somebody who died, and is ended.

        HAProxy (2.6) takes what it is given for another certificate as if it were for the one that is open.
        """
        deadline = Deadline(self._timeout)
        while (other := _OPEN.search(self._say("show ssl cert\n"))) is not None:
            if other[1] == self._crt or deadline.left() <= _PAUSE:
                self._say(f"abort ssl cert {other[1]}\n")
                return
            time.sleep(_PAUSE)

    def _must(self, command: str, expected: str) -> None:
        said = self._say(command)
        if expected not in said:
            raise self._refused(said)

    def _refused(self, said: str) -> DeployError:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        shown = "".join(each if each.isprintable() else "?" for each in " ".join(lines)[:MAX_SAID])
        return DeployError(f"HAProxy at {self._path} does not take {self._crt}: {shown or 'it says nothing'}")

    def _say(self, command: str) -> str:
        deadline = Deadline(self._timeout)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                deadline.bound(connection)
                connection.connect(str(self._path))
                connection.sendall(command.encode())
                answer = b""
                while len(answer) < _MOST:
                    deadline.bound(connection)
                    data = connection.recv(_MOST)
                    if not data:
                        break
                    answer += data
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError(f"HAProxy does not run: nobody listens at {self._path}") from None
        except TimeoutError:
            raise DeployError(f"HAProxy at {self._path} does not answer within {self._timeout:g} s") from None
        except OSError as error:
            raise DeployError(f"HAProxy cannot be told, by {self._path}: {error.strerror or error}") from error
        return answer.decode(errors="replace")


def _without_empty_lines(pem: bytes) -> str:
    """An empty line would end the command."""
    return "\n".join(line for line in pem.decode(errors="replace").splitlines() if line.strip())
