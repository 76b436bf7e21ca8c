"""The fleet's store in Redis: who leads, for how long, and a record for each certificate; bounded in size and time."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from redis._parsers.resp2 import _AsyncRESP2Parser
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError

from mustaple.agent.fleet.record import MAX_BYTES, STAMP_BYTES
from mustaple.core.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

BATCH: Final = 64  # certificates in one round trip
MAX_REPLY: Final = 256 * 1024  # bytes of one reply, whatever the server would like to send
MAX_CHANGES: Final = 1000  # certificates that are told of at once
_MOST_KNOWN: Final = 100_000  # certificates of which the order of changes is remembered
_MAX_NAME: Final = 200

# One step, so that nobody leads whom another one has replaced, and a reply that is lost does no harm: whoever asks
# again is recognized. (The client's own Lock takes three steps, and does not say who holds it.)
_LEAD: Final = """
local holder = redis.call('GETRANGE', KEYS[1], 0, tonumber(ARGV[4]))
if holder == ARGV[1] or (holder == '' and ARGV[3] == '1') then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    holder = ARGV[1]
end
return {holder, redis.call('GETRANGE', KEYS[2], 0, 20)}
"""
_RESIGN: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
# A record is replaced by a newer one alone, so that who was asleep and woke up as its leader undoes nothing; or where
# it is the very one that its reader found to be wrong. What stands in the way is the reply.
_SAVE: Final = f"""
local held = redis.call('GETRANGE', KEYS[1], 0, {MAX_BYTES})
local newer = string.sub(held, 1, {STAMP_BYTES}) >= string.sub(ARGV[1], 1, {STAMP_BYTES})
if held ~= '' and newer and redis.sha1hex(held) ~= ARGV[4] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -{_MOST_KNOWN + 1})
return ''
"""


class StoreGoneError(NetworkError):
    """The store cannot be reached, or is none. The text is for people, and holds no password."""


class _BoundedParser(_AsyncRESP2Parser):
    """Reads no more than MAX_REPLY bytes of one reply; the client's own reads as many as the server announces."""

    _left = MAX_REPLY

    async def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: FBT001, FBT002 - theirs
        self._left = MAX_REPLY
        return await super().read_response(disable_decoding)

    async def _read(self, length: int) -> bytes:
        self._spend(length + 2)
        return await super()._read(length)

    async def _readline(self) -> bytes:
        line = await super()._readline()
        self._spend(len(line) + 2)
        return line

    def _spend(self, count: int) -> None:
        self._left -= count
        if count < 2 or self._left < 0:
            raise InvalidResponse(f"it sends more than {MAX_REPLY:,} bytes, or less than nothing")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look says: who leads (empty: nobody), and the number of the last change (0: none ever)."""

    leader: str
    changes: int


@dataclass(frozen=True, slots=True)
class Change:
    """Which certificate was told of (its fingerprint; empty where the store names none), and which change that was."""

    fingerprint: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Saving:
    """A value to keep for a certificate, for so many seconds, instead of an older one or of exactly `wrong`."""

    value: bytes
    seconds: float
    wrong: bytes | None = None


class RedisStore:
    """A Redis server. Every method raises StoreGoneError where it is not there, or not within `timeout` seconds.

    `url` is redis:// or rediss:// (TLS; `trust` is a file of CA certificates, the system's where it is None), with a
    user, a password and a database if there are. Raises ValueError for another.
    """

    def __init__(self, url: str, *, prefix: str, timeout: float, trust: Path | None = None) -> None:
        parts = urlsplit(url)
        port = parts.port or 6379
        self.name = f"{parts.scheme}://{_bracketed(parts.hostname or '')}:{port}/{parts.path.strip('/') or '0'}"
        self._secret = unquote(parts.password or "")
        self._timeout = timeout
        self._staples = f"{prefix}:1:staple:"
        self._leader, self._order, self._count = (f"{prefix}:1:{each}" for each in ("leader", "changes", "count"))
        secure = {"ssl_ca_certs": str(trust)} if trust is not None and parts.scheme == "rediss" else {}
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            parser_class=_BoundedParser,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            max_connections=4,
            **secure,
        )
        self._redis = Redis.from_pool(pool)

    async def look(self, token: str, seconds: float, *, take: bool) -> Seen:
        """Keep the lead for so many seconds if it is ours, take it if nobody has it and `take`; who leads now."""
        arguments = (_LEAD, 2, self._leader, self._count, token, int(seconds * 1000), int(take), _MAX_NAME)
        found = await self._ask([("EVAL", *arguments)])
        match found:
            case [[bytes(leader), bytes(count)]] if count.isdigit() or not count:
                return Seen(leader.decode(errors="replace"), int(count or b"0"))
        raise StoreGoneError(f"{self.name}: what is under {self._count} there is no agent's: {_said(found[0])}")

    async def resign(self, token: str) -> None:
        """Leave the lead to others, if it is ours."""
        await self._ask([("EVAL", _RESIGN, 1, self._leader, token)])

    async def changed_after(self, number: int) -> list[Change]:
        """Which certificates were told of after the change with this number, in that order, at most MAX_CHANGES."""
        arguments = (self._order, f"({number}", "+inf", "WITHSCORES", "LIMIT", 0, MAX_CHANGES)
        (found,) = await self._ask([("ZRANGEBYSCORE", *arguments)])
        if not isinstance(found, list):
            raise StoreGoneError(f"{self.name}: what is under {self._order} there is no agent's: {_said(found)}")
        return [_change(*each) for each in zip(found[::2], found[1::2], strict=False)]

    async def load(self, fingerprints: Sequence[bytes]) -> list[bytes]:
        """What is there for these certificates, BATCH of them at most; empty where nothing is."""
        keys = [self._staples + each.hex() for each in fingerprints]
        found = await self._ask([("GETRANGE", key, 0, MAX_BYTES) for key in keys])
        return [each if isinstance(each, bytes) else b"" for each in found]

    async def save(self, savings: Mapping[bytes, Saving]) -> dict[bytes, bytes | str]:
        """Keep these, BATCH of them at most. The answers: empty, what stands in the way (bytes), or an error (text)."""
        commands = [
            (
                *("EVAL", _SAVE, 3, self._staples + fingerprint.hex(), self._order, self._count),
                *(each.value, max(int(each.seconds * 1000), 1), fingerprint.hex(), _sha1(each.wrong)),
            )
            for fingerprint, each in savings.items()
        ]
        answers = await self._ask(commands)
        return {
            fingerprint: each if isinstance(each, bytes) else _said(each)
            for fingerprint, each in zip(savings, answers, strict=True)
        }

    async def close(self) -> None:
        """Close what is open."""
        await self._redis.aclose(close_connection_pool=True)

    async def _ask(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """The replies to these commands, in one round trip; an error of one of them is its reply."""
        try:
            async with asyncio.timeout(self._timeout):
                pipeline = self._redis.pipeline(transaction=False)
                for each in commands:
                    pipeline.execute_command(*each)
                return list(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError, EOFError, ValueError, TypeError, RecursionError) as error:
            # The last four are what its parser makes of bytes that are no Redis server's.
            raise StoreGoneError(f"{self.name}: {self._harmless(error)}") from None

    def _harmless(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        said = _said(error)
        return said.replace(self._secret, "***") if self._secret else said


def _said(error: object) -> str:
    known = isinstance(error, (RedisError, OSError))
    text = " ".join(str(error).split()) if known else type(error).__name__
    return text[:300].rstrip(".") or type(error).__name__


def _change(member: object, score: object) -> Change:
    """A change as the store tells of it; it may tell anything."""
    plain = isinstance(member, bytes) and len(member) == 64 and not member.strip(b"0123456789abcdef")
    fingerprint = bytes.fromhex(member.decode()) if plain and isinstance(member, bytes) else b""
    return Change(fingerprint, int(score) if isinstance(score, bytes) and score.isdigit() and len(score) < 20 else 0)


def _sha1(value: bytes | None) -> str:
    return hashlib.sha1(value, usedforsecurity=False).hexdigest() if value is not None else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
