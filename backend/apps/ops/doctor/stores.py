"""The database and the cache: whether they keep what they are trusted with. It must not know what is kept."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from apps.accounts.config import Config
from apps.accounts.services import statements
from apps.ops.doctor import queries
from apps.ops.doctor.findings import Finding, error, note, warning

# Connections that PostgreSQL keeps for its superuser, and a few for people who look.
RESERVED: Final = 10


def look_at_database(config: Config) -> Iterator[Finding]:
    """Say whether the database holds what it acknowledged, and whether it has room for this host's processes."""
    if not statements.is_postgres():
        yield warning(
            "sqlite",
            "The database is SQLite: one writer at a time, one host, no row locks. Fine for trying out, and for "
            "nothing that people depend on.",
        )
        return
    said = queries.server_settings()
    yield note("database", f"The database is PostgreSQL {said.get('server_version', '?')}.")
    for name in ("fsync", "full_page_writes"):
        if said.get(name) == "off":
            yield error(
                "unsafe_database",
                f"PostgreSQL runs with {name}=off: a crash can bring revoked sessions and used codes back.",
            )
    if said.get("synchronous_commit") == "off":
        yield warning(
            "lazy_commits",
            "synchronous_commit=off: a crash of the database loses the last moments of what was answered.",
        )
    yield from _connections(config, int(said.get("max_connections", "0")))


def _connections(config: Config, allowed: int) -> Iterator[Finding]:
    wanted = (config.processes + 1) * config["DATABASE_POOL_MAX"]
    line = (
        f"({config.processes} web processes + the worker) x DATABASE_POOL_MAX={config['DATABASE_POOL_MAX']} = {wanted}"
    )
    if allowed and wanted > allowed - RESERVED:
        yield warning(
            "too_few_connections",
            f"This host alone may ask PostgreSQL for {wanted} connections; it gives {allowed}, some of them reserved.",
            line,
            wanted=wanted,
            allowed=allowed,
        )


def look_at_cache(config: Config, client: Redis | None) -> Iterator[Finding]:
    """Say what limits rest on. Raises RedisError when a configured Redis does not answer."""
    if client is None:
        make = note if config.debug and config.processes == 1 else warning
        yield make(
            "in_process_cache",
            f"No REDIS_URL: each of the {config.processes} processes counts for itself, so limits by address, device "
            "and service hold per process only. What must be exact (a phone's sends, wrong codes) is in the database.",
        )
        return
    said: Mapping[str, Any] = client.info("memory")
    policy, most = str(said.get("maxmemory_policy", "")), int(said.get("maxmemory", 0))
    if most and policy.startswith("allkeys"):
        yield warning(
            "evicting_cache",
            f"Redis may evict any key when it is full (maxmemory-policy {policy}): limits by address forget then. Use "
            "noeviction or volatile-ttl, and a Redis of its own.",
        )
    if config["OTP_MEMORY_FALLBACK"]:
        yield note("cache", "Limits by address, device and service rest on Redis, and on memory while Redis is gone.")
    else:
        yield warning(
            "no_memory_fallback", "OTP_MEMORY_FALLBACK=False: while Redis is gone every send is refused (503)."
        )


def redis_of(config: Config) -> Redis | None:
    """Return the client of the configured Redis."""
    if not config["REDIS_URL"]:
        return None
    from django_redis import get_redis_connection

    client: Redis = get_redis_connection("default")
    return client


__all__ = ["RedisError", "look_at_cache", "look_at_database", "redis_of"]
