"""Names are told apart by their look, and what no certificate may hold is refused with a hint."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509

from certtools.names import NamingError, as_text, general_name, general_names

ACCEPTED = [
    ("localhost", x509.DNSName("localhost")),
    ("www.example.org", x509.DNSName("www.example.org")),
    ("*.example.org", x509.DNSName("*.example.org")),
    ("_dmarc.example.org", x509.DNSName("_dmarc.example.org")),
    ("a1.2b", x509.DNSName("a1.2b")),
    ("bücher.example", x509.DNSName("xn--bcher-kva.example")),
    ("*.bücher.example", x509.DNSName("*.xn--bcher-kva.example")),
    ("127.0.0.1", x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))),
    ("::1", x509.IPAddress(ipaddress.IPv6Address("::1"))),
    ("ada@example.org", x509.RFC822Name("ada@example.org")),
    ("ada+x@bücher.example", x509.RFC822Name("ada+x@xn--bcher-kva.example")),
]
REFUSED = [
    ("", "no host name"),
    ("two words", "no spaces"),
    ("localhost ", "no spaces"),
    ("https://example.org", "scheme"),
    ("example.org:443", "port"),
    ("example.org.", "dot at its end"),
    ("example..org", "no host name"),
    ("-example.org", "no host name"),
    ("exa*mple.org", "no host name"),
    ("*", "no host name"),
    ("*.", "no host name"),
    ("*.*.org", "no host name"),
    ("a.*.org", "no host name"),
    ("1.2.3.4.5", "ends in a number"),
    ("256.1.1.1", "ends in a number"),
    ("x" * 64 + ".org", "no host name"),
    (".".join(["x" * 60] * 5), "no host name"),
    ("a\nb", "no spaces"),
    ("a\0b", "no host name"),
    ("ada lovelace@example.org", "no e-mail"),
    ("@example.org", "no e-mail"),
    ("ada@", "no host name"),
    ("ü" * 80 + ".example", "internationalised"),
    ("\u2603\u200d.example", "internationalised"),
]


@pytest.mark.parametrize(("text", "name"), ACCEPTED)
def test_a_name_is_what_it_looks_like(text: str, name: x509.GeneralName) -> None:
    assert general_name(text) == name
    assert general_name(as_text(name)) == name


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_is_no_name_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(NamingError, match=why):
        general_name(text)


def test_names_keep_their_order_and_stand_once() -> None:
    assert general_names(["b", "a", "b"]) == (x509.DNSName("b"), x509.DNSName("a"))
    with pytest.raises(NamingError, match="at least one"):
        general_names([])


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier("http://example.org"),
        x509.DirectoryName(x509.Name([])),
        x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ],
    ids=lambda name: type(name).__name__,
)
def test_other_kinds_of_name_are_not_issued(name: x509.GeneralName) -> None:
    with pytest.raises(NamingError, match="not issued"):
        as_text(name)
