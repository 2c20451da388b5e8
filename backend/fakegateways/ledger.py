"""What the vendors really received, and what a person's handset really got; knows no HTTP and no vendor's words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Posted:
    """One receipt that was posted to the service and how it was answered (`answer` is 0 when nothing answered)."""

    status: str
    at: float
    answer: int
    genuine: bool


@dataclass(slots=True)
class Entry:
    """One call of a sending endpoint. `delivered` means that the handset got it; a receipt may well say otherwise."""

    seq: int
    at: float
    vendor: str
    channel: str
    to: str
    code: str
    text: str
    endpoint: str
    outcome: str
    accepted: bool
    delivered: bool
    id: str
    auth_ok: bool
    error: str
    raw_fields: dict[str, Any]
    steps: list[tuple[float, str]] = field(default_factory=list)
    """When the vendor's own status changes, as (time, status); read by the vendor's read-back endpoint."""
    error_code: int | None = None
    receipts: list[Posted] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the control API shows it."""
        names = ("seq", "at", "vendor", "channel", "to", "code", "text", "endpoint", "outcome", "accepted", "delivered")
        shown: dict[str, Any] = {name: getattr(self, name) for name in names}
        shown |= {"id": self.id, "auth_ok": self.auth_ok, "error": self.error, "raw_fields": self.raw_fields}
        shown["receipts"] = [
            {"status": one.status, "at": one.at, "answer": one.answer, "genuine": one.genuine} for one in self.receipts
        ]
        return shown


class Ledger:
    """The last `limit` entries, found by number, phone and vendor id; older ones only leave their count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Entry] = deque()
        self._by_phone: dict[str, deque[Entry]] = {}
        self._by_id: dict[str, Entry] = {}
        self._seq = 0
        self.forgotten = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def next_seq(self) -> int:
        """Return the number of the next entry; numbers go on across a reset, so `since` never sees an old one anew."""
        self._seq += 1
        return self._seq

    def add(self, entry: Entry) -> Entry:
        """Record an entry and forget the oldest one when the ledger is full."""
        self._entries.append(entry)
        self._by_phone.setdefault(entry.to, deque()).append(entry)
        if entry.id:
            self._by_id[entry.id] = entry
        self.outcomes[entry.vendor, entry.outcome] += 1
        if len(self._entries) > self._limit:
            self._forget_oldest()
        return entry

    def find(self, message_id: str) -> Entry | None:
        """Return the entry with this vendor id, or None."""
        return self._by_id.get(message_id)

    def select(self, *, vendor: str = "", phone: str = "", since: int = 0) -> list[Entry]:
        """Return entries with a number above `since`, newest last, of one vendor and one phone where given."""
        source: Iterator[Entry] = reversed(self._by_phone.get(phone, deque()) if phone else self._entries)
        chosen = []
        for entry in source:
            if entry.seq <= since:
                break
            if not vendor or entry.vendor == vendor:
                chosen.append(entry)
        chosen.reverse()
        return chosen

    def clear(self) -> None:
        """Forget every entry and every count."""
        self._entries.clear()
        self._by_phone.clear()
        self._by_id.clear()
        self.outcomes.clear()
        self.forgotten = 0

    def _forget_oldest(self) -> None:
        oldest = self._entries.popleft()
        self.forgotten += 1
        self._by_id.pop(oldest.id, None)
        same_phone = self._by_phone[oldest.to]
        same_phone.popleft()
        if not same_phone:
            del self._by_phone[oldest.to]


_BOUND_LINE = re.compile(r"^@\S+ #(\w+)", re.MULTILINE)
_SIX = re.compile(r"(?<![\w+/])\d{6}(?![\w+/])")
_ANY = re.compile(r"(?<![\w+/])\d{4,10}(?![\w+/])")


def code_in(text: str) -> str:
    """Return the code a person would read in a message, in ASCII digits, or an empty text.

    The origin-bound last line wins (WICG sms-one-time-codes), then six digits that stand alone, then four to ten.
    """
    found = _BOUND_LINE.search(text)
    if found:
        return found.group(1)
    digits = _SIX.search(text) or _ANY.search(text)
    if not digits:
        return ""
    return "".join(str(unicodedata.digit(character)) for character in digits.group(0))
