"""Receipts: what gateways report of their messages, applied once and never backwards.

A receipt has no power over authentication: it moves a message's state, may call a challenge undeliverable, and may make
the same code go out by another gateway. It must not know HTTP, nor a vendor's words.

Strength, not order, decides: accepted < failed < delivered. So receipts may repeat, come late and overtake each other,
and any order of the same receipts ends in the same state. A receipt that finds no message waits in the inbox: our own
send may not have returned yet.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from django.db import OperationalError, connection

from apps.accounts import telemetry
from apps.accounts.clock import Clock
from apps.accounts.errors import NotFound
from apps.accounts.providers.base import (
    DeliveryEvent,
    DeliveryStatus,
    FailureKind,
    Handshaker,
    Listener,
    Provider,
    WebhookCall,
)
from apps.accounts.services import statements
from apps.accounts.services.later import Later, Work

# A message gets its vendor's id within the send deadline: a receipt that still has no message then never will.
INBOX_SECONDS: Final = 900
SETTLED_AT_ONCE: Final = 500
# A thousand failures in one call become so many tasks at most.
MOST_TASKS: Final = 25
_DEADLOCK_TRIES: Final = 4
_DEADLOCKS: Final = frozenset({"40P01", "40001"})

_STATES: Final[Mapping[DeliveryStatus, str]] = {
    DeliveryStatus.SENT: "accepted",
    DeliveryStatus.UNKNOWN: "accepted",  # the vendor knows the message, so it took it
    DeliveryStatus.FAILED: "failed",
    DeliveryStatus.DELIVERED: "delivered",
}
_STRENGTH: Final = {"accepted": 0, "failed": 1, "delivered": 2}
_COLUMNS: Final = 5


@dataclass(frozen=True, slots=True)
class _Fact:
    """The strongest of what a call says of one message."""

    vendor_id: str
    reference: str
    state: str
    failure: str
    error_code: str

    @property
    def columns(self) -> tuple[str, str, str, str, str]:
        return (self.vendor_id, self.reference, self.state, self.failure, self.error_code)


class Receipts:
    """Hears and applies. One per process; thread-safe."""

    def __init__(self, *, providers: Mapping[str, Provider], clock: Clock, later: Later) -> None:
        self._providers = providers
        self._clock = clock
        self._later = later

    # --- what a webhook asks --------------------------------------------------------------------------------------

    def listener(self, name: str) -> Listener:
        """Return the gateway that is to be heard.

        Raises:
            NotFound: this gateway is not configured, or reports nothing.
        """
        provider: object = self._providers.get(name)
        if not isinstance(provider, Listener):
            raise NotFound()
        return provider

    def heard(self, name: str, *, path: str, headers: Mapping[str, str], body: bytes) -> Sequence[DeliveryEvent] | None:
        """Return what an authentic call reports, or None for one that is not signed as it must be.

        `path` is ours with its query string, `headers` have names in lower case, `body` is raw.

        Raises:
            NotFound: as `listener`.
        """
        listener = self.listener(name)
        call = WebhookCall(method="POST", path=path, headers=headers, body=body)
        if not listener.authenticate(call):
            telemetry.happened("receipt_refused", provider=name)
            return None
        return listener.events(call)

    def handshake(self, name: str, *, query: Mapping[str, str]) -> str | None:
        """Return the text that opens the webhook, or None for a caller who does not know our token.

        Raises:
            NotFound: as `listener`, or a gateway without a handshake.
        """
        provider: object = self.listener(name)
        if not isinstance(provider, Handshaker):
            raise NotFound()
        return provider.handshake(WebhookCall(method="GET", path="", headers={}, body=b"", query=query))

    # --- what it does ---------------------------------------------------------------------------------------------

    def apply(self, name: str, events: Sequence[DeliveryEvent]) -> int:
        """Apply what an authentic call of gateway `name` reported, in at most two statements without failures.

        Returns how many messages changed their state.
        """
        facts = _strongest(events)
        if not facts:
            return 0
        return _unless_deadlocked(lambda: self._apply(name, facts))

    def settle(self, name: str, vendor_id: str) -> None:
        """Apply what waited for this message; for the courier, which just learnt the vendor's id."""
        _unless_deadlocked(lambda: self._settle(name, vendor_id))

    def sweep(self) -> int:
        """Apply what waits for a message that is known by now, and forget what waited too long; return how many."""
        known = statements.rows(
            "SELECT DISTINCT i.provider, i.vendor_id FROM accounts_receiptinbox i WHERE EXISTS (SELECT 1 "
            "FROM accounts_message m WHERE m.provider = i.provider AND m.vendor_id = i.vendor_id "
            "AND NOT (m.vendor_id = '')) LIMIT %s",
            (SETTLED_AT_ONCE,),
        )
        for name, vendor_id in known:
            self.settle(name, vendor_id)
        statements.run(
            "DELETE FROM accounts_receiptinbox WHERE id IN (SELECT id FROM accounts_receiptinbox "
            f"WHERE received_at < {statements.shifted_now_sql(self._clock.offset - timedelta(seconds=INBOX_SECONDS))} "
            "LIMIT 5000)"
        )
        return len(known)

    def _apply(self, name: str, facts: Sequence[_Fact]) -> int:
        if any(fact.state == "failed" for fact in facts):
            with statements.durable():
                return self._move(name, facts)
        return self._move(name, facts)

    def _settle(self, name: str, vendor_id: str) -> int:
        with statements.durable():
            kept = statements.rows(
                "DELETE FROM accounts_receiptinbox WHERE provider = %s AND vendor_id = %s "
                "RETURNING vendor_id, status, failure, error_code",
                (name, vendor_id),
            )
            facts = _merged(_Fact(item[0], "", item[1], item[2], item[3]) for item in kept)
            return self._move(name, facts) if facts else 0

    def _move(self, name: str, facts: Sequence[_Fact]) -> int:
        """Move the messages forward; keep what has no message yet; do what failures ask for."""
        now = statements.shifted_now_sql(self._clock.offset)
        moved = statements.rows(
            _ADVANCE.format(now=now, values=_places(len(facts))),
            (name, name, *(column for fact in facts for column in fact.columns)),
        )
        found = {item[0] for item in moved}
        rest = [fact for fact in facts if fact.vendor_id not in found]
        if rest:
            statements.run(
                _KEEP.format(now=now, values=_places(len(rest))),
                (name, name, name, *(column for fact in rest for column in fact.columns)),
            )
        failed = [item for item in moved if item[2] == "failed"]
        if failed:
            self._follow_up(failed, now)
        for state, count in _counted(item[2] for item in moved):
            telemetry.receipts(provider=name, status=state, count=count)
        telemetry.receipts(provider=name, status="repeated", count=len(rest))
        return len(moved)

    def _follow_up(self, failed: Sequence[tuple[Any, ...]], now: str) -> None:
        """In the same transaction: close what can never be reached, promise what is to be sent on."""
        for _, message_id, _, failure, code, _, sent_on in failed:
            telemetry.happened(
                "receipt_failed", message=message_id[:8], failure=failure, error_code=code, sent_on=sent_on
            )
        bad = sorted({item[5] for item in failed if item[3] == FailureKind.RECIPIENT and item[5]})
        if bad:
            statements.run(
                f"UPDATE accounts_challenge SET status = 'undeliverable', closed_at = {now} "
                f"WHERE id IN ({', '.join(['%s'] * len(bad))}) AND status = 'pending' AND EXISTS (SELECT 1 "
                f"FROM accounts_code k WHERE k.id = accounts_challenge.code_id AND {_IS_OPEN} "
                f"AND k.expires_at > {now})",
                bad,
            )
        due = [item[1] for item in failed if item[6] == "due"]
        size = max(1, -(-len(due) // MOST_TASKS))
        for start in range(0, len(due), size):
            self._later(Work.SEND_ON, due[start : start + size])


def _strongest(events: Iterable[DeliveryEvent]) -> list[_Fact]:
    return _merged(
        _Fact(
            vendor_id=event.vendor_id,
            reference=event.reference,
            state=_STATES[event.status],
            failure=event.failure.value if event.status is DeliveryStatus.FAILED else "",
            error_code=event.error_code[:32],
        )
        for event in events
    )


def _merged(facts: Iterable[_Fact]) -> list[_Fact]:
    """Return one fact a message, by vendor id, so that all processes take locks in one order."""
    best: dict[str, _Fact] = {}
    for fact in facts:
        known = best.get(fact.vendor_id)
        if known is None or _STRENGTH[fact.state] > _STRENGTH[known.state]:
            best[fact.vendor_id] = fact if known is None else replace(fact, reference=fact.reference or known.reference)
    return [best[key] for key in sorted(best)]


def _counted(states: Iterable[str]) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for state in states:
        found[state] = found.get(state, 0) + 1
    return list(found.items())


def _places(count: int) -> str:
    one = f"({', '.join(['%s'] * _COLUMNS)})"
    return ", ".join([one] * count)


def _unless_deadlocked(act: Callable[[], int]) -> int:
    """Run `act` again when the database broke a deadlock at our expense."""
    for left in reversed(range(_DEADLOCK_TRIES)):
        try:
            return act()
        except OperationalError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state not in _DEADLOCKS or not left or connection.in_atomic_block:
                raise
            time.sleep(0.02 * (_DEADLOCK_TRIES - left))
    raise AssertionError("unreachable")


# The columns are vendor_id, reference, state, failure, error_code. The message is known by our own reference, which is
# there before our send returned, else by the vendor's id. What is compared is the message's own row, so that of two
# receipts at the same moment one comes second.
_HIT: Final = (
    "(SELECT e.column1 AS hit_vendor_id, e.column3 AS hit_state, e.column4 AS hit_failure, e.column5 AS hit_code, "
    "COALESCE((SELECT a.id FROM accounts_message a WHERE a.id = e.column2 AND a.provider = %s "
    "AND (a.vendor_id = '' OR a.vendor_id = e.column1)), "
    "(SELECT b.id FROM accounts_message b WHERE b.provider = %s AND b.vendor_id = e.column1 AND NOT (b.vendor_id = '') "
    "LIMIT 1)) AS hit_id FROM (VALUES {values}) AS e) AS hit"
)
_IS_OPEN: Final = f"{statements.unindexed_sql('k.state')} = 'open'"
_OPEN_CODE: Final = (
    "hit_failure IN ('gateway', 'not_on_channel') AND EXISTS (SELECT 1 FROM accounts_code k "
    f"WHERE k.id = accounts_message.code_id AND {_IS_OPEN} AND k.expires_at > {{now}})"
)
# Whether a receipt knows more than the row of its message.
_FORWARD: Final = (
    "((hit_state = 'delivered' AND state <> 'delivered') "
    "OR (hit_state = 'failed' AND state IN ('sending', 'unknown', 'accepted')) "
    "OR (hit_state = 'accepted' AND state IN ('sending', 'unknown')))"
)
_ADVANCE: Final = (
    "UPDATE accounts_message SET state = hit_state, vendor_id = hit_vendor_id, error_kind = hit_failure, "
    f"error_code = hit_code, receipt_at = {{now}}, sent_on = CASE WHEN {_OPEN_CODE} THEN 'due' ELSE sent_on END, "
    f"sent_on_at = CASE WHEN {_OPEN_CODE} THEN {{now}} ELSE sent_on_at END FROM {_HIT} "
    f"WHERE accounts_message.id = hit_id AND {_FORWARD} "
    "RETURNING vendor_id, id, state, error_kind, error_code, challenge_id, sent_on"
)
# Also what could move a message by now: our own send wrote the vendor's id after the first look and before this one.
_KEEP: Final = (
    "INSERT INTO accounts_receiptinbox (provider, vendor_id, status, failure, error_code, received_at) "
    "SELECT %s, hit_vendor_id, hit_state, hit_failure, hit_code, {now} "
    f"FROM {_HIT} WHERE hit_id IS NULL OR EXISTS (SELECT 1 FROM accounts_message WHERE id = hit_id AND {_FORWARD}) "
    "ON CONFLICT DO NOTHING"
)
