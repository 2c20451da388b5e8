"""What experiments stand on: the stores or a verdict without them, one gateway, numbers and addresses not used before.

It must not know what is proven.
"""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import pytest

from fakegateways.handle import FakeGateways
from rig.service import RunningService, stores_answer
from rig.together import Answered, Shot, race

REQUEST: Final = "/api/auth/phone/request/"
RESEND: Final = "/api/auth/phone/resend/"
VERIFY: Final = "/api/auth/phone/verify/"
REFRESH: Final = "/api/auth/token/refresh/"
STATUS: Final = "/otp/status"

_numbers = iter(f"+96656{n:07d}" for n in range(1_000_000, 9_900_000, 7))
_addresses = iter(range(1, 2**24))


def require_stores() -> None:
    """Skip where there is no PostgreSQL and Redis; on CI there must be."""
    reason = stores_answer()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def by_twilio(fake: FakeGateways, **more: str) -> dict[str, str]:
    """Return the environment of a service whose one gateway is the fake Twilio."""
    return {
        "OTP_PROVIDER": "twilio",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "fake-twilio-token",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_BASE_URL": fake.twilio_url,
        **more,
    }


def new_phone() -> str:
    """Return a Saudi mobile number that was not used before."""
    return next(_numbers)


def new_address() -> str:
    """Return a client address that was not used before."""
    n = next(_addresses)
    return f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}"


def shot(path: str, body: Any = None, *, method: str = "POST", ip: str = "", **headers: str) -> Shot:
    """Return a request from a new address, or `ip`; headers by their names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Shot(path, body, {"X-Forwarded-For": ip or new_address(), **named}, method)


def one(service: RunningService, made: Shot) -> Answered:
    """Send one request."""
    (answer,) = race(service.url, [made])
    return answer


def ask(service: RunningService, phone: str, **more: str) -> Answered:
    """Ask for a code, which must be admitted."""
    answer = one(service, shot(REQUEST, {"phone_number": phone, **more}))
    assert answer.status == 200, answer.body
    return answer


def log_in(service: RunningService, fake: FakeGateways, phone: str, **more: str) -> dict[str, Any]:
    """Log in by what the handset got and return the answer."""
    ask(service, phone, **more)
    code = fake.wait_for_message(phone).code
    answer = one(service, shot(VERIFY, {"phone_number": phone, "otp": code, **more}))
    assert answer.status == 200, answer.body
    return dict(answer.body)


def outcomes(answers: Sequence[Answered]) -> Counter[tuple[int, str]]:
    """Count answers by status and code; there may be no server's error and no broken connection among them."""
    found = Counter((answer.status, answer.code) for answer in answers)
    assert all(0 < status < 500 for status, _ in found), found
    return found


def wrong_codes(right: str, count: int) -> list[str]:
    """Return `count` different codes, none of them the right one."""
    return [f"{(int(right) + 1 + n) % 1_000_000:06d}" for n in range(count)]
