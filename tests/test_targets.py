"""Lists of targets: what a line says, what is no line, and a list that is found good before anything is checked."""

from __future__ import annotations

import io
import tracemalloc
from typing import NamedTuple

import pytest

from mustaple.core.errors import InputError
from mustaple.core.expectation import Expectation
from mustaple.core.verdict import Code, Outcome
from mustaple.net import targets
from mustaple.net.targets import MAX_LINE, Defaults, ListedTarget, TargetList, parse_target


class Found(NamedTuple):
    """What a list names, and how often it repeats itself."""

    targets: list[ListedTarget]
    repeated: int


def read(text: str | bytes, *arguments: str, defaults: Defaults | None = None) -> Found:
    """What a list and these arguments name."""
    data = text.encode() if isinstance(text, str) else text
    lists = [("list.txt", io.BytesIO(data))] if data else []
    with TargetList.read(arguments, lists, defaults if defaults is not None else Defaults()) as found:
        targets = list(found)
        assert len(targets) == len(found)
        assert targets == list(found)  # it can be gone through again
        return Found(targets, found.repeated)


def test_a_line_says_where_by_what_name_and_what_is_expected() -> None:
    target = parse_target("10.0.0.1:8443 sni=a.example connect=127.0.0.1:1 starttls=smtp expect=refused:revoked")
    assert (target.host, target.port, target.server_name) == ("10.0.0.1", 8443, "a.example")
    assert (target.address, target.starttls) == (("127.0.0.1", 1), "smtp")
    assert target.expectation == Expectation(Outcome.REFUSED, Code.REVOKED)
    assert target.text == "10.0.0.1:8443 sni=a.example connect=127.0.0.1:1 starttls=smtp"


def test_what_a_line_does_not_say_is_as_the_run_has_it() -> None:
    defaults = Defaults(sni="b.example", connect="127.0.0.1", starttls="imap", expect="accepted")
    target = parse_target("a.example", defaults)
    assert (target.port, target.server_name, target.address) == (143, "b.example", ("127.0.0.1", 143))
    assert target.expectation == Expectation()
    own = parse_target("a.example sni=c.example connect=[::1]:4 starttls=ldap expect=refused", defaults)
    assert (own.port, own.server_name, own.address) == (389, "c.example", ("::1", 4))
    assert own.expectation == Expectation(Outcome.REFUSED)
    assert (
        parse_target("a.example starttls=postgres").port == parse_target("a.example starttls=postgresql").port == 5432
    )
    assert parse_target("a.example").port == 443


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a b:443", "'b:443' after 'a' is no option of a target"),
        ("a:443 snii=b", "there are sni="),
        ("a:443 sni=", "no option"),
        ("a:443 sni=b sni=c", "twice"),
        ("a:0", "from 1 to 65535"),
        ("a:443 connect=b:x", "HOST:PORT"),
        ("a..b:443", "neither a host name nor an IP address"),
        ("a:443 sni=b..c", "neither a host name nor an IP address"),
        ("a:443 starttls=gopher", "smtp, imap"),
        ("a:443 expect=dropped", "write accepted, refused"),
        ("a:443 expect=refused:revokd", "did you mean revoked?"),
        ("a:443 expect=accepted:revoked", "write accepted, refused"),
        ("https://a.example/", "HOST:PORT"),
    ],
)
def test_a_line_of_no_use_says_why(line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_target(line)
    assert said in str(caught.value)
    with pytest.raises(InputError, match=r"^list\.txt, line 3: ") as placed:
        read(f"# first\na.example\n{line}\n")
    assert said in str(placed.value)


def test_comments_and_empty_lines_say_nothing() -> None:
    found = read("\ufeff# all of them\n\n  a.example:1   sni=b  # the first\r\n\tc.example\n#d.example")
    assert [target.text for target in found.targets] == ["a.example:1 sni=b", "c.example"]


def test_arguments_are_addresses_alone_and_come_first() -> None:
    assert [target.text for target in read("b.example", "a.example:1").targets] == ["a.example:1", "b.example"]
    for argument in ("a b:443", "a:443 sni=b"):
        with pytest.raises(InputError, match="is not HOST:PORT"):
            read("", argument)


def test_the_same_target_is_checked_once() -> None:
    found = read("a.example\nA.example:443\na.example:443 sni=b.example\na.example starttls=imap", "a.example")
    assert (len(found.targets), found.repeated) == (3, 2)
    assert [target.text for target in found.targets] == [
        "a.example",
        "a.example:443 sni=b.example",
        "a.example starttls=imap",
    ]


def test_one_target_cannot_be_expected_to_do_two_things() -> None:
    assert len(read("a.example expect=refused\na.example:443 expect=refused").targets) == 1
    with pytest.raises(InputError, match=r"line 2: a\.example is listed twice, with different expectations"):
        read("a.example expect=refused\na.example expect=refused:revoked")
    with pytest.raises(InputError, match="different expectations"):
        read("a.example expect=refused\na.example", defaults=Defaults(expect="accepted"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "there is no target"),
        (b"\n# nothing\n", "there is no target"),
        (b"a.example\n\x7fELF\x02\x01\x00\n", "line 2: this is not text"),
        (b"a.example\n\xff\xfe\n", "line 2: this is not text"),
        (bytes(100), "line 1: this is not text"),
        (b"a" * (MAX_LINE + 1), "line 1: longer than 4,096 bytes"),
        (b"\n" + b"a" * 10_000_000, "line 2: longer than 4,096 bytes"),
    ],
    ids=["empty", "comments", "binary", "utf-16", "zeros", "long", "endless"],
)
def test_what_is_no_list_says_so(data: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(data)
    assert said in str(caught.value)


def test_a_line_may_be_as_long_as_is_allowed() -> None:
    line = b"a.example" + b" " * (MAX_LINE - 10) + b"\n"
    assert len(line) == MAX_LINE
    assert len(read(line).targets) == 1


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MAX_TARGETS", 3)
    assert len(read("a\nb\nc\na\n").targets) == 3
    with pytest.raises(InputError, match="line 4: there are more than 3 targets"):
        read("a\nb\nc\nd\n")


class Endless(io.RawIOBase):
    """A list of ever new targets, made as it is read."""

    def __init__(self, count: int) -> None:
        self.left = count

    def readline(self, _size: int | None = -1, /) -> bytes:
        self.left -= 1
        return b"host-%d.example:8443 sni=name.example # a comment\n" % self.left if self.left >= 0 else b""


def test_a_long_list_is_not_kept_in_memory() -> None:
    count = 4_000
    tracemalloc.start()
    try:
        with TargetList.read([], [("long", Endless(count))]) as found:  # a raw stream reads lines as well
            assert sum(1 for _ in found) == len(found) == count
            kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < count * 30  # bytes: a list of the targets themselves would take ten times as many
