"""What every gateway promises: `send(order)` gives a Receipt or raises one leaf of the error tree.

It must not know Django, the database, or which gateways exist. One try, no retries, `order.deadline` obeyed.

    ProviderError                 next gateway?   cool this one?
    ├── InvalidRecipient          no              no     the number is the problem
    ├── Rejected                  yes             no     this vendor or its policy says no
    ├── FraudSuspected            no              no     failing over would carry the attack along
    ├── Throttled                 yes             short
    ├── OutOfCredit               yes             long, alert
    ├── Misconfigured             yes             long, alert
    ├── Unavailable               yes             counts
    ├── HostExhausted             yes             no     this host is out of sockets: says nothing about the gateway
    └── OutcomeUnknown            yes             counts  it may have gone out: a deliberate duplicate
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable


class Channel(StrEnum):
    SMS = "sms"
    WHATSAPP = "whatsapp"


class Carries(StrEnum):
    """What a gateway can put into a message."""

    CODE = "code"  # a template of the vendor's with our code in it
    TEXT = "text"  # free text: notices need it
    MINT = "mint"  # the vendor makes and checks the code itself


class Cooling(StrEnum):
    NONE = "none"
    SHORT = "short"
    LONG = "long"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Order:
    """One message to be sent once. `deadline` is a `time.monotonic()` instant: the call ends before it."""

    to: str  # E.164
    channel: Channel
    text: str  # what to say when the gateway carries text
    code: str | None  # what to put into the vendor's template; None for a notice and for a vendor that mints
    language: str  # "en", "ar"
    reference: str  # our message id: echoed by receipts where the vendor can
    deadline: float
    valid_seconds: int = 600  # a message later than this is worthless
    callback_url: str | None = None  # where receipts go; None asks for none

    def __repr__(self) -> str:
        return f"Order(reference={self.reference!r}, channel={self.channel})"

    def seconds_left(self) -> float:
        """Return the seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Receipt:
    """A gateway took the message. `vendor_id` may be empty: Authentica gives none."""

    vendor_id: str = ""
    channel: Channel | None = None  # where the vendor says that it used another channel


class DeliveryStatus(StrEnum):
    """What a receipt says, in our words; ordered by `rank` so that a status never moves backwards."""

    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"


class FailureKind(StrEnum):
    """Why a receipt says failed: decides what happens next (contract section 7)."""

    NONE = "none"
    RECIPIENT = "recipient"
    FRAUD = "fraud"
    NOT_ON_CHANNEL = "not_on_channel"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """One line of a receipt. Correlates by `vendor_id`, or by `reference` where the vendor echoes it."""

    vendor_id: str
    status: DeliveryStatus
    failure: FailureKind = FailureKind.NONE
    error_code: str = ""
    reference: str = ""
    at: datetime | None = None


class ProviderError(Exception):
    """Base of what `send` may raise. `vendor_code` is the vendor's own short code; never its text."""

    next_gateway: ClassVar[bool] = True
    cooling: ClassVar[Cooling] = Cooling.NONE
    kind: ClassVar[str] = "error"
    definite: ClassVar[bool] = True  # the message surely did not go out
    reached: ClassVar[bool] = True  # the gateway was asked, so this tells how it is

    def __init__(
        self, vendor_code: str = "", *, retry_after: float | None = None, not_on_channel: bool = False
    ) -> None:
        super().__init__(f"{self.kind}:{vendor_code}" if vendor_code else self.kind)
        self.vendor_code = vendor_code[:32]
        self.retry_after = retry_after  # seconds, where the vendor says so
        self.not_on_channel = not_on_channel  # the number is fine, this channel cannot reach it


class InvalidRecipient(ProviderError):
    kind = "invalid_recipient"
    next_gateway = False


class Rejected(ProviderError):
    kind = "rejected"


class FraudSuspected(ProviderError):
    kind = "fraud_suspected"
    next_gateway = False


class Throttled(ProviderError):
    kind = "throttled"
    cooling = Cooling.SHORT


class OutOfCredit(ProviderError):
    kind = "out_of_credit"
    cooling = Cooling.LONG


class Misconfigured(ProviderError):
    kind = "misconfigured"
    cooling = Cooling.LONG


class Unavailable(ProviderError):
    kind = "unavailable"
    cooling = Cooling.COUNTS


class HostExhausted(ProviderError):
    kind = "host_exhausted"
    reached = False


class OutcomeUnknown(ProviderError):
    kind = "outcome_unknown"
    cooling = Cooling.COUNTS
    definite = False


LEAVES: tuple[type[ProviderError], ...] = (
    InvalidRecipient,
    Rejected,
    FraudSuspected,
    Throttled,
    OutOfCredit,
    Misconfigured,
    Unavailable,
    HostExhausted,
    OutcomeUnknown,
)


@runtime_checkable
class Provider(Protocol):
    """A gateway. Thread-safe: one instance serves every thread of a process."""

    name: str
    carries: frozenset[Carries]

    def channels(self) -> frozenset[Channel]:
        """Return the channels that the present configuration can serve."""
        ...

    def send(self, order: Order) -> Receipt:
        """Try once to hand the message over.

        Raises:
            ProviderError: one of LEAVES.
        """
        ...


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """A webhook as plain data: raw body, header names in lower case, the query as pairs."""

    method: str
    path: str  # path of our own endpoint, with its query string, as the vendor was told
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Listener(Protocol):
    """The face of a gateway that reports what became of its messages."""

    def authenticate(self, call: WebhookCall) -> bool:
        """Say whether the call bears this vendor's signature over the raw body and our configured address."""
        ...

    def events(self, call: WebhookCall) -> Sequence[DeliveryEvent]:
        """Return what an authenticated call reports; unknown fields and kinds are passed over."""
        ...


@runtime_checkable
class Handshaker(Protocol):
    """The face of a gateway that asks whether the webhook's address is ours before it reports there."""

    def handshake(self, call: WebhookCall) -> str | None:
        """Return the text to answer with, or None for a caller who does not know our token."""
        ...


class CheckOutcome(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"


@runtime_checkable
class Checker(Protocol):
    """The face of a gateway that minted the code itself and must be asked.

    `minted_for_seconds`: how long it holds a code, also one whose sending ended without an answer.
    """

    @property
    def minted_for_seconds(self) -> int: ...

    def check(self, *, to: str, channel: Channel, code: str, deadline: float) -> CheckOutcome:
        """Ask whether `code` is the one that the vendor sent.

        Raises:
            ProviderError: the vendor could not be asked.
        """
        ...


class Finding(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One thing that was checked: `check` is a stable name, `advice` says in plain words what to do."""

    check: str
    finding: Finding
    advice: str
    value: str | Decimal | None = None


@runtime_checkable
class Auditor(Protocol):
    """The face of a gateway that can say whether its configuration is alive, without spending a message."""

    def audit(self, *, deadline: float) -> Sequence[AuditLine]:
        """Check credentials, balance, sender and template state; never raises for what the vendor answers."""
        ...
