"""Reads lists of servers to check, a line at a time: where each is, by what name, and what is expected of it."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from mustaple.core.errors import InputError
from mustaple.core.expectation import Expectation
from mustaple.net.address import parse_address
from mustaple.net.service_name import service_name
from mustaple.net.settings import Target
from mustaple.net.starttls import starttls_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE: Final = 4096  # bytes; a host name has at most 253
MAX_TARGETS: Final = 200_000  # in one run: what tells one from another is kept of each while the list is read
HTTPS: Final = 443
_OPTIONS: Final = ("sni", "connect", "starttls", "expect")
_KEPT_IN_MEMORY: Final = 1 << 16  # bytes of a list; the rest of it waits in a temporary file


@dataclass(frozen=True, slots=True)
class ListedTarget(Target):
    """A server to check, as it is listed. `text` is how the user wrote it, for reports.

    `expectation` None means that nothing was said of what it should come to.
    """

    text: str = ""
    expectation: Expectation | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def key(self) -> bytes:
        """The same 16 bytes for what is the same server, asked in the same way."""
        what = (self.host.lower(), self.port, self.server_name, self.address, self.starttls)
        return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every target that does not say otherwise itself; values are as the user wrote them."""

    sni: str | None = None
    connect: str | None = None
    starttls: str | None = None
    expect: str | None = None


NO_DEFAULTS: Final = Defaults()


def parse_target(line: str, defaults: Defaults = NO_DEFAULTS) -> ListedTarget:
    """`HOST[:PORT] [sni=NAME] [connect=ADDR[:PORT]] [starttls=PROTOCOL] [expect=accepted|refused[:CODE]]`.

    Without a port it is the protocol's own, 443 for TLS from the first byte. Raises InputError for anything else.
    """
    address, *words = line.split()
    said = dict(_option(word, address) for word in words)
    if len(said) < len(words):
        raise InputError(f"{line!r} says the same option twice")
    protocol = said.get("starttls", defaults.starttls)
    starttls = starttls_named(protocol) if protocol is not None else None
    host, port = parse_address(address, HTTPS if starttls is None else starttls.port)
    name = said.get("sni", defaults.sni)
    service_name(host if name is None else name)
    connect = said.get("connect", defaults.connect)
    expect = said.get("expect", defaults.expect)
    return ListedTarget(
        text=" ".join([address, *(word for word in words if not word.startswith("expect="))]),
        host=host,
        port=port,
        server_name=name,
        address=parse_address(connect, port) if connect is not None else None,
        starttls=starttls,
        expectation=Expectation.parse(expect) if expect is not None else None,
    )


def _option(word: str, address: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not value or name not in _OPTIONS:
        allowed = ", ".join(f"{each}=" for each in _OPTIONS)
        raise InputError(f"{word!r} after {address!r} is no option of a target (there are {allowed})")
    return name, value


def lines_of(stream: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """The lines of a list that say something, with their numbers from 1; `#` begins a comment.

    Raises InputError, with the name and the line's number, for what is not text and for a line over 4,096 bytes.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{name}, line {number}: longer than {MAX_LINE:,} bytes, so no target")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{name}, line {number}: this is not text") from None
        if not text.replace("\t", " ").rstrip("\r\n").isprintable():
            raise InputError(f"{name}, line {number}: this is not text")
        said = text.partition("#")[0].strip()
        if said:
            yield number, said


class TargetList:
    """Every target of a run, once each, however many; may be gone through again and again. A context manager.

    All of it is read and found good before there is a `TargetList`, so that a bad line ends a run before it begins;
    what is kept is the text of the list, beyond 64 KiB in a temporary file. `repeated` is how many lines named
    a target once more.
    """

    def __init__(self) -> None:
        self.repeated = 0
        self._count = 0
        self._spool = tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY)  # noqa: SIM115 - `close` closes it
        self._defaults = NO_DEFAULTS

    @classmethod
    def read(
        cls,
        arguments: Iterable[str],
        lists: Iterable[tuple[str, BinaryIO]] = (),
        defaults: Defaults = NO_DEFAULTS,
    ) -> Self:
        """The targets among these arguments, and in these lists, each with the name that errors call it by.

        Raises InputError for the first that is of no use, for a target that is listed with two expectations, for more
        than 200,000 targets, and for none at all.
        """
        made = cls()
        try:
            made._read(arguments, lists, defaults)
        except BaseException:
            made.close()
            raise
        return made

    def _read(self, arguments: Iterable[str], lists: Iterable[tuple[str, BinaryIO]], defaults: Defaults) -> None:
        self._defaults = defaults
        seen: dict[bytes, Expectation | None] = {}
        for argument in arguments:
            self._take(argument, _only_address(argument, defaults), seen)
        for name, stream in lists:
            for number, line in lines_of(stream, name):
                with _place(f"{name}, line {number}"):
                    self._take(line, parse_target(line, defaults), seen)
        if not seen:
            raise InputError("there is no target to check: name HOST:PORT, or a list of them with --targets")

    def _take(self, line: str, target: ListedTarget, seen: dict[bytes, Expectation | None]) -> None:
        key = target.key
        if key in seen:
            if seen[key] != target.expectation:
                raise InputError(f"{target.text} is listed twice, with different expectations")
            self.repeated += 1
            return
        if len(seen) == MAX_TARGETS:
            raise InputError(f"there are more than {MAX_TARGETS:,} targets; check them in several runs")
        seen[key] = target.expectation
        self._count += 1
        self._spool.write(f"{line}\n".encode())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ListedTarget]:
        """The targets in their order. Not to be gone through twice at once."""
        self._spool.seek(0)
        while line := self._spool.readline():
            yield parse_target(line.decode(), self._defaults)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget them all."""
        self._spool.close()


def _only_address(argument: str, defaults: Defaults) -> ListedTarget:
    """The target that an argument names: an address alone, so that a space in it is a mistake and no option."""
    parse_address(argument, HTTPS)
    return parse_target(argument, defaults)


@contextmanager
def _place(name: str) -> Iterator[None]:
    """Put in front of an InputError where it was made."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
