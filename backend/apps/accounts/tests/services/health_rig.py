"""Two or three gateways on one route, and people who send through them, for tests of health. No test of its own."""

import threading
from collections.abc import Callable
from typing import cast

from apps.accounts.providers.base import (
    AuditLine,
    Finding,
    HostExhausted,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
)
from apps.accounts.services.gateway_health import GatewayHealth
from conftest import Api, BuildRooms, RecordingGateway, Rooms

REQUEST, RESEND, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/resend/", "/api/auth/phone/verify/"
TWO = {"OTP_PROVIDER": "authentica", "OTP_FALLBACK_PROVIDERS": "twilio", "AUTHENTICA_API_KEY": "fake-authentica-key"}
THREE = {
    **TWO, "OTP_FALLBACK_PROVIDERS": "twilio,whatsapp", "WHATSAPP_TOKEN": "fake-meta-token",
    "WHATSAPP_PHONE_NUMBER_ID": "1", "WHATSAPP_TEMPLATE_NAME": "otp_code",
}  # fmt: skip
# Nobody's own limits are under test here.
NO_LIMITS = {
    "PHONE_AUTH_IP_MAX_PER_WINDOW": "0", "OTP_GLOBAL_MAX_PER_MINUTE": "0", "OTP_RESEND_COOLDOWN_SECONDS": "0",
    "OTP_MAX_PER_WINDOW": "0",
}  # fmt: skip
UNAVAILABLE, UNKNOWN, BROKEN = Unavailable("connect"), OutcomeUnknown("answer_timeout"), Misconfigured("http_401")
REFUSED, BUSY = Rejected("http_400"), Throttled("http_429", retry_after=7)
EXHAUSTED = HostExhausted("connect")
WELL = (AuditLine("credentials", Finding.OK, ""),)
ILL = (AuditLine("credentials", Finding.FAULT, ""),)


class AuditedGateway(RecordingGateway):
    """A gateway that can be asked for free."""

    lines: tuple[AuditLine, ...] = WELL
    asked: int = 0

    def audit(self, *, deadline: float) -> tuple[AuditLine, ...]:
        self.asked += 1
        return self.lines


class Service:
    """The rooms with gateways a, t (and w), and people who ask."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self.api = Api()
        self.people = 0
        self._lock = threading.Lock()
        self.health = cast(GatewayHealth, rooms.services.health)
        self.names = list(rooms.services.providers)

    def gateway(self, name: str) -> AuditedGateway:
        return cast(AuditedGateway, self.rooms.gateways[name])

    def ask(self) -> int:
        """One new person asks; return the status of the answer."""
        return int(self.answer().status_code)

    def answer(self):
        return self.api.post(REQUEST, {"phone_number": self.next_phone()})

    def next_phone(self) -> str:
        with self._lock:  # a number of their own for people who ask at the same moment
            self.people += 1
            return f"+9665012{self.people:05d}"

    def counts(self) -> dict[str, int]:
        return {name: len(self.rooms.gateways[name].orders) for name in self.names}

    def asked_by(self, act: Callable[[], object]) -> dict[str, int]:
        """Return how many orders each gateway got while `act` ran, those that got any."""
        before = self.counts()
        act()
        return {name: count - before[name] for name, count in self.counts().items() if count > before[name]}

    def many(self, times: int) -> dict[str, int]:
        return self.asked_by(lambda: [self.ask() for _ in range(times)])

    def break_down(self, name: str, how: ProviderError) -> None:
        self.gateway(name).always = how

    def heal(self, name: str) -> None:
        self.gateway(name).always = None

    def cool(self, name: str, error: ProviderError = UNAVAILABLE, *, times: int = 5, channel: str = "sms") -> None:
        for _ in range(times):
            self.health.failed(name, error, channel=channel, seconds=0.0)

    def plan(self, *, avoid: frozenset[str] = frozenset()) -> tuple[str, ...]:
        plan = self.health.plan(self.names, channel="sms", region="SA", avoid=avoid)
        return tuple(name for name in plan.names if name not in plan.probes)

    def state(self, name: str) -> str:
        return self.health.states([name])[name]


def service(build_rooms: BuildRooms, *, gateways: int = 2, **environ: str) -> Service:
    """Build the service with two or three gateways."""
    names = ("authentica", "twilio", "whatsapp")[:gateways]
    made = [AuditedGateway(name=name) for name in names]
    settings = {**(TWO if gateways == 2 else THREE), **NO_LIMITS, **environ}
    return Service(build_rooms(gateways=list(made), **settings))
