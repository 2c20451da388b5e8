"""The databases a run measures against: fresh ones, dropped afterwards, and where their processes are.

It must not know the tables in them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from bench.accounting import processes, read_process, title_of

MARKER = "bench:owner"


class StoreFault(Exception):
    """The bench cannot use a store without risk to what is in it."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where PostgreSQL and Redis are; `postgres_url` is the maintenance database of the cluster."""

    postgres_url: str
    redis_url: str
    note: str


@dataclass(frozen=True, slots=True)
class Activity:
    """Transactions and temporary work of one cluster, by whether they are ours."""

    ours: int
    others: int


def database_url(stores: Stores, *, name: str) -> str:
    """Return the URL of a database of the same cluster."""
    parts = urlsplit(stores.postgres_url)
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))


def with_port(url: str, *, port: int) -> str:
    """Return the URL with another port on the loopback, for a tap in between."""
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"{account}{at}127.0.0.1:{port}", parts.path, parts.query, ""))


@contextmanager
def fresh_database(stores: Stores, *, purpose: str) -> Iterator[str]:
    """Create an empty database for the run, yield its name, and drop it with whoever is still connected."""
    name = f"bench_{purpose}_{os.getpid()}"
    with psycopg.connect(_maintenance(stores), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(name))
        )
    try:
        yield name
    finally:
        with psycopg.connect(_maintenance(stores), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _maintenance(stores: Stores) -> str:
    name = urlsplit(stores.postgres_url).path.lstrip("/") or "postgres"
    return database_url(stores, name=name)


@contextmanager
def own_redis(stores: Stores) -> Iterator[redis.Redis]:
    """Take the Redis database for the run and leave it empty.

    Raises StoreFault when it holds keys that no bench left there.
    """
    client: Any = redis.Redis.from_url(stores.redis_url)
    if client.dbsize() and not client.exists(MARKER):
        raise StoreFault("the Redis database is not empty and not the bench's own: choose another with BENCH_REDIS_URL")
    client.flushdb()
    client.set(MARKER, os.getpid())
    try:
        yield client
    finally:
        client.flushdb()
        client.close()


def postmaster_pid(stores: Stores) -> int | None:
    """Return the cluster's first process, None when it does not run where /proc can see it."""
    with psycopg.connect(_maintenance(stores), autocommit=True) as connection:
        pid = connection.info.backend_pid
        backend = read_process(pid)
        if backend is None or not title_of(pid).startswith("postgres"):
            return None
        return backend.parent


def redis_seconds(client: redis.Redis) -> float:
    """Return the CPU seconds that the Redis server has used, by its own account."""
    found: Any = client.info("cpu")
    return sum(float(found[f"used_cpu_{kind}"]) for kind in ("sys", "user", "sys_children", "user_children"))


def redis_clients(client: redis.Redis) -> int:
    """Return how many connections the Redis server holds."""
    found: Any = client.info("clients")
    return int(found["connected_clients"])


def activity(stores: Stores, *, ours: tuple[str, ...]) -> Activity:
    """Count the cluster's transactions so far; other databases' show that somebody else is at work on it."""
    with psycopg.connect(_maintenance(stores), autocommit=True) as connection:
        rows = connection.execute(
            "select datname, xact_commit + xact_rollback from pg_stat_database where datname is not null"
        ).fetchall()
    maintenance = urlsplit(_maintenance(stores)).path.lstrip("/")
    mine = sum(count for name, count in rows if name in ours)
    others = sum(count for name, count in rows if name not in ours and name != maintenance)
    return Activity(ours=mine, others=others)


def titled_processes() -> Iterator[tuple[Any, str]]:
    """Yield every PostgreSQL process with its title, which names the database it serves."""
    for one in processes():
        if one.name == "postgres":
            yield one, title_of(one.pid)
