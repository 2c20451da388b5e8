"""A gateway that makes and judges its own codes, as Authentica does with AUTHENTICA_MODE=verify."""

import threading
from dataclasses import dataclass, field

from django.db import connection

from apps.accounts.providers.base import Carries, Channel, CheckOutcome, Order, OutcomeUnknown, Receipt, Throttled
from conftest import BuildRooms, RecordingGateway, Rooms


@dataclass
class MintingGateway(RecordingGateway):
    """Knows the last code that it made for a number, and forgets it once it was right."""

    name: str = "authentica"
    carries: frozenset[Carries] = frozenset({Carries.MINT})
    seconds: int = 120
    out_of_reach: bool = False
    says_nothing: bool = False  # takes the message and never answers
    known: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, order: Order) -> Receipt:
        super().send(order)
        self.known[order.to] = f"{900_000 + len(self.orders):06d}"
        if self.says_nothing:
            raise OutcomeUnknown("timeout")
        return Receipt()

    @property
    def minted_for_seconds(self) -> int:
        return self.seconds

    def check(self, *, to: str, channel: Channel, code: str, deadline: float) -> CheckOutcome:
        assert not connection.in_atomic_block, "a gateway was asked inside a transaction"
        with self.lock:
            self.asked.append(code)
        if self.out_of_reach:
            raise Throttled("http_429", retry_after=1)
        if self.known.get(to) != code:
            return CheckOutcome.WRONG
        del self.known[to]
        return CheckOutcome.RIGHT


def minting_rooms(build_rooms: BuildRooms, *, seconds: int = 120, **environ: str) -> Rooms:
    """Return rooms where Authentica mints and Twilio carries our own code."""
    values = {
        "OTP_PROVIDER": "authentica",
        "OTP_FALLBACK_PROVIDERS": "twilio",
        "AUTHENTICA_API_KEY": "fake-authentica-key",
        "AUTHENTICA_MODE": "verify",
        "AUTHENTICA_VERIFY_TTL_SECONDS": str(seconds),
        "OTP_MAX_PER_WINDOW": "50",
        "PHONE_AUTH_IP_MAX_PER_WINDOW": "500",
        "PHONE_AUTH_IP_MAX_FAILURES_PER_WINDOW": "500",
        **environ,
    }
    return build_rooms(gateways=[MintingGateway(seconds=seconds), RecordingGateway()], **values)
