"""People: they ask for a code, look at their phone, press resend once when nothing comes, type the code, or give up.

They see what an app shows and what their handset got, and nothing of gateways. It must not know what is broken.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# After this long somebody puts the phone away.
PATIENCE_SECONDS: Final = 150.0
LOOK_SECONDS: Final = 0.25
_numbers = itertools.count(random.SystemRandom().randrange(1_000_000))


@dataclass(slots=True)
class Life:
    """What one person lived through. Times are seconds since the scenario began."""

    number: str
    began: float
    answered: float | None = None  # the first 200
    waited_for_answer: float = 0.0  # seconds until the first answer, whatever it was
    refusals: int = 0
    retry_afters: list[int] = field(default_factory=list)
    resent: float | None = None
    got_code: float | None = None
    logged_in: float | None = None
    gave_up: float | None = None
    detail: str = ""

    @property
    def lost(self) -> bool:
        """Say whether this person never got in."""
        return self.logged_in is None


@dataclass(frozen=True, slots=True)
class World:
    """What a person can touch: the service's port, the handset, the scenario's clock."""

    port: int
    channel: str
    look: Callable[[str], str | None]  # the newest code on this handset
    now: Callable[[], float]


async def live(world: World, *, seed: random.Random) -> Life:
    """Live one login."""
    person = Life(number=new_number(), began=world.now())
    address = f"10.{seed.randrange(256)}.{seed.randrange(256)}.{seed.randrange(1, 255)}"
    headers = {"X-Forwarded-For": address, "X-Device-ID": f"drill-{person.number[1:]}"}
    ends = person.began + PATIENCE_SECONDS
    asked = await _ask_until_sent(world, person, headers, ends)
    if asked is None:
        return _give_up(world, person)
    resend_at = world.now() + asked["resend_in"]
    reading = seed.uniform(2.0, 6.0)
    while world.now() < ends:
        code = world.look(person.number)
        if code is not None:
            person.got_code = person.got_code or world.now()
            await asyncio.sleep(reading)
            if await _type(world, person, headers, asked["challenge_id"], code):
                return person
        if person.resent is None and world.now() >= resend_at and code is None:
            person.resent = world.now()
            body = {"challenge_id": asked["challenge_id"]}
            status, answer, _ = await call(world.port, "/api/auth/phone/resend/", body, headers)
            person.detail = f"resend {status} {answer.get('code', '')}"
        await asyncio.sleep(LOOK_SECONDS)
    return _give_up(world, person)


async def _ask_until_sent(world: World, person: Life, headers: Mapping[str, str], ends: float) -> dict[str, Any] | None:
    """Press "send code"; an honest 503 says when to press again."""
    while world.now() < ends:
        started = world.now()
        body = {"phone_number": person.number, "channel": world.channel}
        status, answer, retry_after = await call(world.port, "/api/auth/phone/request/", body, headers)
        if not person.refusals and person.answered is None:
            person.waited_for_answer = world.now() - started
        if status == 200:
            person.answered = world.now()
            return answer
        person.refusals += 1
        person.retry_afters.append(retry_after)
        person.detail = f"request {status} {answer.get('code', '')}"
        await asyncio.sleep(max(1, retry_after))
    return None


async def _type(world: World, person: Life, headers: Mapping[str, str], challenge: str, code: str) -> bool:
    body = {"challenge_id": challenge, "otp": code}
    status, answer, _ = await call(world.port, "/api/auth/phone/verify/", body, headers)
    if status == 200:
        person.logged_in = world.now()
        return True
    person.detail = f"verify {status} {answer.get('code', '')}"
    return False


def _give_up(world: World, person: Life) -> Life:
    person.gave_up = world.now()
    return person


def new_number() -> str:
    """Return a valid Saudi mobile number that this drill has not used."""
    return f"+96650{next(_numbers) % 10_000_000:07d}"


async def call(
    port: int, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[int, dict[str, Any], int]:
    """Post JSON; return status (0 for a broken connection), body and Retry-After in seconds."""
    raw = json.dumps(body).encode()
    lines = {
        "Host": f"127.0.0.1:{port}", "Content-Type": "application/json", "Content-Length": str(len(raw)),
        "Connection": "close", **headers,
    }  # fmt: skip
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head.encode() + raw)
            await writer.drain()
            data = await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
        top, _, rest = data.partition(b"\r\n\r\n")
        status = int(top.split()[1])
        found = json.loads(rest) if rest else {}
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0, {}, 1
    return status, found, int(found.get("retry_after", 1) or 1)


def stopwatch() -> Callable[[], float]:
    """Return a clock of seconds since now."""
    began = time.monotonic()
    return lambda: time.monotonic() - began
