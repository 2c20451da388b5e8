"""The audit trail's chain: batches of records, each sealed with a SHA-256 digest over itself and the digest before it.

Records are written in the transactions of their events, which wait for nobody; sealing comes a few seconds later and
takes no lock that a login could meet. A record's id may be committed after a higher one: a batch ends at an id that no
open transaction can still come below. It must not know what the events mean.

    link = SHA-256( previous link as hex, newline, one line of JSON for each record in order of id )

Whoever can write to the table can also make the chain anew. So each link is logged (`otp.audit_sealed`): a link that
was noted elsewhere, and that `verify` finds in the chain, vouches for everything before it.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from apps.accounts import telemetry
from apps.accounts.services import statements

BATCH: Final = 2000
GENESIS: Final = "0" * 64
# Any number that is this chain's alone.
LOCK_KEY: Final = 0x6F74705F736561
_COLUMNS: Final = "id, at, event, actor, subject, note, request_id, detail"
_LOOK_AGAIN_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Tail:
    """What is not sealed yet. `oldest_seconds` is 0 where there is nothing."""

    count: int
    oldest_seconds: float
    last_sealed: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What `verify` found. `breaks` are sentences; none means that the sealed part is as it was written."""

    links: int
    records: int
    head: str
    tail: Tail
    breaks: tuple[str, ...] = field(default_factory=tuple)
    knows_head: bool = True


def seal(*, patience_seconds: float = 1.0) -> int:
    """Seal what can be sealed now; return how many records. Safe to run anywhere, at any time, twice at once."""
    limit = _settled_id(patience_seconds)
    total = 0
    while limit:
        sealed = _seal_batch(limit)
        total += sealed
        if sealed < BATCH:
            break
    return total


def tail() -> Tail:
    """Return what is not sealed yet: a short read, as the tail is short."""
    last = _last_link()
    found = statements.row(
        f"SELECT count(*), min(at), {statements.now_sql()} FROM accounts_auditevent WHERE id > %s", (last[0],)
    )
    assert found is not None
    age = (statements.as_time(found[2]) - statements.as_time(found[1])).total_seconds() if found[1] else 0.0
    return Tail(count=int(found[0]), oldest_seconds=max(0.0, age), last_sealed=last[0])


def verify(*, head: str = "") -> Findings:
    """Compute every link again, over all records; `head` is a link noted elsewhere that must be in the chain."""
    breaks: list[str] = []
    previous, last, links, records = GENESIS, 0, 0, 0
    seen_head = head in ("", GENESIS)  # noted before anything was sealed, it vouches for nothing and every chain has it
    for first, end, count, before, digest in _links():
        links += 1
        if first != last + 1:
            breaks.append(f"link {links} begins at record {first}, the one before it ended at {last}")
        if before != previous:
            breaks.append(f"link {links} (records {first}-{end}) does not follow the link before it")
        found, number = _digest(before, first, end)
        if number != count:
            breaks.append(f"link {links} sealed {count} records between {first} and {end}, there are {number}")
        elif found != digest:  # safe: a checksum of ours, shown to operators
            breaks.append(f"records {first}-{end} are not as they were sealed (link {links})")
        seen_head = seen_head or digest == head  # safe: as above
        records += number
        previous, last = digest, end
    before_all = statements.row("SELECT count(*) FROM accounts_auditevent WHERE id < 1")
    if before_all is not None and before_all[0]:
        breaks.append(f"{before_all[0]} records stand before the first one that the chain can hold")
    if not seen_head:
        breaks.append("the given head is not in the chain: it was cut off or made anew")
    return Findings(
        links=links, records=records, head=previous, tail=tail(), breaks=tuple(breaks), knows_head=seen_head
    )


def _settled_id(patience_seconds: float) -> int:
    """Return an id at or below which nothing can appear any more, 0 if that cannot be said in time.

    SQLite has one writer at a time. On PostgreSQL, whoever holds an id that is not committed holds the table's write
    lock: those who hold it now are watched until they have ended, as CREATE INDEX CONCURRENTLY does.
    """
    found = statements.row("SELECT max(id) FROM accounts_auditevent")
    if not statements.is_postgres():
        return int(found[0] or 0) if found else 0
    highest = statements.row("SELECT last_value FROM accounts_auditevent_id_seq WHERE is_called")
    if highest is None:
        return 0
    writers = _writers()
    until = time.monotonic() + patience_seconds
    while writers:
        if time.monotonic() >= until:
            return 0
        time.sleep(_LOOK_AGAIN_SECONDS)
        writers &= _writers()
    return int(highest[0])


def _writers() -> set[str]:
    return {
        item[0]
        for item in statements.rows(
            "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND relation = 'accounts_auditevent'::regclass AND granted"
        )
    }


def _seal_batch(limit: int) -> int:
    with statements.durable():
        if statements.is_postgres() and not _alone():
            return 0
        last, previous = _last_link()
        found = statements.row(
            "SELECT max(id), count(*) FROM (SELECT id FROM accounts_auditevent WHERE id > %s AND id <= %s ORDER BY id "
            "LIMIT %s) batch",
            (last, limit, BATCH),
        )
        assert found is not None
        end, count = found
        if not count:
            return 0
        digest, number = _digest(previous, last + 1, end)
        statements.run(
            "INSERT INTO accounts_auditseal (first, last, count, previous, digest, sealed_at) "
            f"VALUES (%s, %s, %s, %s, %s, {statements.now_sql()})",
            (last + 1, end, number, previous, digest),
        )
    telemetry.happened("audit_sealed", records=number, last=end, link=digest)
    return number


def _alone() -> bool:
    found = statements.row("SELECT pg_try_advisory_xact_lock(%s)", (LOCK_KEY,))
    return bool(found and found[0])


def _last_link() -> tuple[int, str]:
    found = statements.row("SELECT last, digest FROM accounts_auditseal ORDER BY last DESC LIMIT 1")
    return (int(found[0]), str(found[1])) if found else (0, GENESIS)


def _links() -> Iterator[tuple[int, int, int, str, str]]:
    last = 0
    while True:
        found = statements.rows(
            "SELECT first, last, count, previous, digest FROM accounts_auditseal WHERE last > %s "
            "ORDER BY last LIMIT %s",
            (last, BATCH),
        )
        yield from found
        if len(found) < BATCH:
            return
        last = found[-1][1]


def _digest(previous: str, first: int, last: int) -> tuple[str, int]:
    made = hashlib.sha256(previous.encode() + b"\n")
    count = 0
    while True:
        found = statements.rows(
            f"SELECT {_COLUMNS} FROM accounts_auditevent WHERE id >= %s AND id <= %s ORDER BY id LIMIT %s",
            (first, last, BATCH),
        )
        for record in found:
            made.update(_line(record))
        count += len(found)
        if len(found) < BATCH:
            return made.hexdigest(), count
        first = found[-1][0] + 1


def _line(record: tuple[Any, ...]) -> bytes:
    number, at, *rest = record
    moment: datetime = statements.as_time(at)
    values = [number, moment.astimezone(UTC).isoformat(timespec="microseconds"), *rest]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
