"""What is read from the stores at each scrape: a few small statements; what cannot be read is left out.

It must not know Prometheus, nor what an alert makes of a value.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min
from django_tasks_db.models import DBTaskResult
from redis.exceptions import RedisError

from apps.accounts.services import audit_chain, statements

log = structlog.get_logger("otp")


@dataclass(frozen=True, slots=True)
class Reading:
    """One value. `labels` are pairs of name and value."""

    name: str
    about: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


def readings(*, with_redis: bool) -> Iterator[Reading]:
    """Return what can be read now; what cannot is left out."""
    for read in (*_OF_THE_DATABASE, *((_redis_skew,) if with_redis else ())):
        try:
            yield from read()
        except (DatabaseError, InterfaceError, RedisError, OSError) as error:
            log.warning("otp.gauge_not_read", gauge=read.__name__.strip("_"), error=type(error).__name__)


def _audit_tail() -> list[Reading]:
    tail = audit_chain.tail()
    return [
        Reading("otp_audit_unsealed_records", "Audit records that are not sealed yet.", tail.count),
        Reading("otp_audit_unsealed_seconds", "Age of the oldest record that is not sealed.", tail.oldest_seconds),
    ]


def _tasks() -> list[Reading]:
    # The worker's own question: work without a time of its own stands in its row as the year 9999.
    waiting = DBTaskResult.objects.ready().aggregate(count=Count("pk"), oldest=Min("enqueued_at"))
    age = (statements.now() - waiting["oldest"]).total_seconds() if waiting["oldest"] else 0.0
    return [
        Reading("otp_tasks_waiting", "Work after an answer that nobody has begun.", waiting["count"]),
        Reading("otp_tasks_oldest_seconds", "Age of the oldest work that nobody has begun.", max(0.0, age)),
    ]


def _blocks() -> list[Reading]:
    found = statements.row(
        "SELECT count(*) FROM accounts_block WHERE lifted_at IS NULL AND (expires_at IS NULL OR expires_at > "
        f"{statements.now_sql()})"
    )
    assert found is not None
    return [Reading("otp_blocks_in_force", "Entries of the block list.", found[0])]


def _database_skew() -> list[Reading]:
    return [_skew("database", statements.now)]


def _redis_skew() -> list[Reading]:
    from django_redis import get_redis_connection

    def now() -> datetime:
        seconds, micros = get_redis_connection("default").time()
        return datetime.fromtimestamp(seconds + micros / 1_000_000, tz=UTC)

    return [_skew("redis", now)]


def _skew(store: str, ask: Callable[[], datetime]) -> Reading:
    """Compare a store's clock with this host's, at the middle of the question."""
    before = datetime.now(UTC)
    then = ask()
    middle = before + (datetime.now(UTC) - before) / 2
    about = "By how much a store's clock is ahead of this host's."
    return Reading("otp_clock_skew_seconds", about, (then - middle).total_seconds(), labels=(("store", store),))


_OF_THE_DATABASE: Final = (_audit_tail, _tasks, _blocks, _database_skew)
