"""Counts what each call does on the wire: statements, commands and waits, one call at a time through taps.

It must not be mixed with the timed phases: a tap costs time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar
from urllib.parse import urlsplit

from bench.calls import Ledger
from bench.phases import Stage
from bench.setting import Ground, Wires, stage
from bench.taps import PostgresReader, RedisReader, Tally, Tap

T = TypeVar("T")
# Statements, Redis commands, messages to the gateway.
Seen = tuple[Tally, Tally, int]

REPEATS = 15
WARM_UP = 40
# Work after the answer (a log line, a returned connection) still belongs to the call before.
SETTLE = 0.03


@dataclass(frozen=True, slots=True)
class CallCount:
    """What one call does, as the median over its repeats; shapes are those of the most common repeat."""

    sql: float
    sql_waits: float
    redis: float
    redis_waits: float
    gateway: float
    sql_shapes: tuple[str, ...]
    redis_shapes: tuple[str, ...]


async def count_calls(name: str, *, on: Ground) -> dict[str, CallCount]:
    """Start a target behind taps and return the counts of its calls by name."""
    postgres, redis = _behind(on.stores.postgres_url, port=5432), _behind(on.stores.redis_url, port=6379)
    sql = Tap(host=postgres[0], port=postgres[1], reader=PostgresReader)
    keys = Tap(host=redis[0], port=redis[1], reader=RedisReader)
    await sql.start()
    await keys.start()
    try:
        async with stage(name, on=on, wires=Wires(postgres=sql.port, redis=keys.port)) as ready:
            return await _count(ready, sql=sql, keys=keys, on=on)
    finally:
        await sql.stop()
        await keys.stop()


def _behind(url: str, *, port: int) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or port


async def _count(ready: Stage, *, sql: Tap, keys: Tap, on: Ground) -> dict[str, CallCount]:
    caller = ready.caller(Ledger())
    has_refresh = ready.running.paths.refresh is not None
    for _ in range(WARM_UP):
        session = await caller.login(on.crowd.newcomer())
        if has_refresh:
            session = await caller.refresh(session)
        await caller.status(session)
        # A new connection may meet another process, which must be warm, too.
        caller.reset()
    watch = _Watch(sql=sql, keys=keys, on=on)
    for _ in range(REPEATS):
        person = on.crowd.newcomer()
        await watch.over("request", caller.request(person))
        code = await ready.code_for(person.phone)
        session = caller.session_in(await watch.over("verify", caller.verify(person, code=code)))
        if has_refresh:
            session = await watch.over("refresh", caller.refresh(session))
        await watch.over("status", caller.status(session))
    caller.reset()
    return {kind: summarise(tallies) for kind, tallies in watch.seen.items()}


class _Watch:
    """Notes what goes over the wires during one call."""

    def __init__(self, *, sql: Tap, keys: Tap, on: Ground) -> None:
        self._sql = sql
        self._keys = keys
        self._sink = on.sink
        self.seen: dict[str, list[Seen]] = {}

    async def over(self, kind: str, call: Awaitable[T]) -> T:
        before = self._sql.tally.copy(), self._keys.tally.copy(), self._sink.accepted
        result = await call
        await asyncio.sleep(SETTLE)
        sent = self._sink.accepted - before[2]
        noted = (self._sql.tally.since(before[0]), self._keys.tally.since(before[1]), sent)
        self.seen.setdefault(kind, []).append(noted)
        return result


def summarise(seen: Sequence[Seen]) -> CallCount:
    """Return the medians over repeats of one call, so that a background job that fell into one does not count."""
    return CallCount(
        sql=median(sql.work for sql, _, _ in seen),
        sql_waits=median(sql.waits for sql, _, _ in seen),
        redis=median(keys.work for _, keys, _ in seen),
        redis_waits=median(keys.waits for _, keys, _ in seen),
        gateway=median(sent for _, _, sent in seen),
        sql_shapes=_usual([sql for sql, _, _ in seen]),
        redis_shapes=_usual([keys for _, keys, _ in seen]),
    )


def _usual(tallies: Sequence[Tally]) -> tuple[str, ...]:
    found = Counter(tuple(sorted(tally.shapes.elements())) for tally in tallies)
    return found.most_common(1)[0][0]
