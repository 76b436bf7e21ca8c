"""What HTTP's headers may say about keeping an answer and asking again, and how little they are believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mustaple.core.errors import NetworkError
from mustaple.core.refresh import due
from mustaple.net.caching import LONGEST_WAIT, kept_until, retry_at
from mustaple.net.exchange import OCSP_RESPONSE, Exchange, RetryLaterError, ocsp_request

if TYPE_CHECKING:
    from certtools.chain import Chain, Link

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
LIFE = timedelta(days=10)
SECOND = timedelta(seconds=1)


@pytest.mark.requirement("RFC9919-7.1-1")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": 'public, Max-Age="60" , must-revalidate'}, 60),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "max-age=60", "age": "-5"}, 60),
        ({"cache-control": "max-age=99999999999999999999"}, 1 << 31),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=²"}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": ""}, None),
        ({"expires": "Mon, 01 Jun 2026 13:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_how_long_an_answer_may_be_kept(headers: dict[str, str], seconds: int | None) -> None:
    assert kept_until(headers, AT) == (None if seconds is None else AT + seconds * SECOND)


@pytest.mark.requirement("RFC9919-7.1-1", "RFC9919-8.5-1")
@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (None, LIFE / 2),
        (LIFE / 4, LIFE / 4),
        (LIFE * 3 / 4, LIFE * 3 / 4),
        (LIFE * 2, LIFE * 9 / 10),  # an answer is never kept until it dies, let alone longer
        (timedelta(), timedelta()),
    ],
)
def test_when_a_newer_answer_is_due(kept: timedelta | None, expected: timedelta) -> None:
    assert due(AT, AT + LIFE, None if kept is None else AT + kept) == AT + expected


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("120", 120 * SECOND),
        (" 0 ", timedelta()),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30 * SECOND),
        ("Mon, 01 Jun 2026 14:00:30 +0200", 30 * SECOND),
        ("Mon, 01 Jun 2026 11:00:00 GMT", timedelta()),
        ("31536000", LONGEST_WAIT),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("soon", None),
        ("-1", None),
        ("", None),
    ],
)
def test_when_to_come_back(said: str, wait: timedelta | None) -> None:
    assert retry_at(said, AT) == (None if wait is None else AT + wait)


@given(st.text(), st.text())
def test_no_header_is_too_odd(one: str, other: str) -> None:
    until = retry_at(one, AT)
    assert until is None or AT <= until <= AT + LONGEST_WAIT
    kept = kept_until({"cache-control": one, "age": other}, AT)
    assert kept is None or kept >= AT
    assert kept_until({"cache-control": f"max-age={one}", "age": other}, AT) is None or one.strip(' \t"').isdigit()


def test_a_time_in_another_zone_is_the_same_time() -> None:
    at = AT.astimezone(timezone(timedelta(hours=5)))
    assert retry_at("Mon, 01 Jun 2026 12:00:30", at) == AT + 30 * SECOND


# one exchange


def exchange(link: Link, url: str = "http://ocsp.test/", **more: Any) -> Exchange:
    return Exchange(url, "an OCSP response", OCSP_RESPONSE, 1000, ocsp_request(link), **more)


@pytest.fixture(scope="module")
def link(chain: Chain) -> Link:
    return chain.links[0]


def test_an_answer_that_is_here_is_asked_for_only_if_it_changed(link: Link) -> None:
    asking = exchange(link, etag='"abc"')
    assert asking.headers["If-None-Match"] == '"abc"'
    assert asking.head(304, {"cache-control": "max-age=9", "etag": '"abc"'})
    fetched = asking.finish(0.1)
    assert fetched.not_modified
    assert fetched.body == b""
    assert fetched.headers["cache-control"] == "max-age=9"


def test_304_to_who_has_nothing_is_no_answer(link: Link) -> None:
    with pytest.raises(NetworkError, match="HTTP 304"):
        exchange(link).head(304, {})


def test_an_answer_with_a_body_is_a_newer_one(link: Link) -> None:
    asking = exchange(link, etag='"abc"')
    assert asking.head(200, {"content-type": OCSP_RESPONSE})
    asking.feed(b"new")
    assert not asking.finish(0.1).not_modified
    again = exchange(link, etag='"abc"')
    assert again.head(200, {"content-type": OCSP_RESPONSE})
    with pytest.raises(NetworkError, match="with nothing"):
        again.finish(0.1)


@pytest.mark.parametrize("etag", ['W/"a"', '""'])
def test_an_etag_of_any_kind_is_sent(link: Link, etag: str) -> None:
    assert exchange(link, etag=etag).headers["If-None-Match"] == etag


@pytest.mark.parametrize("etag", ["abc", '"a\r\nX: y"', '"ä"', "", '"a" "b"'])
def test_what_is_no_etag_is_not(link: Link, etag: str) -> None:
    assert "If-None-Match" not in exchange(link, etag=etag).headers


def test_a_post_is_not_conditional(link: Link) -> None:
    assert "If-None-Match" not in exchange(link, "http://ocsp.test/?ca=1", etag='"abc"').headers
    asking = exchange(link, etag='"abc"')
    assert not asking.head(405, {})
    assert asking.method == "POST"
    assert "If-None-Match" not in asking.headers
    with pytest.raises(NetworkError, match="HTTP 304"):
        asking.head(304, {})


@pytest.mark.requirement("RFC9919-7.2-2")
def test_caches_are_passed_by_only_where_that_is_asked_for(link: Link) -> None:
    assert exchange(link, bypass_caches=True).headers["Cache-Control"] == "no-cache"
    assert not {"cache-control", "pragma"} & {name.lower() for name in exchange(link).headers}


def test_a_refusal_says_when_to_come_back(link: Link) -> None:
    with pytest.raises(RetryLaterError, match=r"HTTP 503 \(Service Unavailable\)") as caught:
        exchange(link).head(503, {"retry-after": "120"})
    assert caught.value.retry_after == "120"
    with pytest.raises(NetworkError) as plain:
        exchange(link).head(503, {})
    assert not isinstance(plain.value, RetryLaterError)
