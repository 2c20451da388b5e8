"""What the stories of accounts share: logging in, stepping up, and a device that stays the same."""

from dataclasses import dataclass, field
from typing import Any

from conftest import PHONE, Api, Rooms

REQUEST, VERIFY = "/api/auth/phone/request/", "/api/auth/phone/verify/"
OTP_REQUEST, OTP_RESEND, OTP_VERIFY = "/api/auth/otp/request/", "/api/auth/otp/resend/", "/api/auth/otp/verify/"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


@dataclass
class Visitor:
    """One app on one device."""

    rooms: Rooms
    api: Api
    phone: str = PHONE
    device_id: str = ""
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> dict[str, str]:
        return {"x_device_id": self.device_id} if self.device_id else {}

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access']}", **self.device}

    @property
    def user_id(self) -> int:
        return int(self.tokens["user"]["id"])

    def prove(self, **headers: str) -> Any:
        """Ask for a code and prove it; return the answer of verify."""
        self.rooms.clock.advance(seconds=61)
        sent = self.api.post(REQUEST, {"phone_number": self.phone}, **self.device, **headers)
        assert sent.status_code == 200, sent.content
        code = self.rooms.gateway.last_code
        return self.api.post(VERIFY, {"phone_number": self.phone, "otp": code}, **self.device, **headers)

    def login(self, **headers: str) -> "Visitor":
        answer = self.prove(**headers)
        assert answer.status_code == 200, answer.content
        assert "access" in answer.json(), answer.content
        self.tokens = answer.json()
        return self

    def ask(self, body: dict[str, Any] | None = None, *, access: str = "") -> Any:
        """Ask for a code within the account."""
        self.rooms.clock.advance(seconds=61)
        bearer = {**self.bearer, **({"authorization": f"Bearer {access}"} if access else {})}
        return self.api.post(OTP_REQUEST, body, **bearer)

    def step_up(self) -> str:
        """Return a step-up token."""
        sent = self.ask({"purpose": "step_up"})
        assert sent.status_code == 200, sent.content
        code = self.rooms.gateway.last_code
        done = self.api.post(OTP_VERIFY, {"purpose": "step_up", "otp": code}, **self.bearer)
        assert done.status_code == 200, done.content
        found: str = done.json()["access"]
        return found

    def ask_to_change(self, number: str) -> Any:
        sent = self.ask({"purpose": "change_phone", "phone_number": number}, access=self.step_up())
        assert sent.status_code == 200, sent.content
        return sent.json()

    def change(self, number: str) -> Any:
        """Change to `number`; return the answer of verify."""
        self.ask_to_change(number)
        code = self.rooms.gateway.last_code
        return self.api.post(OTP_VERIFY, {"purpose": "change_phone", "otp": code}, **self.bearer)

    def status(self) -> Any:
        return self.api.get("/api/auth/status/", **self.bearer)

    def code(self) -> str:
        return self.rooms.gateway.last_code


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
