"""The block list as this process knows it: in force within a second of a change, with or without Redis.

Entries live in the database (services/blocks.py changes them). Each process holds them in memory, asks every half
second whether there was a change, and then reads the changed ones only. It must not know HTTP, nor who blocked whom.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, TypeVar

from django.db import DatabaseError

from apps.accounts.clock import Clock
from apps.accounts.errors import ServiceUnavailable
from apps.accounts.services import block_values, changes, statements

FRESH_SECONDS: Final = 0.5
# What was lifted is forgotten by the database some day: after so long a silence everything is read again.
FORGETFUL_SECONDS: Final = 3600.0

_Until = datetime | None
_Key = TypeVar("_Key")
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class BlockList:
    """Answers `match` from memory. One per process; thread-safe."""

    def __init__(self, *, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = self._failed_at = float("-inf")
        # The database's clock and ours at one moment, so that expiry is judged by the former without asking it.
        self._clocks = (_NEVER, 0.0)
        self._clear()

    def match(self, *, phone: str, ip: str, device_id: str) -> str:
        """Return the type of the entry that holds this caller (phone, prefix, ip, device), or empty."""
        self._refresh()
        if not self._count:
            return ""
        then, at = self._clocks
        now = then + timedelta(seconds=self._monotonic() - at) + self._clock.offset
        if phone and _live(self._phones, phone, now):
            return "phone"
        if device_id and _live(self._devices, device_id, now):
            return "device"
        if (
            phone
            and self._prefixes
            and any(_live(self._prefixes, phone[:end], now) for end in range(2, len(phone) + 1))
        ):
            return "prefix"
        if ip and self._networks and self._holds_address(ip, now):
            return "ip"
        return ""

    def forget(self) -> None:
        """Ask for changes at the next question: this process just made one."""
        self._read_at = min(self._read_at, self._monotonic() - FRESH_SECONDS)

    def _holds_address(self, ip: str, now: datetime) -> bool:
        address = ip_address(ip)
        bits = int(address)
        for version, size in self._sizes:
            if version == address.version:
                start = bits >> (address.max_prefixlen - size)
                if _live(self._networks, (version, size, start), now):
                    return True
        return False

    def _refresh(self) -> None:
        came_at = self._monotonic()
        if came_at - self._read_at < FRESH_SECONDS:
            return
        with self._lock:
            if self._failed_at >= came_at:  # a crowd must not find out one after the other that the database is gone
                raise ServiceUnavailable(retry_after=1)
            try:
                self._read()
            except DatabaseError:
                self._failed_at = self._monotonic()
                raise

    def _read(self) -> None:
        asked_at = self._monotonic()
        age = asked_at - self._read_at
        if age < FRESH_SECONDS:
            return
        latest, now = changes.latest(changes.BLOCKS)
        self._clocks = (now, self._monotonic())
        if latest < self._revision or age > FORGETFUL_SECONDS:  # an older database, or an old memory
            self._clear()
        if latest != self._revision:
            self._take_in(latest)
        self._read_at = asked_at

    def _clear(self) -> None:
        self._phones: dict[str, _Until] = {}
        self._devices: dict[str, _Until] = {}
        self._prefixes: dict[str, _Until] = {}
        self._networks: dict[tuple[int, int, int], _Until] = {}
        self._sizes: tuple[tuple[int, int], ...] = ()
        self._revision = -1
        self._count = 0

    def _take_in(self, latest: int) -> None:
        found = statements.rows(
            "SELECT type, value, expires_at, lifted_at, revision FROM accounts_block WHERE revision > %s",
            (self._revision,),
        )
        for kind, value, expires_at, lifted_at, revision in found:
            latest = max(latest, revision)
            self._put(kind, value, until=statements.as_time_or_none(expires_at), lifted=lifted_at is not None)
        self._sizes = tuple(sorted({key[:2] for key in self._networks}))
        self._count = len(self._phones) + len(self._devices) + len(self._prefixes) + len(self._networks)
        self._revision = latest

    def _put(self, kind: str, value: str, *, until: _Until, lifted: bool) -> None:
        held: dict[object, _Until] = self._table(kind)  # type: ignore[assignment]  # keyed by text, networks by numbers
        key: object = value
        if kind == "ip":
            network = block_values.network(value)
            shift = network.max_prefixlen - network.prefixlen
            key = (network.version, network.prefixlen, int(network.network_address) >> shift)
        if lifted:
            held.pop(key, None)
        else:
            held[key] = until

    def _table(self, kind: str) -> object:
        return {"phone": self._phones, "device": self._devices, "prefix": self._prefixes, "ip": self._networks}[kind]


def _live(held: Mapping[_Key, _Until], key: _Key, now: datetime) -> bool:
    until = held.get(key, _NEVER)
    return until is None or until > now
