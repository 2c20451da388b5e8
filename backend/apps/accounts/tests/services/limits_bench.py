"""Put a store on a table with a clock that a test can turn, so that one suite holds for all of them.

This room must not know what the suite expects.
"""

import secrets
from collections.abc import Callable
from typing import Protocol, cast

from redis import Redis

from apps.accounts.services.limits import Limit, Limiter, MemoryLimiter, RedisLimiter

from .limits_rig import shared_client


class Bench(Protocol):
    """One store under test."""

    @property
    def limiter(self) -> Limiter:
        """Give the store itself."""

    def advance(self, milliseconds: int) -> None:
        """Turn the store's clock on (or back)."""

    def now(self) -> int:
        """Read the store's clock in milliseconds."""

    def stamps(self, limit: Limit) -> list[int]:
        """Read the stamps that the store holds for a limit, oldest first."""


class MemoryBench:
    """Memory, with a clock that stands still until it is turned."""

    def __init__(self) -> None:
        self._now = 1_000_000
        self.limiter = MemoryLimiter(clock=self.now)

    def advance(self, milliseconds: int) -> None:
        self._now += milliseconds

    def now(self) -> int:
        return self._now

    def stamps(self, limit: Limit) -> list[int]:
        log = self.limiter._logs.get(limit.key)
        return [stamp for stamp, _ in log.entries] if log else []


class RedisBench:
    """Redis, whose clock runs on by itself beside being turned."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self._offset = 0
        self.limiter = RedisLimiter(client, offset_ms=lambda: self._offset)

    def advance(self, milliseconds: int) -> None:
        self._offset += milliseconds

    def now(self) -> int:
        read = cast(tuple[int, int], self.client.execute_command("TIME"))
        return read[0] * 1000 + read[1] // 1000 + self._offset

    def stamps(self, limit: Limit) -> list[int]:
        pairs = cast(list[tuple[bytes, float]], self.client.zrange(limit.key, 0, -1, withscores=True))
        return [int(score) for _, score in pairs]


BENCHES: dict[str, Callable[[], Bench]] = {
    "memory": MemoryBench,
    "redis": lambda: RedisBench(shared_client()),
}


class Subjects:
    """Make limits on subjects that no other test knows."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(6)

    def __call__(self, scope: str, limit: int, *, window_ms: int = 60_000, durable_elsewhere: bool = False) -> Limit:
        return Limit(
            scope=f"test-{scope}",
            subject=self._mark,
            limit=limit,
            window_ms=window_ms,
            durable_elsewhere=durable_elsewhere,
        )
