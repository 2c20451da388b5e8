"""Forgetting what is old, in small batches: safe at any time, by several at once, and when killed in the middle.

Each batch is a short transaction of its own that passes over rows somebody else holds. What is summed up elsewhere and
the audit trail stay. It must not know when it is called.

    codes, challenges, messages, notices   `days` (30) after they were made
    sessions, device tokens                 so long after their end; a device that never came back to an account that
                                            others use, after the dormancy
    deleted accounts                        what is personal, after ACCOUNT_ERASURE_DAYS
    recycled claims, lifted blocks          `days` after their end
    receipts that never met their message   7 days
    refused sends of a number               7 days; sums of a minute 400 days
    changes of a gateway                    90 days; its audits too, but never the last one
    finished work of the worker             7 days
    kept answers                            when nobody can be given them any more
    a phone's sends and wrong codes         when they count for nothing any more
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from apps.accounts.clock import Clock
from apps.accounts.config import Config
from apps.accounts.services import session_cleaning, statements
from apps.accounts.services.erasure import Erasure
from apps.accounts.services.idempotency import Idempotency

BATCH: Final = 200
DAYS: Final = 30
_INBOX: Final = timedelta(days=7)
_REFUSED: Final = timedelta(days=7)
_SUMS: Final = timedelta(days=400)
_EVENTS: Final = timedelta(days=90)
_TASKS: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of rows. `batch` forgets some and returns how many; 0 is the end of it."""

    name: str
    batch: Callable[[], int]


