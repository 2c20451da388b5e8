"""What server, effects and receipts need of a vendor's dialect; knows none of the three."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from fakegateways.catalogue import Operation
from fakegateways.config import ReceiptPlan, Vendor
from fakegateways.ledger import Entry
from fakegateways.wire import Reply, Request

if TYPE_CHECKING:
    from fakegateways.effects import Effect


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood as far as is needed to choose a fault; `phone` is E.164 with `+`, or empty."""

    request: Request
    operation: Operation
    endpoint: str
    phone: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    auth_ok: bool = True
    target: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The vendor's own answer; with an entry and a plan when receipts are to follow."""

    reply: Reply
    entry: Entry | None = None
    plan: ReceiptPlan | None = None


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long a vendor waits for our answer to a receipt, and what makes it post again. Times in seconds.

    `on` holds the kinds of failure that are tried again: `ct` no connection, `rt` no answer in time, `3xx`, `4xx`,
    `5xx`.
    """

    connect_seconds: float = 5.0
    total_seconds: float = 15.0
    retries: int = 0
    on: frozenset[str] = frozenset()
    first_gap_seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class Letter:
    """One receipt, ready to be posted: signed bytes for one URL."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    genuine: bool = True


class Dialect(Protocol):
    """One vendor's way of speaking."""

    vendor: Vendor

    def read(self, request: Request, path: str) -> Call | None:
        """Understand a request under this vendor's base URL; None when the vendor has no such address."""

    def act(self, call: Call, effect: Effect) -> Answered:
        """Do what the vendor would do and answer as it would."""

    def note(self, call: Call, outcome: str, *, error: str) -> None:
        """Record a sending call that came to nothing."""

    def at_status(self, status: int, *, retry_after: str = "") -> Reply:
        """Return the vendor's own body for an HTTP status."""

    def with_code(self, code: int, *, status: int = 0, retry_after: str = "") -> Reply:
        """Return the vendor's answer with one of its error codes; `status` overrides the usual HTTP status."""

    def refusing(self, message: str) -> Reply:
        """Return a success status whose body says no."""

    def story(self, plan: ReceiptPlan) -> tuple[str, ...]:
        """Return the statuses a plan reports, in the order of posting."""

    def callback_url(self, entry: Entry) -> str:
        """Return where receipts for this message go; empty when nowhere."""

    def persistence(self, url: str) -> Persistence:
        """Return how hard the vendor tries to deliver a receipt to this URL."""

    def forget(self) -> None:
        """Forget whatever the vendor remembers of earlier calls."""

    def letter(self, entries: list[tuple[Entry, str]], plan: ReceiptPlan, url: str) -> Letter:
        """Write and sign a receipt for these messages and statuses."""


def as_json(status: int, body: Any, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a JSON reply."""
    return Reply(status, json.dumps(body, separators=(",", ":")).encode(), "application/json", headers)


def retry_header(retry_after: str) -> tuple[tuple[str, str], ...]:
    """Return a Retry-After header for a text in seconds or a date, nothing for an empty one."""
    return (("Retry-After", retry_after),) if retry_after else ()


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in a body, or None when it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
