"""The whole examination: every room's findings, worst first, and what could not be measured. It must not print."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from apps.accounts.services import statements
from apps.accounts.services.wiring import Services
from apps.ops.doctor import addresses, clocks, gateways, guessing, secrecy, sending, stores
from apps.ops.doctor.findings import Finding, Level, error

_ORDER: Final = {Level.ERROR: 0, Level.WARNING: 1, Level.NOTE: 2}


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. `complete` is False where a store did not answer, so that not everything could be looked at."""

    findings: tuple[Finding, ...]
    complete: bool

    @property
    def healthy(self) -> bool:
        """Say whether there is nothing but notes."""
        return all(finding.level is Level.NOTE for finding in self.findings)


def examine(rooms: Services) -> Examination:
    """Look at everything."""
    config, redis = rooms.config, stores.redis_of(rooms.config)
    looks: list[Callable[[], Iterator[Finding]]] = [
        lambda: guessing.look(config),
        lambda: addresses.look(config),
        lambda: sending.look(config),
        lambda: gateways.look(rooms),
        lambda: secrecy.look(config, today=date.today()),  # noqa: DTZ011  # a date without a zone ends a test number
        lambda: stores.look_at_database(config),
        lambda: stores.look_at_cache(config, redis),
        lambda: clocks.look(redis),
    ]
    findings: list[Finding] = []
    complete = True
    for look in looks:
        try:
            findings += look()
        except (DatabaseError, InterfaceError, RedisError, OSError) as fault:
            complete = False
            findings.append(_gone(fault))
    statements.give_back_connection()
    unique = dict.fromkeys(_key(finding) for finding in findings)
    kept = {_key(finding): finding for finding in findings}
    return Examination(tuple(sorted((kept[key] for key in unique), key=lambda one: _ORDER[one.level])), complete)


def _gone(fault: Exception) -> Finding:
    store = "Redis" if isinstance(fault, RedisError) else "The database"
    # The class alone: a driver's text may hold an address or a user name.
    return error(
        "store_unreachable", f"{store} does not answer ({type(fault).__name__}): not everything was looked at."
    )


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.says