class Purging:
    """Forgets. Build one for each run: it looks at the clock once."""

    def __init__(
        self,
        *,
        config: Config,
        clock: Clock,
        idempotency: Idempotency,
        erasure: Erasure,
        days: int = DAYS,
        batch: int = BATCH,
    ) -> None:
        """Take how many days rows are kept, and how many go at once."""
        self._config = config
        self._clock = clock
        self._idempotency = idempotency
        self._erasure = erasure
        self._batch = batch
        self._now = statements.now() + clock.offset
        self._before = self._now - timedelta(days=days)
        self._lines_from = self._lanes_from = 0

    def steps(self) -> Iterator[Step]:
        """Return the kinds, in an order in which nothing refers to what is gone."""
        grace = self._config["REFRESH_REUSE_GRACE_SECONDS"]
        silence = min(self._before, self._now - timedelta(days=self._config["ACCOUNT_DORMANT_DAYS"]))
        yield Step("accounts", lambda: self._erasure.erase_due(self._batch))
        yield Step("codes", self._codes)
        yield Step("messages", lambda: self._old("accounts_message", "created_at < %s AND code_id IS NULL"))
        yield Step("notices", lambda: self._old("accounts_notice", "created_at < %s"))
        yield Step("receipts", lambda: self._old("accounts_receiptinbox", "received_at < %s", self._now - _INBOX))
        yield Step("answers", lambda: self._idempotency.purge(self._batch))
        yield Step(
            "successors",
            lambda: session_cleaning.clear_successors(now=self._now, grace_seconds=grace, limit=self._batch),
        )
        yield Step("sessions", lambda: session_cleaning.drop_ended_sessions(before=self._before, limit=self._batch))
        yield Step("devices", lambda: session_cleaning.drop_dead_device_tokens(before=silence, limit=self._batch))
        yield Step(
            "claims",
            lambda: self._old("accounts_recycledclaim", "ticket_expires_at < %s AND state IN ('open', 'closed')"),
        )
        yield Step("blocks", self._blocks)
        yield Step("refusals", lambda: self._old("accounts_refusedsend", "hour < %s", self._now - _REFUSED))
        yield Step("sums", lambda: self._old("accounts_minutecount", "minute < %s", self._now - _SUMS))
        yield Step("told", lambda: self._old("accounts_incidentnotice", "told_at < %s", key="phone_key"))
        yield Step("gateway events", lambda: self._old("accounts_gatewayevent", "at < %s", self._now - _EVENTS))
        newer = "at < %s AND id NOT IN (SELECT max(id) FROM accounts_gatewayaudit GROUP BY provider)"
        yield Step("gateway audits", lambda: self._old("accounts_gatewayaudit", newer, self._now - _EVENTS))
        yield Step(
            "tasks", lambda: self._old("django_tasks_database_dbtaskresult", "finished_at < %s", self._now - _TASKS)
        )
        yield Step("lines", self._lines)
        yield Step("lanes", self._lanes)

    def _codes(self) -> int:
        """Forget codes with their challenges and the messages of both."""
        with statements.durable():
            ids = self._pick("accounts_code", "created_at < %s", self._before, order="created_at")
            if not ids:
                return 0
            marks = _marks(ids)
            # Two questions: each has its index, and both in one look at every message there is.
            theirs = f"(SELECT id FROM accounts_challenge WHERE code_id IN ({marks}))"
            statements.run(f"DELETE FROM accounts_message WHERE code_id IN ({marks})", ids)
            statements.run(f"DELETE FROM accounts_message WHERE challenge_id IN {theirs}", ids)
            statements.run(f"DELETE FROM accounts_challenge WHERE code_id IN ({marks})", ids)
            return statements.run(f"DELETE FROM accounts_code WHERE id IN ({marks})", ids)

    def _blocks(self) -> int:
        over = "lifted_at < %s OR expires_at < %s"
        return self._old("accounts_block", over, self._before, self._before)

    def _old(self, table: str, where: str, *values: datetime, key: str = "id") -> int:
        with statements.durable():
            ids = self._pick(table, where, *(values or (self._before,)), key=key)
            return statements.run(f"DELETE FROM {table} WHERE {key} IN ({_marks(ids)})", ids) if ids else 0

    def _pick(self, table: str, where: str, *values: datetime, key: str = "id", order: str = "") -> list[object]:
        """Return the keys of a batch, locked; rows that somebody else holds are passed over."""
        sort = f" ORDER BY {order}" if order else ""
        found = statements.rows(
            f"SELECT {key} FROM {table} WHERE {where}{sort} LIMIT %s{statements.for_deletion()}", (*values, self._batch)
        )
        return [item[0] for item in found]

    def _lines(self) -> int:
        """Forget the lines of phones whose sends and refunds have left every window, and that none touched since.

        A send of a known device leaves its stamp elsewhere and only touches the common line, while its code is open.
        Looked at without a lock first, and once more with it: a send may come in between.
        """
        oldest = self._now - max(2 * timedelta(seconds=self._config.send_window_seconds), _DAY)

        def is_over(item: tuple[Any, ...]) -> bool:
            stamps = (*json.loads(item[0]), *json.loads(item[1]), item[2])
            return all(stamp < oldest.timestamp() * 1000 for stamp in stamps)

        while True:
            found = statements.rows(
                "SELECT id, sends, refunds, touched_ms FROM accounts_phoneline WHERE id > %s ORDER BY id LIMIT %s",
                (self._lines_from, self._batch),
            )
            if not found:
                return 0
            self._lines_from = found[-1][0]
            ids = [item[0] for item in found if is_over(item[1:])]
            if ids:
                return self._drop("accounts_phoneline", "sends, refunds, touched_ms", ids, is_over)

    def _lanes(self) -> int:
        """Forget lanes of wrong codes that count for nothing, and long silent ones of numbers that nobody logs in with.

        What counts towards the hundredth failure since the last login is kept as long as there is an account.
        """
        old, day = self._before.timestamp() * 1000, (self._now - _DAY).timestamp() * 1000

        def is_over(item: tuple[Any, ...]) -> bool:
            stamps = json.loads(item[0])
            return all(stamp < (day if item[1] == 0 else old) for stamp in stamps) and (item[1] == 0 or not item[2])

        columns = "stamps, since_login, (SELECT u.username FROM accounts_user u WHERE u.phone_number = phone)"
        while True:
            found = statements.rows(
                f"SELECT id, {columns} FROM accounts_failurelane WHERE id > %s ORDER BY id LIMIT %s",
                (self._lanes_from, self._batch),
            )
            if not found:
                return 0
            self._lanes_from = found[-1][0]
            ids = [item[0] for item in found if is_over(item[1:])]
            if ids:
                return self._drop("accounts_failurelane", columns, ids, is_over)

    def _drop(self, table: str, columns: str, ids: list[int], is_over: Callable[[tuple[Any, ...]], bool]) -> int:
        """Delete those of `ids` that nobody holds and that are still over; at least 1, so that the caller goes on."""
        with statements.durable():
            held = statements.rows(
                f"SELECT id, {columns} FROM {table} WHERE id IN ({_marks(ids)}){statements.for_deletion(table)}", ids
            )
            over = [item[0] for item in held if is_over(item[1:])]
            if over:
                statements.run(f"DELETE FROM {table} WHERE id IN ({_marks(over)})", over)
        return max(1, len(over))


def _marks(ids: list[int] | list[object]) -> str:
    return ", ".join(["%s"] * len(ids))
